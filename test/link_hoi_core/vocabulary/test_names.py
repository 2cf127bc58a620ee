"""A detector's name of a COCO object leads to HICO's, and a COCO category id to its index."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from link_hoi_core.vocabulary import COCO80, COCO91_IDS, coco80_of_coco91, load_vocabulary
from link_hoi_core.vocabulary.names import SYNONYMS, coco_synonyms, name_key


@pytest.mark.parametrize(
    ('name', 'expected'),
    [
        ('tvmonitor', 'tv'),
        ('tv_monitor', 'tv'),
        ('TV', 'tv'),
        ('television', 'tv'),
        ('aeroplane', 'airplane'),
        ('motorbike', 'motorcycle'),
        ('sofa', 'couch'),
        ('pottedplant', 'potted_plant'),
        ('Potted Plant', 'potted_plant'),
        ('diningtable', 'dining_table'),
        ('cell phone', 'cell_phone'),
        ('cellphone', 'cell_phone'),
        ('mobile phone', 'cell_phone'),
        ('hair dryer', 'hair_drier'),
        ('hair drier', 'hair_drier'),
        ('doughnut', 'donut'),
        ('ski', 'skis'),
        ('hot-dog', 'hot_dog'),
        ('wineglass', 'wine_glass'),
        ('sports ball', 'sports_ball'),
        ('tennis racquet', 'tennis_racket'),
        ('people', 'person'),
        ('bike', 'bicycle'),
    ],
)
@pytest.mark.parametrize('vocabulary', ['hico-det', 'v-coco'])
def test_a_detectors_spelling_is_found(name: str, expected: str, vocabulary: str) -> None:
    found = load_vocabulary(vocabulary)
    index = found.object_index(name)
    assert index is not None and found.objects[index] == expected


def test_every_synonym_leads_to_its_object_and_to_no_other() -> None:
    vocabulary = load_vocabulary('hico-det')
    names = [(name, name) for name in COCO80]
    names += [(other, name) for name, others in SYNONYMS.items() for other in others]
    assert len({name_key(spelling) for spelling, _ in names}) == len(names)
    for spelling, name in names:
        assert vocabulary.object_index(spelling) == COCO80.index(name)
        assert coco_synonyms(spelling)[0] == name


@pytest.mark.parametrize('name', ['lamp', '', 'persons of interest', 'ca'])
def test_another_object_is_none(name: str) -> None:
    assert load_vocabulary('hico-det').object_index(name) is None
    assert coco_synonyms(name) == ()


def test_coco_order_is_the_data_sets() -> None:
    assert COCO80 == load_vocabulary('hico-det').objects
    assert len(COCO91_IDS) == 80
    ids = {'person': 1, 'stop_sign': 13, 'backpack': 27, 'tv': 72, 'toothbrush': 90}
    assert {COCO80[coco80_of_coco91(i)]: i for i in ids.values()} == ids


@pytest.mark.parametrize('category', [0, 12, 91, -1])
def test_an_unused_category_id_is_refused(category: int) -> None:
    with pytest.raises(ValueError, match=f'no category {category}'):
        coco80_of_coco91(category)


def test_category_ids_agree_with_the_published_table(shared: Path) -> None:
    for row in json.loads((shared / 'data/hicodet/hico_hoi_table.json').read_text())['hoi']:
        assert coco80_of_coco91(row['coco91_id']) == row['coco80_idx']
