"""Average precision by 11 points or by area, and mF1 at thresholds, from ranked detections."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from link_hoi_core.evaluation.matching import RankedDetections

# The values of torch.linspace(0, 1, 11, dtype=float64), and, to our knowledge, of MATLAB's 0:0.1:1:
# counted up from 0 below the middle, down from 1 above it. A class with ten annotated pairs and
# recall 6/10 reaches the point 0.6, but not numpy's 0.6000000000000001 (about 1 mAP on Rare).
RECALL_POINTS = np.concatenate([0.1 * np.arange(5), 1 - 0.1 * np.arange(5, -1, -1)])


def precision_recall(
    ranked: RankedDetections, label: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Recall, precision and score (K,) after each of the K detections of class `label`, best first.

    Recall is 0 where nothing of the class is annotated.
    """
    of_class = slice(*np.searchsorted(ranked.hoi, (label, label + 1)))
    true_positives = np.cumsum(ranked.correct[of_class])
    recall = true_positives / max(ranked.num_annotated[label], 1)
    return recall, true_positives / np.arange(1, len(recall) + 1), ranked.score[of_class]


def average_precision(
    ranked: RankedDetections, recall_points: np.ndarray = RECALL_POINTS
) -> np.ndarray:
    """AP (C,) in [0, 1] of each class: mean of the best precision at recall >= t, for points t.

    A class without detections or without annotated pairs has 0, as in the original evaluators.
    """

    def ap(recall: np.ndarray, best_from_here: np.ndarray) -> float:
        reached = np.searchsorted(recall, recall_points)
        return best_from_here[reached[reached < len(recall)]].sum() / len(recall_points)

    return _of_each_class(ranked, ap)


def area_under_envelope(ranked: RankedDetections) -> np.ndarray:
    """AP (C,) in [0, 1] of each class as VOC 2010 has it: the best precision at recall >= r, for
    all r, 0 beyond what is reached. Classes without anything have 0.
    """

    def ap(recall: np.ndarray, best_from_here: np.ndarray) -> float:
        return (np.diff(recall, prepend=0) * best_from_here).sum()

    return _of_each_class(ranked, ap)


def _of_each_class(
    ranked: RankedDetections, ap: Callable[[np.ndarray, np.ndarray], float]
) -> np.ndarray:
    """AP (C,) from the recall after each detection and the best precision from it on."""
    found = np.bincount(ranked.hoi[ranked.correct], minlength=len(ranked.num_annotated))
    aps = np.zeros(len(found))
    for label in np.flatnonzero(found):
        recall, precision, _ = precision_recall(ranked, label)
        aps[label] = ap(recall, np.maximum.accumulate(precision[::-1])[::-1])
    return aps


def mean_of(ap: np.ndarray) -> float:
    """Mean over the classes that count, those that are not NaN; 0 if there is none."""
    ap = ap[~np.isnan(ap)]
    return float(ap.mean()) if len(ap) else 0.0


@dataclass(frozen=True)
class F1Figures:
    """Means over the classes, as fractions; mF1 is the mean of the F1s, not the F1 of the means."""

    threshold: float
    mf1: float
    mprec: float
    mrec: float

    def named(self) -> dict[str, float]:
        """By the names that tables and JSON use."""
        names = {'mf1': self.mf1, 'mprec': self.mprec, 'mrec': self.mrec}
        return names | {'f1_threshold': self.threshold}


def f1_at(
    ranked: RankedDetections, threshold: float, classes: np.ndarray | None = None
) -> F1Figures:
    """mF1, mPrec and mRec (spec section 15) of the detections with a score above `threshold`.

    A class without such detections, or without annotated pairs, counts with zeros.

    Args:
        classes: (C,) bool, those that count; None: all.
    """
    return f1_sweep(ranked, np.array([threshold], np.float64), classes)[0]


DEFAULT_THRESHOLDS = np.arange(1, 100) / 100


def best_f1_threshold(
    ranked: RankedDetections, thresholds: np.ndarray = DEFAULT_THRESHOLDS
) -> F1Figures:
    """The one of the (rising) thresholds with the largest mF1, the lowest of equals.

    Choose it on training data; on test data it would be fitted to the answer.
    """
    return max(f1_sweep(ranked, thresholds), key=lambda figures: figures.mf1)


def f1_sweep(
    ranked: RankedDetections,
    thresholds: np.ndarray = DEFAULT_THRESHOLDS,
    classes: np.ndarray | None = None,
) -> list[F1Figures]:
    """As `f1_at`, exact at each of the (rising) thresholds; every detection is counted once."""
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
    counted = np.ones(shape[0], bool) if classes is None else classes
    sums = np.stack([figure[counted].sum(0) for figure in (f1, precision, recall)], axis=1)
    means = sums / max(1, np.count_nonzero(counted))
    return [F1Figures(float(t), *of_t) for t, of_t in zip(thresholds, means.tolist())]
