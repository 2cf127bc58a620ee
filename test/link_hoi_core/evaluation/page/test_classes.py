"""The table of classes and their precision-recall curves."""

from __future__ import annotations

import numpy as np
import pytest

from link_hoi_core.evaluation.matching import RankedDetections
from link_hoi_core.evaluation.outcome import Outcome
from link_hoi_core.evaluation.page.classes import MOST, class_rows, curves, partitions


def outcome(hoi: list, correct: list, annotated: list, ap: list, **rest: object) -> Outcome:
    """Scores fall from 0.9 in steps of 0.001."""
    rows = np.arange(len(hoi))
    columns = (np.array(hoi), 0.9 - 0.001 * rows, np.array(correct, bool), rows * 0, rows)
    ranked = RankedDetections(*columns, np.array(annotated))
    names = tuple(f'class {index}' for index in range(len(annotated)))
    return Outcome({'full': 1.0}, names, np.array(ap), rest.pop('groups', {}), ranked, **rest)


def test_rows_count_what_each_class_has_and_leave_out_what_does_not_count() -> None:
    groups = {
        'rare': np.array([False, True, False]),
        'non_rare': np.array([True, False, False]),
        'unseen': np.array([True, False, False]),
    }
    beside = {
        'ap_role_s2': {'class 0': 60.0, 'class 1': float('nan'), 'class 2': 1.0},
        'ap_agent': {'run': 20.0},  # of other classes
    }
    made = outcome(
        [0, 0, 1, 2], [1, 0, 0, 1], [4, 2, 9], [50.0, 0.0, np.nan], groups=groups, beside=beside
    )
    first, second = class_rows(made, np.array([100, 3, 7]))
    assert (first.annotated, first.detected, first.right, first.trained) == (4, 2, 1, 100)
    assert (first.groups, second.groups) == ('Non-rare, Unseen', 'Rare')
    assert (first.beside, second.beside) == ((60.0,), (None,))
    assert [list(part) for part in partitions(made)] == [['non_rare', 'rare'], ['unseen']]


def test_curve_is_precision_at_each_right_detection_and_the_best_from_there_on() -> None:
    made = outcome([0, 0, 0, 0, 1], [1, 0, 1, 1, 0], [4, 2], [50.0, 0.0])
    ((label, points),) = curves(made).items()
    recall, precision, best, score = points
    assert label == 0  # of the other, nothing is right
    assert recall == [250, 500, 750]
    assert precision == [1000, 667, 750]
    assert best == [1000, 750, 750]
    assert score == pytest.approx([0.9, 0.898, 0.897])


def test_long_curve_is_thinned_between_its_ends() -> None:
    made = outcome([0] * 5000, [1] * 5000, [5000], [100.0])
    recall, *_ = curves(made)[0]
    assert len(recall) == MOST
    assert (recall[0], recall[-1]) == (0, 1000)
