"""The scenes that costs are measured on have the pairs that they say."""

from __future__ import annotations

import pytest

from link_hoi_core.benchmark.scenes import crowded_scene, people_and_things
from link_hoi_core.model.scene import count_pairs
from link_hoi_core.ranking import choose_detections
from link_hoi_core.vocabulary import load_vocabulary


@pytest.mark.parametrize(('pairs', 'expected'), [(60, (4, 12)), (435, (15, 15)), (1, (1, 1))])
def test_people_and_things(pairs: int, expected: tuple[int, int]) -> None:
    assert people_and_things(pairs) == expected


@pytest.mark.parametrize('pairs', [1, 60, 72, 210, 435])
@pytest.mark.parametrize('name', ['hico-det', 'swig-hoi'])
def test_all_of_a_scene_is_selected(name: str, pairs: int) -> None:
    vocabulary = load_vocabulary(name)
    scene = crowded_scene(pairs, vocabulary)
    kept = choose_detections(scene, vocabulary, select=True)
    assert sorted(kept) == list(range(len(scene)))
    assert count_pairs(scene.labels, vocabulary.person) == pairs


@pytest.mark.parametrize('pairs', [-4, 0, 434, 100_000])
def test_no_scene_has_so_many_pairs(pairs: int) -> None:
    with pytest.raises(ValueError, match=f'{pairs} pairs cannot be made'):
        crowded_scene(pairs, load_vocabulary('hico-det'))
