"""What the zero-shot and few-shot settings leave of annotations, against plain loops."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from link_hoi_core.data.hico_det import AnnotatedImage, read_hico_det
from link_hoi_core.data.splits import (
    SettingConfig,
    draw_shots,
    seen_verbs,
    training_pairs,
    training_set,
)
from link_hoi_core.vocabulary import ZERO_SHOT_SPLITS, load_vocabulary, zero_shot_split

HICO = load_vocabulary('hico-det')
A, B, C, NEAR_B = [0, 0, 9, 9], [5, 5, 20, 20], [30, 0, 40, 9], [5, 6, 21, 20]


def image(name: str, *pairs: tuple[list, list, int]) -> AnnotatedImage:
    """Pairs of (human box, object box, HOI id)."""
    boxes_h, boxes_o, hoi = zip(*pairs) if pairs else ([], [], [])
    boxes = (np.array(rows, np.float32).reshape(-1, 4) for rows in (boxes_h, boxes_o))
    ids = np.array(hoi, np.int64)
    verb, object_ = HICO.hois[ids].T
    return AnnotatedImage(name, (50, 50), *boxes, ids, object_, verb)


IMAGES = [
    image('mixed', (A, B, 0), (A, NEAR_B, 1), (A, C, 2)),
    image('none left', (A, B, 0)),
    image('untouched', (A, B, 3), (A, C, 2)),
    image('empty'),
]


def left(images: list[AnnotatedImage]) -> dict[str, list[int]]:
    for found in images:
        assert len(found.boxes_h) == len(found.boxes_o) == len(found.hoi)
        assert np.array_equal(HICO.hois[found.hoi], np.stack((found.verb, found.object), axis=1))
    return {found.file_name: found.hoi.tolist() for found in images}


def test_unseen_labels_are_dropped() -> None:
    found = training_pairs(IMAGES, np.array([0]), 'pair')
    assert left(found) == {'mixed': [1, 2], 'untouched': [3, 2]}
    assert found[0].boxes_o.tolist() == [NEAR_B, C]


def test_or_every_label_of_a_pair_that_has_an_unseen_one() -> None:
    found = training_pairs(IMAGES, np.array([0]), 'all-labels')
    assert left(found) == {'mixed': [2], 'untouched': [3, 2]}


def test_labels_of_other_objects_in_the_same_place_stay() -> None:
    """HOI 152 is of another object than 0, though it lies where that does."""
    found = training_pairs([image('a', (A, B, 0), (A, B, 152))], np.array([0]), 'all-labels')
    assert left(found) == {'a': [152]}


def test_where_all_is_unseen_nothing_is_left() -> None:
    assert training_pairs(IMAGES, np.arange(600)) == []


@pytest.mark.parametrize('split', ZERO_SHOT_SPLITS)
def test_training_knows_the_verbs_of_seen_classes_only(split: str) -> None:
    unseen = set(zero_shot_split(split).tolist())
    expected = np.zeros_like(HICO.valid)
    for hoi, (verb, object_) in enumerate(HICO.hois):
        expected[object_, verb] = hoi not in unseen
    assert np.array_equal(seen_verbs(HICO, zero_shot_split(split)), expected)


def test_unseen_objects_have_no_verb() -> None:
    assert (~seen_verbs(HICO, zero_shot_split('UO')).any(axis=1)).sum() == 12


def test_without_a_split_every_valid_verb_counts() -> None:
    assert np.array_equal(seen_verbs(HICO, SettingConfig().unseen), HICO.valid)


MANY = [image(f'{index}', (A, B, 0), (A, B, 1), (A, C, 2 + index % 20)) for index in range(40)]


@pytest.mark.parametrize('shots', [1, 2, 8, 1000])
def test_shots_of_each_class(shots: int) -> None:
    labels, hidden = draw_shots(MANY, shots, seed=3)
    there = Counter(np.concatenate([found.hoi for found in MANY]).tolist())
    drawn = Counter(np.concatenate([found.hoi for found in labels]).tolist())
    assert drawn == {hoi: min(shots, count) for hoi, count in there.items()}
    whole = left(MANY)
    for kept, others in zip(left(labels).items(), left(hidden).items(), strict=True):
        assert kept[0] == others[0] and kept[1]
        assert sorted(kept[1] + others[1]) == whole[kept[0]]


def test_shots_repeat_by_the_seed() -> None:
    draws = [left(draw_shots(MANY, 2, seed)[0]) for seed in (1, 1, 2)]
    assert draws[0] == draws[1] != draws[2]


def test_shots_of_nothing() -> None:
    assert draw_shots([], 2, 0) == ([], [])
    assert draw_shots([image('empty')], 2, 0) == ([], [])


def test_shots_are_drawn_from_what_the_split_leaves() -> None:
    setting = SettingConfig('RF-UC', shots=1)
    unseen = int(setting.unseen[0])
    seen = int(np.setdiff1d(np.arange(600), setting.unseen)[0])
    images = [image('a', (A, B, unseen), (A, C, seen)), image('b', (A, B, unseen))]
    labels, hidden = training_set(images, setting, 0)
    assert left(labels) == {'a': [seen]} and left(hidden) == {'a': []}


def test_fully_supervised_training_has_everything() -> None:
    labels, hidden = training_set(IMAGES, SettingConfig(), 0)
    assert labels == IMAGES and hidden is None


@pytest.mark.parametrize(
    ('values', 'words'),
    [
        ({'split': 'RF'}, ["'RF'", 'RF-UC']),
        ({'convention': 'none'}, ["'none'", 'pair', 'all-labels']),
        ({'shots': 0}, ['shots is 0', '1 or more']),
    ],
)
def test_a_setting_that_there_is_not(values: dict, words: list[str]) -> None:
    with pytest.raises(ValueError) as error:
        SettingConfig(**values)
    assert [word for word in words if word not in str(error.value)] == []


def test_settings_have_names() -> None:
    assert str(SettingConfig()) == 'fully supervised'
    assert str(SettingConfig('UV', 'all-labels', 4)) == 'zero-shot UV (all-labels), 4-shot'


def test_real_annotations(shared: Path) -> None:
    """Both conventions keep only seen labels, and the stricter one keeps fewer."""
    images = read_hico_det(
        shared / 'data' / 'hicodet' / 'instances_train2015.coco80.from_hake.json.gz'
    )
    unseen = zero_shot_split('UV')
    labels = []
    for convention in ('pair', 'all-labels'):
        hoi = np.concatenate([found.hoi for found in training_pairs(images, unseen, convention)])
        assert not np.isin(hoi, unseen).any()
        labels.append(len(hoi))
    everything = np.concatenate([found.hoi for found in images])
    assert labels[0] == (~np.isin(everything, unseen)).sum() > labels[1] > 0
