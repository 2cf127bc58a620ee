"""A model of one data set is evaluated on another: its classes are translated by meaning."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from link_hoi_core.evaluation.cross_domain import CLASS_MAPS, as_source, class_map, translate
from link_hoi_core.evaluation.pairs import ScoredPairs
from link_hoi_core.structures import Detections
from link_hoi_core.vocabulary import (
    Vocabulary,
    base_verbs,
    load_vocabulary,
    with_objects,
    with_verbs,
)
from link_hoi_core.vocabulary.vocabulary import read_table

HICO, V_COCO, SWIG = (load_vocabulary(name) for name in ('hico-det', 'v-coco', 'swig-hoi'))


def class_of(vocabulary: Vocabulary, verb: str, object_: str) -> int:
    """Id of an HOI class that there is."""
    found = vocabulary.hoi_index[vocabulary.objects.index(object_), vocabulary.verbs.index(verb)]
    assert found >= 0, (verb, object_)
    return int(found)


def says(source: Vocabulary, target: Vocabulary, verb: str, object_: str) -> set[str]:
    """What one class of the source is in the target, by name."""
    classes = class_map(source, target)
    found = classes.target_class[classes.source_class == class_of(source, verb, object_)]
    if target is V_COCO:
        return {target.verbs[verb] for verb in found}
    return {
        f'{target.verbs[verb]} {target.objects[object_]}' for verb, object_ in target.hois[found]
    }


def pairs(rows: Sequence[tuple[int, float, int, float]]) -> ScoredPairs:
    """Predictions (image, left edge of the person, class, score)."""
    image, left, hoi, score = zip(*rows)
    boxes = np.array([[x, 0, x + 10, 20] for x in left], np.float32)
    return ScoredPairs(
        np.array(image, np.int32), boxes, boxes + 5, np.array(hoi, np.int32), np.array(score)
    )


def test_hico_det_in_v_coco() -> None:
    assert says(HICO, V_COCO, 'hold', 'cup') == {'hold obj'}
    assert says(HICO, V_COCO, 'ride', 'horse') == {'ride instr', 'sit instr'}
    assert says(HICO, V_COCO, 'ride', 'snowboard') == {'snowboard instr'}
    assert says(HICO, V_COCO, 'read', 'laptop') == {'look obj', 'work_on_computer instr'}
    assert says(HICO, V_COCO, 'cut_with', 'scissors') == {'cut instr'}
    assert says(HICO, V_COCO, 'cut', 'pizza') == {'cut obj'}
    assert says(HICO, V_COCO, 'sip', 'spoon') == {'eat instr'}
    # V-COCO's official files define no such role: one sits on a horse, not on a boat.
    assert says(HICO, V_COCO, 'sit_on', 'boat') == set()
    assert says(HICO, V_COCO, 'no_interaction', 'cup') == set()


def test_other_words_of_one_data_set_are_its_classes_where_it_has_them() -> None:
    """What an operator asks for at run time can be evaluated, as far as it is annotated."""
    asked = with_verbs(HICO, ['ride', 'juggle', 'holding'])
    assert says(asked, HICO, 'ride', 'bicycle') == {'ride bicycle'}
    assert says(asked, HICO, 'hold', 'cup') == {'hold cup'}
    assert says(asked, HICO, 'juggle', 'cup') == set()
    classes = class_map(asked, HICO)
    assert len(classes.target_class) == int(HICO.valid[:, base_verbs(HICO, asked)[[0, 2]]].sum())
    assert {name.split()[0] for name in classes.unmapped_source} == {'juggle'}
    assert len(classes.unmapped_target) == 600 - len(classes.target_class)
    assert classes.source_objects.tolist() == list(range(80))

    few = with_objects(HICO, ['robot arm', 'cup'])
    assert says(few, HICO, 'hold', 'cup') == {'hold cup'}
    objects = class_map(few, HICO).source_objects
    assert (objects[HICO.objects.index('cup')], objects[HICO.person]) == (2, 0)
    assert (objects >= 0).sum() == 2


def test_swig_hoi_in_both() -> None:
    assert says(SWIG, HICO, 'kicking', 'soccer ball') == {'kick sports_ball'}
    assert says(SWIG, HICO, 'hitting', 'bat') == {
        f'{verb} baseball_bat' for verb in ('swing', 'wield', 'hold')
    }
    assert says(SWIG, V_COCO, 'hitting', 'bat') == {'hit instr', 'hold obj'}
    assert says(SWIG, HICO, 'slicing', 'carrot') == {'cut carrot'}
    assert says(SWIG, HICO, 'slicing', 'knife') == {'cut_with knife', 'hold knife'}
    assert says(SWIG, V_COCO, 'spying', 'laptop') == set()  # with it, not at it


def test_what_a_map_lacks_is_listed_by_name() -> None:
    assert class_map(HICO, V_COCO).unmapped_target == ()
    assert {'lasso cow', 'no_interaction cup'} <= set(class_map(HICO, V_COCO).unmapped_source)
    assert class_map(SWIG, V_COCO).unmapped_target == ('snowboard instr',)
    lacking = set(class_map(SWIG, HICO).unmapped_target)
    assert 'ride zebra' not in lacking  # no class of HICO-DET either
    assert {'zip suitcase', 'stop_at stop_sign', 'no_interaction person'} <= lacking
    assert 'ride bicycle' not in lacking


@pytest.mark.parametrize(('source', 'target'), CLASS_MAPS)
def test_each_class_is_mapped_or_listed(source: str, target: str) -> None:
    classes = class_map(load_vocabulary(source), load_vocabulary(target))
    count = len(classes.target.verbs if target == 'v-coco' else classes.target.hois)
    assert len(set(classes.target_class)) + len(classes.unmapped_target) == count
    in_vain = len(classes.unmapped_source)
    assert len(set(classes.source_class)) + in_vain == len(classes.source.hois)
    entries = set(zip(classes.source_class.tolist(), classes.target_class.tolist()))
    assert len(entries) == len(classes.source_class)


@pytest.mark.parametrize(('source', 'target'), CLASS_MAPS)
def test_table_has_no_rule_without_effect(source: str, target: str) -> None:
    """A verb or an object that no class has is a slip of the pen."""
    source_words, target_words = load_vocabulary(source), load_vocabulary(target)
    classes = class_map(source_words, target_words)
    table = read_table('class_maps.json')
    synonyms = table['objects'].get(source)
    rules = dict(table[f'{source} to {target}'])
    notes = rules.pop('notes')
    assert set(notes) <= set(rules) == set(target_words.verbs)
    for target_verb, texts in rules.items():
        verb_of = target_words.verbs.index(target_verb)
        of_target = classes.target_class
        if target != 'v-coco':
            of_target = target_words.hois[classes.target_class, 0]
        verbs, objects = source_words.hois[classes.source_class[of_target == verb_of]].T
        found = {(source_words.verbs[v], source_words.objects[o]) for v, o in zip(verbs, objects)}
        for text in texts:
            verb, _, names = text.partition(': ')
            matching = {o for v, o in found if verb in (v, '*')}
            assert matching, (target_verb, text)
            for name in names.split():
                known = {name} if synonyms is None else set(synonyms[name].split(', '))
                assert matching & known, (target_verb, text, name)


def test_v_coco_and_hico_det_agree_on_what_swig_hoi_holds() -> None:
    table = read_table('class_maps.json')
    assert table['swig-hoi to v-coco']['hold obj'] == table['swig-hoi to hico-det']['hold']


def test_objects_are_renamed_for_a_model_of_the_source() -> None:
    names = ['sports_ball', 'zebra', 'person', 'dining_table', 'mouse']
    labels = [HICO.objects.index(name) for name in names]
    boxes = np.tile(np.array([0, 0, 9, 9], np.float32), (6, 1))
    found = Detections(boxes, np.ones(6), np.array([*labels, -1]), (10, 10))
    renamed = as_source(found, class_map(SWIG, HICO)).labels
    assert [SWIG.objects[i] if i >= 0 else None for i in renamed] == [
        *('ball', None, 'person', 'table', 'mouse', None)
    ]
    assert 'computer mouse' in SWIG.object_synonyms[renamed[4]]  # and not the animal
    np.testing.assert_array_equal(as_source(found, class_map(HICO, V_COCO)).labels, found.labels)


def test_recorded_boxes_are_named_in_the_same_way() -> None:
    """A file of detections finds its labels in SWiG-HOI by name, annotated boxes by the table."""
    by_name = [SWIG.object_index(name) for name in HICO.objects]
    by_table = class_map(SWIG, HICO).source_objects.tolist()
    assert by_table == [-1 if index is None else index for index in by_name]


def test_every_object_of_coco_has_one_name_in_swig_hoi_at_most() -> None:
    """One object of the source is one object of the target."""
    used = [name for o, text in _swig_objects().items() for name in text.split(', ')]
    assert len(used) == len(set(used))
    assert set(used) <= set(SWIG.objects)
    assert set(_swig_objects()) <= set(HICO.objects)


def test_translation_keeps_the_best_score_of_each_pair_and_class() -> None:
    hold, carry, wear = (class_of(HICO, v, 'backpack') for v in ('hold', 'carry', 'wear'))
    ride, lasso = class_of(HICO, 'ride', 'horse'), class_of(HICO, 'lasso', 'cow')
    given = pairs(
        [
            (0, 0.0, wear, 0.6),
            (0, 0.0, lasso, 0.9),  # no class of V-COCO
            (0, 0.0, carry, 0.7),  # as 'wear' of the same pair, and better
            (0, 0.0, hold, 0.5),
            (0, 1.0, carry, 0.2),  # of another person
            (1, 0.0, wear, 0.1),  # in another image
            (1, 0.0, ride, 0.4),  # two classes of V-COCO
        ]
    )
    found = translate(given, class_map(HICO, V_COCO))
    rows = [
        (int(image), float(box[0]), V_COCO.verbs[hoi], float(score))
        for image, box, hoi, score in zip(found.image, found.boxes_h, found.hoi, found.score)
    ]
    assert sorted(rows[-2:]) == [(1, 0.0, 'ride instr', 0.4), (1, 0.0, 'sit instr', 0.4)]
    assert rows[:-2] == [
        (0, 0.0, 'carry obj', 0.7),
        (0, 0.0, 'hold obj', 0.5),
        (0, 1.0, 'carry obj', 0.2),
        (1, 0.0, 'carry obj', 0.1),
    ]
    np.testing.assert_array_equal(found.boxes_o, found.boxes_h + 5)
    assert (found.hoi.dtype, found.score.dtype) == (np.int32, np.float64)


def test_translation_of_nothing() -> None:
    assert len(translate(ScoredPairs.concatenate([]), class_map(SWIG, HICO))) == 0
    lasso = class_of(HICO, 'lasso', 'cow')
    assert len(translate(pairs([(0, 0.0, lasso, 1.0)]), class_map(HICO, V_COCO))) == 0


def test_no_map_is_said_in_one_sentence() -> None:
    with pytest.raises(ValueError, match='from v-coco to hico-det; there are hico-det to v-coco'):
        class_map(V_COCO, HICO)


def _swig_objects() -> dict[str, str]:
    table = dict(read_table('class_maps.json')['objects']['swig-hoi'])
    del table['about']
    return table
