"""LINK's region proposals: NMS, then 3 to 15 humans and 3 to 15 objects."""

from __future__ import annotations

import numpy as np
import pytest

from link_hoi_core.selection import select_detections
from link_hoi_core.structures import Detections

PERSON, BICYCLE, CHAIR = 0, 1, 56


def apart(scores: list[float], labels: list[int]) -> Detections:
    """Boxes that do not overlap."""
    x = 20.0 * np.arange(len(scores))
    boxes = np.stack((x, np.zeros_like(x), x + 10, np.full_like(x, 10)), axis=1)
    return Detections(boxes, scores, labels, (100, 100000))


def select(detections: Detections) -> list[int]:
    rows = select_detections(detections, PERSON)
    assert rows.dtype == np.int64
    return rows.tolist()


def test_humans_come_first_each_part_by_falling_score() -> None:
    found = apart([0.2, 0.9, 0.5, 0.95, 0.3], [BICYCLE, PERSON, CHAIR, BICYCLE, PERSON])
    assert select(found) == [1, 4, 3, 2, 0]


def test_the_person_label_decides_who_is_human() -> None:
    found = apart([0.9, 0.8], [PERSON, CHAIR])
    assert select_detections(found, CHAIR).tolist() == [1, 0]


def test_above_the_threshold_all_are_kept_up_to_15() -> None:
    scores = np.linspace(0.06, 0.9, 12)
    assert len(select(apart(scores, [PERSON] * 12))) == 12
    twenty = np.linspace(0.06, 0.9, 20)
    assert select(apart(twenty, [PERSON] * 20)) == list(range(19, 4, -1))
    both = apart(np.tile(twenty, 2), [PERSON] * 20 + [CHAIR] * 20)
    assert select(both) == [*range(19, 4, -1), *range(39, 24, -1)]


def test_objects_share_15_places_whatever_their_classes() -> None:
    assert len(select(apart([0.5] * 40, [1 + i % 20 for i in range(40)]))) == 15


def test_a_score_of_exactly_the_threshold_is_enough() -> None:
    assert len(select(apart([0.05] * 6, [PERSON] * 6))) == 6
    assert len(select(apart([0.0499] * 6, [PERSON] * 6))) == 3


def test_the_best_three_stay_where_none_is_above_the_threshold() -> None:
    found = apart([0.01, 0.04, 0.03, 0.02, 0.001, 0.002], [PERSON] * 4 + [CHAIR] * 2)
    assert select(found) == [1, 2, 3, 5, 4]


def test_fewer_than_three_confident_ones_are_filled_up() -> None:
    assert select(apart([0.01, 0.9, 0.03, 0.02], [CHAIR] * 4)) == [1, 2, 3]


def test_fewer_than_three_there_are() -> None:
    assert select(apart([0.01, 0.02], [PERSON, PERSON])) == [1, 0]
    assert select(apart([0.01], [CHAIR])) == [0]


def test_no_human_and_nothing_at_all() -> None:
    assert select(apart([0.9, 0.8], [CHAIR, BICYCLE])) == [0, 1]
    assert select(Detections.empty((10, 10))) == []


def test_nms_goes_first_so_that_duplicates_take_no_place() -> None:
    """Three boxes of one person count once: the fourth and fifth, far below, fill up to three."""
    boxes = [[0, 0, 10, 10]] * 3 + [[50, 0, 60, 10], [90, 0, 99, 10]]
    found = Detections(boxes, [0.9, 0.8, 0.7, 0.01, 0.02], [PERSON] * 5, (100, 100))
    assert select(found) == [0, 4, 3]


def test_nms_leaves_a_person_on_a_chair_alone() -> None:
    found = Detections([[0, 0, 10, 10]] * 2, [0.9, 0.8], [PERSON, CHAIR], (100, 100))
    assert select(found) == [0, 1]


@pytest.mark.parametrize('count', [1000, 5000])
def test_a_crowd(count: int) -> None:
    random = np.random.default_rng(0)
    low = random.uniform(0, 4000, (count, 2))
    boxes = np.concatenate((low, low + random.uniform(5, 300, (count, 2))), axis=1)
    labels = random.integers(0, 5, count)
    found = Detections(boxes, random.random(count), labels, (4000, 4000))
    rows = select_detections(found, PERSON)
    assert len(rows) == len(set(rows.tolist())) == 30
    assert (labels[rows] == PERSON).tolist() == [True] * 15 + [False] * 15
