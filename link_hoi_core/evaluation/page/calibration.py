"""Whether scores mean what they say: how many detections of a score are right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from link_hoi_core.evaluation.matching import RankedDetections

BINS = 10


@dataclass(frozen=True)
class Calibration:
    """Detections by their scores, in B equally wide bins over [0, 1].

    Attributes:
        count: (B,) detections in each bin; 1 belongs to the last.
        score: (B,) their mean score, NaN for an empty bin.
        right: (B,) the share of them that is right, NaN likewise.
        error: expected calibration error: mean of |score - right| over bins, weighed by count;
            NaN without detections.
        outside: detections with a score outside [0, 1], which are in no bin.
    """

    count: np.ndarray
    score: np.ndarray
    right: np.ndarray
    error: float
    outside: int


def calibrate(ranked: RankedDetections, bins: int = BINS) -> Calibration:
    """Hold the scores of all detections against how many of them are right."""
    inside = (ranked.score >= 0) & (ranked.score <= 1)
    scores, correct = ranked.score[inside], ranked.correct[inside]
    number = np.minimum((scores * bins).astype(np.int64), bins - 1)
    count = np.bincount(number, minlength=bins)
    with np.errstate(invalid='ignore'):
        score = np.bincount(number, scores, bins) / count
        right = np.bincount(number, correct, bins) / count
        error = float(np.nansum(count * abs(score - right)) / count.sum())
    return Calibration(count, score, right, error, int((~inside).sum()))
