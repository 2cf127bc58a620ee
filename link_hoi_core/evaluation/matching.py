"""Which detected pairs are right: the greedy matching that all HOI benchmarks share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from link_hoi_core.evaluation.pairs import ScoredPairs

MIN_OVERLAP = 0.5
_CHUNK = 1_000_000  # (detection, annotation) combinations that are compared at once; about 0.3 GB


@dataclass(frozen=True)
class RankedDetections:
    """Detections by class, within a class by falling score, each marked as right or wrong."""

    hoi: np.ndarray  # (D,) int32, rising
    score: np.ndarray  # (D,) float64, falling within a class
    correct: np.ndarray  # (D,) bool
    image: np.ndarray  # (D,) int32
    row: np.ndarray  # (D,) int64, where it stands in the pairs that were ranked
    num_annotated: np.ndarray  # (C,) int64, annotated pairs of each class

    def take(self, rows: np.ndarray) -> RankedDetections:
        """The detections at `rows` (rising indices or a mask)."""
        columns = (self.hoi, self.score, self.correct, self.image, self.row)
        return RankedDetections(*(column[rows] for column in columns), self.num_annotated)


def match(
    detections: ScoredPairs, annotated: ScoredPairs, num_classes: int, strict: bool = False
) -> RankedDetections:
    """Rank the detections and find the true positives (ho-rcnn, VOCevaldet_bboxpair.m).

    Within a class, by falling score, a detection takes the annotated pair of its image with which
    min(IoU of humans, IoU of objects) is largest. It is right if that is at least 0.5 and the pair
    is not yet taken; a second one is wrong even if another annotated pair would fit. Equal
    overlaps: the pair annotated first. Equal scores: by image, then by row.

    The pair that a detection wants does not depend on the others, hence the loop of the original
    reduces to: of all detections that want a pair, the first in rank gets it.

    Args:
        strict: ask for an overlap of more than 0.5 (PViC) instead of at least 0.5.
    """
    wanted = _best_annotated(detections, annotated, num_classes, strict)
    order = np.lexsort((detections.image, -detections.score, detections.hoi))
    wanted = wanted[order]
    wanting = np.flatnonzero(wanted >= 0)
    _, first = np.unique(wanted[wanting], return_index=True)
    correct = np.zeros(len(detections), bool)
    correct[wanting[first]] = True
    return RankedDetections(
        detections.hoi[order],
        detections.score[order],
        correct,
        detections.image[order],
        order,
        np.bincount(annotated.hoi, minlength=num_classes),
    )


def merge(parts: Sequence[RankedDetections], sizes: Sequence[int]) -> RankedDetections:
    """The ranks of parts that were ranked by themselves, as if they had been ranked as one.

    Args:
        parts: at least one, all against the same annotations, no image in two of them.
        sizes: how many pairs each part had, in which its `row` counts.
    """
    starts = np.cumsum(sizes) - sizes
    row = np.concatenate([part.row + start for part, start in zip(parts, starts)])
    hoi, score, correct, image = (
        np.concatenate([getattr(part, name) for part in parts])
        for name in ('hoi', 'score', 'correct', 'image')
    )
    order = np.lexsort((row, image, -score, hoi))
    columns = (column[order] for column in (hoi, score, correct, image, row))
    return RankedDetections(*columns, parts[0].num_annotated)


def _best_annotated(
    detections: ScoredPairs, annotated: ScoredPairs, num_classes: int, strict: bool
) -> np.ndarray:
    """Index (D,) of the annotated pair that each detection overlaps best and enough; else -1."""
    annotated_cell = annotated.image.astype(np.int64) * num_classes + annotated.hoi
    by_cell = np.argsort(annotated_cell, kind='stable')
    annotated_cell = annotated_cell[by_cell]
    cell = detections.image.astype(np.int64) * num_classes + detections.hoi
    first = np.searchsorted(annotated_cell, cell, side='left')
    count = np.searchsorted(annotated_cell, cell, side='right') - first

    best = np.full(len(detections), -1)
    for rows in _chunks(np.flatnonzero(count), count):
        # Every row with every annotated pair of its image and class, row after row.
        starts = np.cumsum(count[rows]) - count[rows]
        row = np.repeat(rows, count[rows])
        candidate = by_cell[np.arange(len(row)) + np.repeat(first[rows] - starts, count[rows])]
        overlap = np.minimum(
            _iou(detections.boxes_h[row], annotated.boxes_h[candidate]),
            _iou(detections.boxes_o[row], annotated.boxes_o[candidate]),
        )
        largest = np.maximum.reduceat(overlap, starts)
        is_largest = np.flatnonzero(overlap == np.repeat(largest, count[rows]))
        winner = is_largest[np.searchsorted(is_largest, starts)]
        enough = largest > MIN_OVERLAP if strict else largest >= MIN_OVERLAP
        best[rows[enough]] = candidate[winner[enough]]
    return best


def _chunks(rows: np.ndarray, count: np.ndarray) -> Iterator[np.ndarray]:
    """Split `rows` so that their counts sum to about _CHUNK in each part."""
    total = np.cumsum(count[rows])
    if len(rows):
        yield from filter(
            len, np.split(rows, np.searchsorted(total, np.arange(_CHUNK, total[-1], _CHUNK)))
        )


def _iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union (K,) of box k of `a` (K, 4) with box k of `b`; 0 without overlap.

    Boxes are 0-based continuous. The official evaluator counts inclusive pixels: it gets
    (x1 + 1, y1 + 1, x2, y2) and takes x2 - (x1 + 1) + 1 = x2 - x1 for the width, and likewise for
    intersections. So its overlap is the continuous one; in float64 the two also round alike for
    the whole pixels of HICO-DET's annotations.
    """
    a, b = a.astype(np.float64), b.astype(np.float64)
    sides = np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2])
    intersection = sides.clip(min=0).prod(-1)
    union = (a[:, 2:] - a[:, :2]).prod(-1) + (b[:, 2:] - b[:, :2]).prod(-1) - intersection
    return np.divide(intersection, union, out=np.zeros(len(a)), where=intersection > 0)
