"""The model's input: the detections of a batch of images, padded, and their human-object pairs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch import Tensor

from link_hoi_core.structures import Detections


@dataclass(frozen=True)
class Scene:
    """B images of at most N detections and M pairs; padding is marked by the two masks.

    Attributes:
        boxes: (B, N, 4) float32, xyxy pixels, clamped to the image.
        scores: (B, N) float32.
        labels: (B, N) int64, indices into the vocabulary's objects.
        present: (B, N) bool, False where padded.
        image_size: (B, 2) float32, (height, width).
        pairs: (B, M, 2) int64, (human, object) indices into the detections.
        pair_present: (B, M) bool, False where padded.
        padded: whether anything is; attention needs no mask where nothing is, as in one image.
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor
    present: Tensor
    image_size: Tensor
    pairs: Tensor
    pair_present: Tensor
    padded: bool = True

    def to(self, device: torch.device | str) -> Scene:
        """The same scene on another device."""
        return self.map(lambda tensor: tensor.to(device, non_blocking=True))

    def map(self, change: Callable[[Tensor], Tensor]) -> Scene:
        """The scene with every tensor changed."""
        return Scene(*map(change, self.tensors()), padded=self.padded)

    def tensors(self) -> list[Tensor]:
        """All tensors, in the order of the attributes."""
        values = (getattr(self, field.name) for field in fields(self))
        return [value for value in values if isinstance(value, Tensor)]

    def with_mirror_images(self) -> Scene:
        """2 B images: these, then each as in a mirror, where left and right change places."""
        x1, y1, x2, y2 = self.boxes.unbind(-1)
        width = self.image_size[:, 1:]
        mirrored = torch.stack((width - x2, y1, width - x1, y2), dim=-1)
        twice = self.map(lambda tensor: torch.cat((tensor, tensor)))
        return replace(twice, boxes=torch.cat((self.boxes, mirrored)))

    def detection_mask(self) -> Tensor | None:
        """Which detections attention may look at, (B, N) bool; None = all of them."""
        return self.present if self.padded else None

    def pair_mask(self) -> Tensor | None:
        """Which pairs attention may look at, (B, M) bool; None = all of them."""
        return self.pair_present if self.padded else None

    def relative_boxes(self) -> Tensor:
        """Boxes (B, N, 4) divided by the image's (width, height, width, height)."""
        return self.boxes / self.image_size.flip(-1).repeat(1, 2).unsqueeze(1)

    def at_pairs(self, per_detection: Tensor) -> tuple[Tensor, Tensor]:
        """Values of detections (B, N, ...) at each pair's human and object: 2 x (B, M, ...)."""
        return self.at_humans(per_detection), self.at_objects(per_detection)

    def at_humans(self, per_detection: Tensor) -> Tensor:
        """Values of detections (B, N, ...) at each pair's human: a new (B, M, ...)."""
        return _take(per_detection, self.pairs[..., 0])

    def at_objects(self, per_detection: Tensor) -> Tensor:
        """Values of detections (B, N, ...) at each pair's object: a new (B, M, ...)."""
        return _take(per_detection, self.pairs[..., 1])


def list_pairs(labels: np.ndarray, person: int) -> np.ndarray:
    """All ordered pairs of a human i and another detection j (spec section 1): (M, 2) int64."""
    return np.argwhere((labels == person)[:, None] & ~np.eye(len(labels), dtype=bool))


def count_pairs(labels: np.ndarray, person: int) -> int:
    """How many pairs `list_pairs` lists."""
    humans = int((labels == person).sum())
    return humans * max(len(labels) - 1, 0)


def cut_by_pairs(
    images: np.ndarray, pair_counts: np.ndarray, most_images: int, most_pairs: int
) -> Iterator[list[int]]:
    """Cut images into batches of like numbers of pairs, so that little of a batch is padding.

    Args:
        images: (K,) ids, in any order.
        pair_counts: (K,) how many pairs each has.
        most_images: a batch holds no more images.
        most_pairs: a padded batch holds no more pairs, but an image of more comes alone.

    Yields:
        the ids of a batch.
    """
    batch: list[int] = []
    order = np.argsort(pair_counts, kind='stable')
    for image, pairs in zip(images[order].tolist(), pair_counts[order].tolist()):
        if batch and (len(batch) == most_images or pairs * (len(batch) + 1) > most_pairs):
            yield batch
            batch = []
        batch.append(image)
    if batch:
        yield batch


def build_scene(images: Sequence[Detections], person: int) -> Scene:
    """Pad the detections of `images` and list their pairs, row by row over (human, object)."""
    pairs = [list_pairs(image.labels, person) for image in images]
    most_boxes = max((len(image) for image in images), default=0)
    most_pairs = max((len(rows) for rows in pairs), default=0)
    count = len(images)
    padded = any(len(image) < most_boxes for image in images)
    padded |= any(len(rows) < most_pairs for rows in pairs)

    boxes = np.tile(np.array([0, 0, 1, 1], dtype=np.float32), (count, most_boxes, 1))
    scores = np.zeros((count, most_boxes), dtype=np.float32)
    labels = np.zeros((count, most_boxes), dtype=np.int64)
    padded_pairs = np.zeros((count, most_pairs, 2), dtype=np.int64)
    for row, image in enumerate(images):
        boxes[row, : len(image)] = clamp_boxes(image)
        scores[row, : len(image)] = image.scores
        labels[row, : len(image)] = image.labels
        padded_pairs[row, : len(pairs[row])] = pairs[row]
    return Scene(
        torch.from_numpy(boxes),
        torch.from_numpy(scores),
        torch.from_numpy(labels),
        _mask([len(image) for image in images], most_boxes),
        torch.tensor([image.image_size for image in images], dtype=torch.float32).reshape(-1, 2),
        torch.from_numpy(padded_pairs),
        _mask([len(rows) for rows in pairs], most_pairs),
        padded,
    )


def clamp_boxes(detections: Detections) -> np.ndarray:
    """Boxes (N, 4) cut at the image's border."""
    height, width = detections.image_size
    return detections.boxes.clip(0, np.array([width, height, width, height], dtype=np.float32))


def _take(values: Tensor, index: Tensor) -> Tensor:
    """(B, N, ...) at indices (B, M) -> (B, M, ...), as one copy of rows."""
    images, rows = values.shape[:2]
    first = rows * torch.arange(images, device=index.device).unsqueeze(1)
    taken = values.flatten(0, 1).index_select(0, (index + first).flatten())
    return taken.unflatten(0, index.shape)


def _mask(lengths: Sequence[int], longest: int) -> Tensor:
    return torch.arange(longest) < torch.tensor(lengths, dtype=torch.int64).unsqueeze(1)
