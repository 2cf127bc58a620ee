"""False positives and misses: their kinds, which are shown, and what is said of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from link_hoi_core.evaluation.page.false_positives import false_positives
from link_hoi_core.evaluation.page.misses import misses
from link_hoi_core.evaluation.page.mistakes import choose_worst

PERSON, BICYCLE, AWAY = [0, 0, 20, 40], [10, 20, 50, 60], [70, 70, 95, 95]
SHIFTED = [0, 20, 20, 60]  # IoU with PERSON 1/3
OTHER_PERSON, CUP = [60, 0, 80, 30], [30, 5, 40, 15]
RIDE = (PERSON, BICYCLE, 'ride bicycle')


def kinds(evaluation: Callable, annotated: list, *predicted: tuple) -> dict[str, int]:
    """The kinds of the false positives that occur among predictions in one image."""
    made = evaluation([annotated], [(0, pair, score) for pair, score in predicted])
    counts = false_positives(made.outcome.ranked, made.predictions, made.benchmark).counts
    return {kind: count for kind, count in counts.items() if count}


@pytest.mark.parametrize(
    ('predicted', 'kind'),
    [
        ((PERSON, BICYCLE, 'hold bicycle'), 'wrong verb'),
        ((PERSON, BICYCLE, 'hold cup'), 'wrong object'),
        ((SHIFTED, BICYCLE, 'ride bicycle'), 'badly localised'),
        ((SHIFTED, BICYCLE, 'hold bicycle'), 'background'),
        ((OTHER_PERSON, BICYCLE, 'hold bicycle'), 'wrong partner'),
        ((OTHER_PERSON, BICYCLE, 'hold cup'), 'background'),
        ((AWAY, AWAY, 'ride bicycle'), 'background'),
    ],
)
def test_kind_of_a_false_positive(evaluation: Callable, predicted: tuple, kind: str) -> None:
    annotated = [RIDE, (OTHER_PERSON, CUP, 'hold cup')]
    assert kinds(evaluation, annotated, (predicted, 0.9)) == {kind: 1}


def test_second_detection_of_a_pair_is_a_duplicate(evaluation: Callable) -> None:
    assert kinds(evaluation, [RIDE], (RIDE, 0.9), (RIDE, 0.8)) == {'duplicate': 1}


def test_anything_where_nothing_is_annotated_is_background(evaluation: Callable) -> None:
    assert kinds(evaluation, [], (RIDE, 0.9)) == {'background': 1}


def test_false_positives_tell_what_is_annotated_instead(evaluation: Callable) -> None:
    made = evaluation(
        [[(OTHER_PERSON, CUP, 'hold cup'), RIDE], []],
        [(0, (PERSON, BICYCLE, 'hold bicycle'), 0.4), (1, RIDE, 0.7), (0, RIDE, 0.9)],
    )
    found = false_positives(made.outcome.ranked, made.predictions, made.benchmark).worst
    assert [(mistake.image, mistake.kind, mistake.score) for mistake in found] == [
        (1, 'background', 0.7),
        (0, 'wrong verb', 0.4),
    ]
    assert [mistake.others.tolist() for mistake in found] == [[], [1]]
    assert found[1].human.tolist() == PERSON


def test_kinds_of_misses_and_what_was_predicted_instead(evaluation: Callable) -> None:
    made = evaluation(
        [[RIDE], [RIDE], [RIDE], [RIDE], [(AWAY, AWAY, 'hold cup'), RIDE]],
        [
            (0, RIDE, 0.8),
            (1, RIDE, 0.2),
            (1, (PERSON, BICYCLE, 'hold bicycle'), 0.6),
            (1, (PERSON, BICYCLE, 'hold bicycle'), 0.3),
            (2, (PERSON, BICYCLE, 'hold bicycle'), 0.6),
            (3, (SHIFTED, BICYCLE, 'ride bicycle'), 0.9),
        ],
    )
    found = misses(made.outcome, made.predictions, made.benchmark, 0.5)
    assert found.counts == {'not detected': 3, 'other interaction': 1, 'low score': 1}
    names = made.outcome.class_names
    by_image = {mistake.image: mistake for mistake in found.worst}
    assert {image: mistake.kind for image, mistake in by_image.items() if image < 4} == {
        1: 'low score',
        2: 'other interaction',
        3: 'not detected',
    }
    assert [(names[label], score) for label, score in by_image[1].instead] == [
        ('hold bicycle', 0.6),
        ('ride bicycle', 0.2),
    ]
    assert (by_image[1].score, np.isnan(by_image[3].score)) == (0.2, True)
    assert by_image[3].instead == ()
    # The largest pair without a detection first, the scored ones by rising score last.
    assert [m.image for m in found.worst if m.kind == 'not detected'] == [3, 4, 4]
    assert found.worst[-1].kind == 'low score'


def test_what_is_found_above_the_threshold_is_no_miss(evaluation: Callable) -> None:
    made = evaluation([[RIDE]], [(0, RIDE, 0.5)])
    assert misses(made.outcome, made.predictions, made.benchmark, 0.49).worst == []
    assert len(misses(made.outcome, made.predictions, made.benchmark, 0.5).worst) == 1


def test_the_hundred_are_shared_among_the_kinds_and_one_of_each_image_and_class() -> None:
    kind = np.repeat([0, 1, 2], [300, 30, 5])
    rows = choose_worst(kind, np.arange(335), np.zeros(335, int))
    assert len(rows) == 100
    assert np.bincount(kind[rows]).tolist() == [65, 30, 5]
    assert rows[:65].tolist() == list(range(65))  # the worst of a kind
    image, label = np.array([0, 0, 0, 1, 1, 0]), np.array([7, 7, 8, 7, 7, 7])
    same = choose_worst(image * 0, image, label)
    assert same.tolist() == [0, 2, 3]
    assert choose_worst(*(np.zeros(0, int) for _ in range(3))).tolist() == []
