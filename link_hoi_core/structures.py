"""What flows between the rooms: an image's detections and the interactions among them."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np


@dataclass(frozen=True)
class Detections:
    """The people and things that a detector found in one image.

    Attributes:
        boxes: (N, 4) float32, xyxy in pixels of the original image, 0-based continuous
            (x2 and y2 exclusive), each with a positive area.
        scores: (N,) float32 in [0, 1].
        labels: (N,) int64, indices into the vocabulary's objects; -1 for an object outside it.
        image_size: (height, width) in pixels.
        track_ids: one a detection ('' = untracked), or None when nothing is tracked.
        names: the detector's own names, for objects that the vocabulary lacks, or None.

    Raises:
        ValueError: a shape, a box or a score is not as described.
    """

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    image_size: tuple[int, int]
    track_ids: tuple[str, ...] | None = None
    names: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        boxes = np.asarray(self.boxes, dtype=np.float32)
        object.__setattr__(self, 'boxes', boxes.reshape(0, 4) if boxes.size == 0 else boxes)
        object.__setattr__(self, 'scores', np.asarray(self.scores, dtype=np.float32))
        object.__setattr__(self, 'labels', np.asarray(self.labels, dtype=np.int64))
        self._check_shapes()
        self._check_values()

    def _check_shapes(self) -> None:
        if self.boxes.ndim != 2 or self.boxes.shape[1] != 4:
            raise ValueError(f'boxes have shape {self.boxes.shape}, expected (N, 4)')
        for name in ('scores', 'labels'):
            shape = getattr(self, name).shape
            if shape != (len(self),):
                raise ValueError(f'{name} have shape {shape}, expected ({len(self)},)')
        for name in ('track_ids', 'names'):
            values = getattr(self, name)
            if values is not None and len(values) != len(self):
                raise ValueError(f'{len(values)} {name} for {len(self)} boxes')
        height, width = self.image_size
        if height <= 0 or width <= 0:
            raise ValueError(f'image size is {height} x {width} (height x width), expected > 0')

    def _check_values(self) -> None:
        if not np.isfinite(self.boxes).all():
            raise ValueError(f'box {_first(~np.isfinite(self.boxes).all(axis=1))} is not finite')
        inverted = (self.boxes[:, 2:] <= self.boxes[:, :2]).any(axis=1)
        if inverted.any():
            row = _first(inverted)
            raise ValueError(f'box {row} {self.boxes[row].tolist()} has no area, expected xyxy')
        bad_scores = ~((self.scores >= 0) & (self.scores <= 1))
        if bad_scores.any():
            row = _first(bad_scores)
            raise ValueError(f'score {row} is {self.scores[row]}, expected a value in [0, 1]')
        if (self.labels < -1).any():
            raise ValueError(f'label {_first(self.labels < -1)} is below -1')

    def __len__(self) -> int:
        return len(self.boxes)

    def take(self, rows: np.ndarray) -> Detections:
        """The detections at `rows` (K,) int64, in that order."""
        return Detections(
            self.boxes[rows],
            self.scores[rows],
            self.labels[rows],
            self.image_size,
            None if self.track_ids is None else tuple(self.track_ids[i] for i in rows),
            None if self.names is None else tuple(self.names[i] for i in rows),
        )

    @classmethod
    def empty(cls, image_size: tuple[int, int]) -> Detections:
        """No detection in an image of `image_size` (height, width)."""
        return cls(np.zeros((0, 4)), np.zeros(0), np.zeros(0), image_size)


@dataclass(frozen=True)
class Interactions:
    """Triplets among the detections of one image, by falling score.

    Attributes:
        human, object: (M,) int64, indices into the detections.
        verb: (M,) int64, indices into the vocabulary's verbs.
        score: (M,) float32 in [0, 1], the verb's score times the detector's confidence.
        verb_score: (M,) float32 in [0, 1], without the detector's confidence.
    """

    human: np.ndarray
    object: np.ndarray
    verb: np.ndarray
    score: np.ndarray
    verb_score: np.ndarray

    def __post_init__(self) -> None:
        sizes = {field.name: len(getattr(self, field.name)) for field in fields(self)}
        if len(set(sizes.values())) > 1:
            raise ValueError(f'interactions have columns of different lengths: {sizes}')

    def __len__(self) -> int:
        return len(self.score)

    def take(self, rows: np.ndarray | slice) -> Interactions:
        """The interactions at `rows`, in that order."""
        return Interactions(*(getattr(self, field.name)[rows] for field in fields(self)))

    @classmethod
    def empty(cls) -> Interactions:
        """No interaction."""
        ids, scores = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.float32)
        return cls(ids, ids, ids, scores, scores)


def _first(mask: np.ndarray) -> int:
    return int(np.flatnonzero(mask)[0])
