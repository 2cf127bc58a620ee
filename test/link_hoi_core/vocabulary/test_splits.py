"""The zero-shot splits are the published ones."""

from __future__ import annotations

import numpy as np
import pytest

from link_hoi_core.vocabulary import ZERO_SHOT_SPLITS, load_vocabulary, zero_shot_split


@pytest.mark.parametrize(
    ('name', 'count', 'first'),
    [
        ('RF-UC', 120, [8, 22, 27]),
        ('NF-UC', 120, [6, 7, 9]),
        ('UO', 100, [111, 112, 113]),
        ('UV', 84, [4, 6, 12]),
        ('UC0', 120, [0, 1, 10]),
        ('UC1', 120, [0, 3, 22]),
        ('UC2', 120, [9, 25, 30]),
        ('UC3', 120, [4, 14, 26]),
        ('UC4', 120, [0, 4, 28]),
        ('UA', 100, [2, 10, 14]),
    ],
)
def test_a_split_has_the_official_classes(name: str, count: int, first: list[int]) -> None:
    unseen = zero_shot_split(name)
    assert len(unseen) == count
    assert unseen[:3].tolist() == first
    assert unseen.dtype == np.int64 and not unseen.flags.writeable
    assert (np.diff(unseen) > 0).all() and 0 <= unseen[0] and unseen[-1] < 600


def test_there_are_ten_splits() -> None:
    assert len(ZERO_SHOT_SPLITS) == 10
    assert all(len(zero_shot_split(name)) for name in ZERO_SHOT_SPLITS)


@pytest.mark.parametrize(('name', 'column', 'count'), [('UV', 0, 20), ('UA', 0, 22), ('UO', 1, 12)])
def test_an_unseen_verb_or_object_is_in_no_seen_class(name: str, column: int, count: int) -> None:
    ids = load_vocabulary('hico-det').hois[:, column]
    unseen = zero_shot_split(name)
    held_out = set(ids[unseen].tolist())
    assert len(held_out) == count
    assert held_out.isdisjoint(np.delete(ids, unseen).tolist())


@pytest.mark.parametrize('name', ['RF-UC', 'NF-UC', 'UC0', 'UC1', 'UC2', 'UC3', 'UC4'])
def test_an_unseen_combination_has_an_object_that_is_seen(name: str) -> None:
    objects = load_vocabulary('hico-det').hois[:, 1]
    seen = np.delete(objects, zero_shot_split(name))
    assert set(seen.tolist()) == set(range(80))


def test_rare_first_is_rarer_than_non_rare_first() -> None:
    rare = load_vocabulary('hico-det').rare
    assert rare is not None
    assert rare[zero_shot_split('RF-UC')].all()
    assert not rare[zero_shot_split('NF-UC')].any()


@pytest.mark.parametrize(
    ('name', 'nearest'), [('rf-uc', 'RF-UC'), ('UC5', 'UC'), ('RFUC', 'RF-UC')]
)
def test_an_unknown_split_is_told_the_nearest(name: str, nearest: str) -> None:
    with pytest.raises(
        ValueError, match=f"unknown zero-shot split '{name}': did you mean '{nearest}"
    ):
        zero_shot_split(name)
