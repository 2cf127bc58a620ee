"""How many detections of a score are right."""

from __future__ import annotations

import numpy as np
import pytest

from link_hoi_core.evaluation.matching import RankedDetections
from link_hoi_core.evaluation.page.calibration import calibrate


def ranked(score: list[float], correct: list[int]) -> RankedDetections:
    rows = np.arange(len(score))
    columns = (rows * 0, np.array(score, float), np.array(correct, bool), rows, rows)
    return RankedDetections(*columns, np.array([1]))


def test_bins_by_score() -> None:
    found = calibrate(ranked([1.0, 0.9, 0.25, 0.22, 0.0], [1, 0, 1, 1, 0]))
    assert found.count.tolist() == [1, 0, 2, 0, 0, 0, 0, 0, 0, 2]
    assert found.right[[0, 2, 9]].tolist() == [0, 1, 0.5]
    assert found.score[9] == pytest.approx(0.95)
    assert np.isnan(found.right[1])
    # 1/5 |0 - 0| + 2/5 |0.235 - 1| + 2/5 |0.95 - 0.5|
    assert found.error == pytest.approx(0.4 * 0.765 + 0.4 * 0.45)


def test_scores_outside_are_counted_apart() -> None:
    found = calibrate(ranked([3.5, 0.5, -1.0], [1, 1, 0]))
    assert (found.outside, found.count.sum(), found.error) == (2, 1, 0.5)


def test_nothing_detected() -> None:
    found = calibrate(ranked([], []))
    assert found.count.sum() == 0 and np.isnan(found.error)
