"""Zero-shot figures by hand."""

from __future__ import annotations

import numpy as np
import pytest

from link_hoi_core.evaluation.zero_shot import zero_shot_figures


def test_means_over_unseen_and_seen_classes() -> None:
    found = zero_shot_figures(np.array([10.0, 30.0, 50.0, 70.0]), np.array([0, 1]))
    assert (found.unseen, found.seen) == (20, 60)
    assert found.hm == pytest.approx(2 * 20 * 60 / 80)


def test_nothing_right() -> None:
    assert zero_shot_figures(np.zeros(4), np.array([2])).hm == 0
