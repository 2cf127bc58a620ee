"""Training examples: one view an image, its detections, and verb targets for every pair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from link_hoi_core.data.annotated_image import AnnotatedImage
from link_hoi_core.data.transforms import MIN_SIDE, jitter_boxes
from link_hoi_core.data.views import Augmentation, View, draw_view, fixed_view
from link_hoi_core.geometry import box_iou
from link_hoi_core.model.scene import build_scene, count_pairs, list_pairs
from link_hoi_core.structures import Detections
from link_hoi_core.training.batch import NEITHER, Batch
from link_hoi_core.training.pictures import Pictures

MATCH_IOU = 0.5


@dataclass(frozen=True)
class Example:
    """One image in one view.

    Attributes:
        detections: in the view's pixels.
        targets: (M, V) float32 of their pairs: 1 where a verb is annotated, `NEITHER` where it must
            not count, else 0.
        pictures: one a backbone, as of `Pictures.load`.
    """

    detections: Detections
    targets: np.ndarray
    pictures: tuple[Tensor, ...]


class HoiExamples(Dataset):
    """One example an image, drawn anew each time; random numbers come from torch's seed."""

    def __init__(
        self,
        images: Sequence[AnnotatedImage],
        boxes: Sequence[Detections],
        person: int,
        verbs: int,
        augmentation: Augmentation,
        hidden: Sequence[AnnotatedImage] | None = None,
        pictures: Pictures | None = None,
    ) -> None:
        """Keep the images that have an annotated pair, and a pair of boxes.

        Args:
            boxes: the clean detections of each image, from the annotations or from a detector.
            hidden: the same images with pairs that are true, but not to be learnt from.
            pictures: where the pixels come from; None without pixels.
        """
        self.person, self.verbs, self.augmentation = person, verbs, augmentation
        self.pictures = pictures
        counts = [count_pairs(found.labels, person) for found in boxes]
        rows = [row for row, image in enumerate(images) if len(image.hoi) and counts[row]]
        self.images = [images[row] for row in rows]
        self.hidden = None if hidden is None else [hidden[row] for row in rows]
        self.boxes = [boxes[row] for row in rows]
        self.pair_counts = [counts[row] for row in rows]

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Example:
        """The image in a random view; a crop may leave it a few pairs fewer, or none at all."""
        random = np.random.default_rng(int(torch.randint(2**62, ()).item()))
        view, number = self._draw_view(index, random)
        detections = self._detections(self.boxes[index], view, random)
        targets = self._targets(index, detections, view)
        if self.pictures is None:
            return Example(detections, targets, ())
        name = self.images[index].file_name
        return Example(detections, targets, self.pictures.load(name, view, number))

    def collate(self, examples: Sequence[Example]) -> Batch:
        """Pad the examples of a batch; one without pairs has targets of padding alone."""
        scene = build_scene([example.detections for example in examples], self.person)
        targets = torch.zeros(*scene.pairs.shape[:2], self.verbs)
        for row, example in enumerate(examples):
            targets[row, : len(example.targets)] = torch.from_numpy(example.targets)
        pictures = tuple(map(torch.stack, zip(*(example.pictures for example in examples))))
        return Batch(scene, targets, pictures, self.pictures is not None and self.pictures.encoded)

    def _draw_view(self, index: int, random: np.random.Generator) -> tuple[View, int]:
        """A view that there are pictures of, and its number among an image's fixed ones."""
        size = self.boxes[index].image_size
        if self.pictures is None or self.pictures.views is None:
            return draw_view(size, self.augmentation, random), 0
        if self.pictures.views == 0:
            return View.whole(size), 0
        name, number = self.images[index].file_name, int(random.integers(self.pictures.views))
        return fixed_view(name, number, size, self.augmentation), number

    def _detections(self, clean: Detections, view: View, random: np.random.Generator) -> Detections:
        """The detections that show at least a pixel a side, moved a little, some rescored."""
        change = self.augmentation
        boxes, scores, labels = view.boxes(clean.boxes), clean.scores, clean.labels
        seen = (boxes[:, 2:] - boxes[:, :2] >= MIN_SIDE).all(axis=1)
        if not seen.all():
            boxes, scores, labels = boxes[seen], scores[seen], labels[seen]
        if random.random() < change.score_noise:
            scores = random.uniform(change.least_score, 1, len(scores))
        boxes = jitter_boxes(boxes, view.size, change.jitter, random)
        return Detections(boxes, scores, labels, view.size)

    def _targets(self, index: int, detections: Detections, view: View) -> np.ndarray:
        """(M, V) of all pairs of the detections; a label that is drawn counts more than hidden."""
        pairs = list_pairs(detections.labels, self.person)
        targets = np.zeros((len(pairs), self.verbs), dtype=np.float32)
        if self.hidden is not None:
            targets[_annotated(pairs, detections.boxes, view, self.hidden[index])] = NEITHER
        targets[_annotated(pairs, detections.boxes, view, self.images[index])] = 1
        return targets


def _annotated(
    pairs: np.ndarray, boxes: np.ndarray, view: View, image: AnnotatedImage
) -> tuple[np.ndarray, np.ndarray]:
    """Where targets (M, V) are annotated: a pair has the verbs that both its boxes overlap.

    min(IoU_h, IoU_o) >= 0.5, without a look at the object's class, several annotated pairs a pair
    (spec section 6). A box that the view leaves without an area overlaps nothing, so that pairs
    with one are dropped, each box having been held against the window by itself (spec section 9).
    """
    human, object_ = pairs.T
    overlap = box_iou(boxes, view.boxes(np.concatenate((image.boxes_h, image.boxes_o))))
    of_human, of_object = overlap[human, : len(image.hoi)], overlap[object_, len(image.hoi) :]
    pair, annotated = np.nonzero(np.minimum(of_human, of_object) >= MATCH_IOU)
    return pair, image.verb[annotated]
