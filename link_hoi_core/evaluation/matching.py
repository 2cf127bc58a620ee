"""Which detected pairs are right: the greedy matching that all HOI benchmarks share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from link_hoi_core.evaluation.pairs import ScoredPairs

MIN_OVERLAP = 0.5
_CHUNK = 1_000_000  # (detection, candidate) combinations that are compared at once; about 0.3 GB


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

    Args:
        strict: ask for an overlap of more than 0.5 (PViC) instead of at least 0.5.
    """

    def overlaps(row: np.ndarray, candidate: np.ndarray) -> np.ndarray:
        return np.minimum(
            box_overlaps(detections.boxes_h[row], annotated.boxes_h[candidate]),
            box_overlaps(detections.boxes_o[row], annotated.boxes_o[candidate]),
        )

    cells = (
        pairs.image.astype(np.int64) * num_classes + pairs.hoi for pairs in (detections, annotated)
    )
    wanted, overlap = best_candidates(*cells, overlaps)
    wanted[~(overlap > MIN_OVERLAP if strict else overlap >= MIN_OVERLAP)] = -1
    return rank(detections, wanted, np.bincount(annotated.hoi, minlength=num_classes))


def rank(
    detections: ScoredPairs, wanted: np.ndarray, num_annotated: np.ndarray
) -> RankedDetections:
    """Rank the detections by class and falling score; the first that wants a thing is right.

    What a detection wants does not depend on the others, hence the loops of the original
    evaluators reduce to this.

    Args:
        wanted: (D,) id of what each detection would be right for, of one class only; -1 is none.
        num_annotated: (C,) how many there are of each class.
    """
    order = np.lexsort((detections.image, -detections.score, detections.hoi))
    wanted = wanted[order]
    wanting = np.flatnonzero(wanted >= 0)
    _, first = np.unique(wanted[wanting], return_index=True)
    correct = np.zeros(len(detections), bool)
    correct[wanting[first]] = True
    columns = detections.hoi[order], detections.score[order], correct, detections.image[order]
    return RankedDetections(*columns, order, num_annotated)


def rank_some(
    detections: ScoredPairs, kept: np.ndarray, rank_kept: Callable[[ScoredPairs], RankedDetections]
) -> RankedDetections:
    """Rank the detections at the mask `kept` alone; `row` still counts in all of them."""
    if kept.all():
        return rank_kept(detections)
    rows = np.flatnonzero(kept)
    ranked = rank_kept(detections.take(rows))
    return replace(ranked, row=rows[ranked.row])


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


def best_candidates(
    cell: np.ndarray,
    candidate_cell: np.ndarray,
    overlaps: Callable[[np.ndarray, np.ndarray], np.ndarray],
) -> tuple[np.ndarray, np.ndarray]:
    """Among the candidates of the same cell, the one that each row overlaps most; first of equals.

    Args:
        cell: (D,) int64, e.g. the image of each detection.
        candidate_cell: (A,) int64.
        overlaps: of rows (K,) with as many candidates (K,), giving (K,).

    Returns:
        Its index (D,), -1 where the cell has no candidate, and the overlap (D,), which is then 0.
    """
    by_cell = np.argsort(candidate_cell, kind='stable')
    candidate_cell = candidate_cell[by_cell]
    first = np.searchsorted(candidate_cell, cell, side='left')
    count = np.searchsorted(candidate_cell, cell, side='right') - first

    best, best_overlap = np.full(len(cell), -1), np.zeros(len(cell))
    for rows in _chunks(np.flatnonzero(count), count):
        # Every row with every candidate of its cell, row after row.
        starts = np.cumsum(count[rows]) - count[rows]
        row = np.repeat(rows, count[rows])
        candidate = by_cell[np.arange(len(row)) + np.repeat(first[rows] - starts, count[rows])]
        overlap = overlaps(row, candidate)
        largest = np.maximum.reduceat(overlap, starts)
        is_largest = np.flatnonzero(overlap == np.repeat(largest, count[rows]))
        best[rows] = candidate[is_largest[np.searchsorted(is_largest, starts)]]
        best_overlap[rows] = largest
    return best, best_overlap


def box_overlaps(a: np.ndarray, b: np.ndarray) -> np.ndarray:
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


def _chunks(rows: np.ndarray, count: np.ndarray) -> Iterator[np.ndarray]:
    """Split `rows` so that their counts sum to about _CHUNK in each part."""
    total = np.cumsum(count[rows])
    if len(rows):
        yield from filter(
            len, np.split(rows, np.searchsorted(total, np.arange(_CHUNK, total[-1], _CHUNK)))
        )
