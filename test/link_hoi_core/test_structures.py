"""Detections refuse what no detector should send; interactions keep their columns together."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from link_hoi_core.structures import Detections, Interactions

GOOD = {
    'boxes': [[0, 0, 10, 20], [5, 5, 30, 40]],
    'scores': [0.9, 0.5],
    'labels': [0, -1],
    'image_size': (48, 64),
}


def test_lists_become_typed_arrays() -> None:
    found = Detections(**GOOD)
    assert len(found) == 2
    assert found.boxes.dtype == found.scores.dtype == np.float32
    assert found.labels.dtype == np.int64
    assert found.boxes.tolist() == GOOD['boxes']


@pytest.mark.parametrize('boxes', [[], np.zeros((0, 4)), np.zeros(0)])
def test_no_detection_is_fine(boxes: object) -> None:
    found = Detections(boxes, [], [], (48, 64))
    assert found.boxes.shape == (0, 4)
    assert len(found) == len(Detections.empty((48, 64))) == 0


def test_boxes_may_leave_the_image() -> None:
    assert len(Detections([[-5, -5, 1000, 1000]], [1], [0], (48, 64))) == 1


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'boxes': [[0, 0, 1], [0, 0, 1]]}, r'boxes have shape \(2, 3\), expected \(N, 4\)'),
        ({'boxes': [0, 0, 10, 20]}, r'boxes have shape \(4,\), expected \(N, 4\)'),
        ({'scores': [0.5]}, r'scores have shape \(1,\), expected \(2,\)'),
        ({'labels': [[0], [1]]}, r'labels have shape \(2, 1\), expected \(2,\)'),
        ({'boxes': [[0, 0, 10, 20], [0, 0, np.nan, 5]]}, 'box 1 is not finite'),
        ({'boxes': [[0, 0, np.inf, 20], [0, 0, 1, 5]]}, 'box 0 is not finite'),
        ({'boxes': [[10, 0, 0, 20], [0, 0, 1, 5]]}, r'box 0 \[10.*\] has no area, expected xyxy'),
        ({'boxes': [[0, 0, 1, 5], [7, 7, 9, 7]]}, 'box 1 .* has no area'),
        ({'scores': [0.5, 1.5]}, r'score 1 is 1.5, expected a value in \[0, 1\]'),
        ({'scores': [-0.1, 0.5]}, 'score 0 is -0.1'),
        ({'scores': [0.1, np.nan]}, 'score 1 is nan'),
        ({'labels': [0, -2]}, 'label 1 is below -1'),
        ({'image_size': (0, 64)}, 'image size is 0 x 64'),
        ({'image_size': (48, -1)}, 'image size is 48 x -1'),
        ({'track_ids': ('a',)}, '1 track_ids for 2 boxes'),
        ({'names': ('a', 'b', 'c')}, '3 names for 2 boxes'),
    ],
)
def test_bad_input_is_one_sentence(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        Detections(**{**GOOD, **changes})
    assert '\n' not in str(error.value)


def test_take_reorders_every_column() -> None:
    found = Detections(**GOOD, track_ids=('p', 'q'), names=('person', 'dinosaur'))
    taken = found.take(np.array([1, 0, 1]))
    assert taken.boxes.tolist() == [GOOD['boxes'][i] for i in (1, 0, 1)]
    assert taken.scores.tolist() == [0.5, pytest.approx(0.9), 0.5]
    assert taken.labels.tolist() == [-1, 0, -1]
    assert taken.track_ids == ('q', 'p', 'q')
    assert taken.names == ('dinosaur', 'person', 'dinosaur')
    assert taken.image_size == (48, 64)
    assert found.take(np.zeros(0, dtype=np.int64)).track_ids == ()


def test_detections_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        Detections(**GOOD).scores = np.zeros(2)


def test_interactions_of_unequal_columns_are_refused() -> None:
    ids = np.zeros(2, dtype=np.int64)
    with pytest.raises(ValueError, match='columns of different lengths'):
        Interactions(ids, ids, ids, np.zeros(2), np.zeros(3))


def test_interactions_take_rows_or_a_slice() -> None:
    ids = np.arange(3)
    triplets = Interactions(ids, ids + 10, ids + 20, ids / 10, ids / 5)
    assert triplets.take(np.array([2, 0])).object.tolist() == [12, 10]
    assert triplets.take(slice(2)).verb.tolist() == [20, 21]
    assert len(Interactions.empty()) == 0
    assert Interactions.empty().human.dtype == np.int64
