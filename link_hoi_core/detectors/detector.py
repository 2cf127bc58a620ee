"""What every detector offers: images -> Detections labelled by a vocabulary."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from link_hoi_core.detectors.options import DetectorOptions
from link_hoi_core.images import as_rgb
from link_hoi_core.structures import Detections

LEAST_SIDE = 1.0  # pixels; what is smaller is an artefact of decoding


@dataclass(frozen=True)
class Found:
    """A network's output for one image, before names are mapped.

    Attributes:
        boxes: (N, 4) xyxy in pixels of the original image; may reach beyond it.
        scores: (N,) in [0, 1].
        names: N class names, in the detector's own words.
    """

    boxes: np.ndarray
    scores: np.ndarray
    names: Sequence[str]


class Detector(ABC):
    """Finds people and things. Only boxes, scores and names leave it, no hidden state.

    Attributes:
        name: the name it was asked for by.
        vocabulary: what labels index.
        score_threshold: boxes below it are left out.
        score_exponent: lambda of the final score: 2.8 for DETR, 1.7 for Deformable DETR and
            H-DETR, 1.0 otherwise (spec section 6).
        unknown: how often each name outside the vocabulary was met.
    """

    score_exponent: float = 1.0

    def __init__(self, name: str, options: DetectorOptions, score_threshold: float) -> None:
        """`score_threshold`: the family's own, where the options ask for none."""
        self.name = name
        self.vocabulary = options.vocabulary
        asked = options.score_threshold
        self.score_threshold = score_threshold if asked is None else asked
        self.unknown: Counter[str] = Counter()
        self._keep_unknown = options.keep_unknown
        self._labels: dict[str, int] = {}

    @abstractmethod
    def find(self, images: Sequence[np.ndarray], files: Sequence[str]) -> list[Found]:
        """Run the network on (H, W, 3) uint8 RGB images; `files` has their names, '' = unknown."""

    def detect(
        self, images: Sequence[np.ndarray], files: Sequence[str] | None = None
    ) -> list[Detections]:
        """Detections of each image, as one batch.

        Args:
            images: as `images.as_rgb` takes them.
            files: their file names, which detectors that look results up need.

        Returns:
            one a image: boxes cut at its border, at least a pixel wide and high, scores of
            `score_threshold` and more, labels of the vocabulary, `names` in the detector's words.

        Raises:
            ValueError: an image is none, there are not as many file names as images, or the
                network gives NaN.
        """
        pictures = [as_rgb(image) for image in images]
        if not pictures:
            return []
        files = [''] * len(pictures) if files is None else files
        if len(files) != len(pictures):
            raise ValueError(f'{len(files)} file names for {len(pictures)} images')
        found = self.find(pictures, files)
        return [self._finish(one, image.shape[:2]) for one, image in zip(found, pictures)]

    def _finish(self, found: Found, size: tuple[int, int]) -> Detections:
        height, width = size
        boxes = np.asarray(found.boxes, np.float32).reshape(-1, 4)
        boxes = boxes.clip(0, np.array([width, height, width, height], np.float32))
        scores = np.asarray(found.scores, np.float32).clip(0, 1)
        if np.isnan(boxes).any() or np.isnan(scores).any():
            raise ValueError(f'{self.name} gives NaN boxes or scores: its weights may be damaged')
        labels = np.array([self._label(name) for name in found.names], np.int64)
        kept = ((boxes[:, 2:] - boxes[:, :2]) >= LEAST_SIDE).all(axis=1)
        kept &= scores >= self.score_threshold
        outside = kept & (labels < 0)
        self.unknown.update(found.names[row] for row in np.flatnonzero(outside))
        if not self._keep_unknown:
            kept &= ~outside
        rows = np.flatnonzero(kept)
        names = tuple(found.names[row] for row in rows)
        return Detections(boxes[rows], scores[rows], labels[rows], (height, width), names=names)

    def _label(self, name: str) -> int:
        if name not in self._labels:
            index = self.vocabulary.object_index(name)
            self._labels[name] = -1 if index is None else index
        return self._labels[name]


def find_by_size(
    images: Sequence[np.ndarray], find: Callable[[list[np.ndarray]], list[Found]]
) -> list[Found]:
    """Run `find` on the images of each size at once, so that none is padded to another's size."""
    rows_of: dict[tuple[int, ...], list[int]] = {}
    for row, image in enumerate(images):
        rows_of.setdefault(image.shape, []).append(row)
    found: dict[int, Found] = {}
    for rows in rows_of.values():
        found.update(zip(rows, find([images[row] for row in rows])))
    return [found[row] for row in range(len(images))]
