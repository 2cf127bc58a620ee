"""Scored human-object pairs of many images as flat arrays, and where they come from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

import numpy as np

from link_hoi_core.data.annotated_image import AnnotatedImage
from link_hoi_core.structures import Detections, Interactions
from link_hoi_core.vocabulary import Vocabulary


@dataclass(frozen=True)
class ScoredPairs:
    """Detected (or annotated) human-object pairs, each with one interaction class.

    48 bytes a pair, so that ten million fit easily. Images are numbered in the order of the
    annotation file; within an image the order of the rows decides between equal scores.
    """

    image: np.ndarray  # (D,) int32
    boxes_h: np.ndarray  # (D, 4) float32, xyxy, 0-based continuous pixels of the original image
    boxes_o: np.ndarray  # (D, 4) float32
    hoi: np.ndarray  # (D,) int32
    score: np.ndarray  # (D,) float64: rounding it to float32 would make ties

    def __len__(self) -> int:
        return len(self.score)

    def take(self, rows: np.ndarray) -> ScoredPairs:
        """The pairs at `rows` (indices or a mask)."""
        return ScoredPairs(*(getattr(self, field.name)[rows] for field in fields(self)))

    @classmethod
    def concatenate(cls, parts: Iterable[ScoredPairs]) -> ScoredPairs:
        """One after the other; no part gives no pairs."""
        parts = [_NONE, *parts]
        return cls(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(cls)))


_NONE = ScoredPairs(
    np.zeros(0, np.int32),
    np.zeros((0, 4), np.float32),
    np.zeros((0, 4), np.float32),
    np.zeros(0, np.int32),
    np.zeros(0, np.float64),
)


def annotated_pairs(images: Sequence[AnnotatedImage]) -> ScoredPairs:
    """The annotated pairs of all images, each with score 1."""
    return ScoredPairs.concatenate(
        ScoredPairs(
            np.full(len(image.hoi), index, np.int32),
            image.boxes_h,
            image.boxes_o,
            image.hoi.astype(np.int32),
            np.ones(len(image.hoi)),
        )
        for index, image in enumerate(images)
    )


def predicted_pairs(
    image: int, detections: Detections, interactions: Interactions, vocabulary: Vocabulary
) -> ScoredPairs:
    """The interactions of image number `image` as pairs.

    Interactions that are no class of the vocabulary (`hoi_index` < 0) have no place in its
    benchmark and are left out. V-COCO's classes are its verbs, whatever the object.
    """
    objects = detections.labels[interactions.object]
    hoi = np.where(objects >= 0, vocabulary.hoi_index[objects, interactions.verb], -1)
    known = np.flatnonzero(hoi >= 0)
    if vocabulary.id == 'v-coco':
        hoi = interactions.verb
    return ScoredPairs(
        np.full(len(known), image, np.int32),
        detections.boxes[interactions.human[known]],
        detections.boxes[interactions.object[known]],
        hoi[known].astype(np.int32),
        interactions.score[known].astype(np.float64),
    )
