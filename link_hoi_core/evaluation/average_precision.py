"""11-point average precision, and mF1 at a threshold, from ranked detections."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from link_hoi_core.evaluation.matching import RankedDetections

# The values of torch.linspace(0, 1, 11, dtype=float64), and, to our knowledge, of MATLAB's 0:0.1:1:
# counted up from 0 below the middle, down from 1 above it. A class with ten annotated pairs and
# recall 6/10 reaches the point 0.6, but not numpy's 0.6000000000000001 (about 1 mAP on Rare).
RECALL_POINTS = np.concatenate([0.1 * np.arange(5), 1 - 0.1 * np.arange(5, -1, -1)])


def average_precision(
    ranked: RankedDetections, recall_points: np.ndarray = RECALL_POINTS
) -> np.ndarray:
    """AP (C,) in [0, 1] of each class: mean of the best precision at recall >= t, for points t.

    A class without detections or without annotated pairs has 0, as in the original evaluators.
    """
    num_classes = len(ranked.num_annotated)
    bounds = np.searchsorted(ranked.hoi, np.arange(num_classes + 1))
    ap = np.zeros(num_classes)
    for label in np.flatnonzero((np.diff(bounds) > 0) & (ranked.num_annotated > 0)):
        true_positives = np.cumsum(ranked.correct[bounds[label] : bounds[label + 1]])
        precision = true_positives / np.arange(1, len(true_positives) + 1)
        recall = true_positives / ranked.num_annotated[label]
        best_from_here = np.maximum.accumulate(precision[::-1])[::-1]
        reached = np.searchsorted(recall, recall_points)
        ap[label] = best_from_here[reached[reached < len(recall)]].sum() / len(recall_points)
    return ap


@dataclass(frozen=True)
class F1Figures:
    """Means over all classes, as fractions; mF1 is the mean of the F1s, not the F1 of the means."""

    threshold: float
    mf1: float
    mprec: float
    mrec: float


def f1_at(ranked: RankedDetections, threshold: float) -> F1Figures:
    """mF1, mPrec and mRec (spec section 15) of the detections with a score above `threshold`.

    A class without such detections, or without annotated pairs, counts with zeros.
    """
    return _f1_at_each(ranked, np.array([threshold], np.float64))[0]


DEFAULT_THRESHOLDS = np.arange(1, 100) / 100


def best_f1_threshold(
    ranked: RankedDetections, thresholds: np.ndarray = DEFAULT_THRESHOLDS
) -> F1Figures:
    """The one of the (rising) thresholds with the largest mF1, the lowest of equals.

    Choose it on training data; on test data it would be fitted to the answer.
    """
    return max(_f1_at_each(ranked, thresholds), key=lambda figures: figures.mf1)


def _f1_at_each(ranked: RankedDetections, thresholds: np.ndarray) -> list[F1Figures]:
    """Exact at every threshold: detections are counted once, between neighbouring thresholds."""
    shape = len(ranked.num_annotated), len(thresholds) + 1
    passed = np.searchsorted(thresholds, ranked.score)  # number of thresholds below the score
    cell = ranked.hoi.astype(np.int64) * shape[1] + passed

    def above(cells: np.ndarray) -> np.ndarray:
        """How many of the cells lie above each threshold: (C, T)."""
        counts = np.bincount(cells, minlength=shape[0] * shape[1]).reshape(shape)
        return counts[:, ::-1].cumsum(1)[:, ::-1][:, 1:]

    detected, correct = above(cell), above(cell[ranked.correct])
    annotated = ranked.num_annotated[:, None]
    precision = correct / np.maximum(detected, 1)
    recall = correct / np.maximum(annotated, 1)
    f1 = 2 * correct / np.maximum(detected + annotated, 1)  # = 2PR / (P + R)
    return [
        F1Figures(float(threshold), *(float(x[:, i].mean()) for x in (f1, precision, recall)))
        for i, threshold in enumerate(thresholds)
    ]
