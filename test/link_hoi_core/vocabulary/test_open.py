"""Any words make a vocabulary: what was known stays as it was, what is new is complete."""

from __future__ import annotations

import numpy as np
import pytest

from link_hoi_core.vocabulary import (
    Vocabulary,
    base_objects,
    base_verbs,
    load_vocabulary,
    with_objects,
    with_verbs,
)
from link_hoi_core.vocabulary.inflection import ing_form, with_article


@pytest.fixture(params=['hico-det', 'v-coco', 'swig-hoi'])
def base(request: pytest.FixtureRequest) -> Vocabulary:
    return load_vocabulary(request.param)


def check_classes(vocabulary: Vocabulary) -> None:
    """Every array and text is as long as it must be, and they say the same."""
    objects, verbs = len(vocabulary.objects), len(vocabulary.verbs)
    assert len(vocabulary.object_synonyms) == objects
    assert len(vocabulary.verb_phrases) == len(vocabulary.verb_prompts) == verbs
    assert vocabulary.valid.shape == vocabulary.hoi_index.shape == (objects, verbs)
    assert vocabulary.valid.dtype == bool and vocabulary.hois.dtype == np.int64
    assert len(vocabulary.hois) == len(vocabulary.prompts) == vocabulary.valid.sum()
    verb, object_ = vocabulary.hois.T
    np.testing.assert_array_equal(vocabulary.hoi_index[object_, verb], np.arange(len(verb)))
    np.testing.assert_array_equal(vocabulary.hoi_index >= 0, vocabulary.valid)
    assert vocabulary.rare is vocabulary.frequency is vocabulary.evaluated is None
    for array in (vocabulary.valid, vocabulary.hois, vocabulary.hoi_index):
        assert not array.flags.writeable


def test_all_verbs_of_a_benchmark_give_its_own_classes(base: Vocabulary) -> None:
    same = with_verbs(base, base.verbs)
    check_classes(same)
    assert same.id.startswith(f'{base.id}+custom-')
    for name in ('objects', 'object_synonyms', 'verbs', 'verb_phrases', 'verb_prompts'):
        assert getattr(same, name) == getattr(base, name), name
    np.testing.assert_array_equal(same.valid, base.valid)
    np.testing.assert_array_equal(base_verbs(base, same), np.arange(len(base.verbs)))
    np.testing.assert_array_equal(base_objects(base, same), np.arange(len(base.objects)))
    for (verb, object_), prompt in zip(same.hois, same.prompts):
        assert prompt == base.prompts[base.hoi_index[object_, verb]]


def test_known_verbs_keep_their_texts_and_objects_however_spelt() -> None:
    base = load_vocabulary('hico-det')
    found = with_verbs(base, ['Sitting on', 'ride', 'no interaction'])
    check_classes(found)
    assert found.verbs == ('sit_on', 'ride', 'no_interaction')
    assert found.verb_phrases == ('sitting on', 'riding', 'no interaction')
    rows = base_verbs(base, found)
    assert [base.verbs[row] for row in rows] == list(found.verbs)
    np.testing.assert_array_equal(found.valid, base.valid[:, rows])
    assert not found.valid[found.object_index('pizza'), 1]  # nobody rides a pizza
    assert found.verb_index('sit on') == 0


def test_a_verb_is_known_by_its_plain_form_where_the_benchmark_has_another() -> None:
    v_coco, swig = load_vocabulary('v-coco'), load_vocabulary('swig-hoi')
    assert with_verbs(v_coco, ['ride', 'sit on']).verbs == ('ride instr', 'sit instr')
    assert with_verbs(swig, ['ride', 'cut']).verbs == ('riding', 'cut')
    assert base_verbs(swig, with_verbs(swig, ['ride', 'cut'])).tolist() == [
        swig.verbs.index('riding'),
        -1,
    ]


def test_new_verbs_are_complete_and_go_with_every_object(base: Vocabulary) -> None:
    found = with_verbs(base, ['Juggle with', 'plug_in'])
    check_classes(found)
    assert found.verbs == ('juggle_with', 'plug_in')
    assert found.verb_phrases == ('juggling with', 'plugging in')
    assert found.verb_prompts[0] == 'a photo of a person is juggling with the object'
    assert found.valid.all() and (base_verbs(base, found) == -1).all()
    apple = found.object_index('apple')
    assert found.prompts[found.hoi_index[apple, 1]] == 'A photo of a person plugging in an apple'
    for spelling in ('juggle with', 'Juggling_with', 'juggle_with'):
        assert found.verb_index(spelling) == 0


def test_doing_nothing_is_worded_as_hico_words_it() -> None:
    found = with_verbs(load_vocabulary('v-coco'), ['no_interaction', 'hold'])
    assert found.verb_phrases[0] == 'no interaction'
    assert found.verb_prompts[0] == load_vocabulary('hico-det').verb_prompts[57]
    assert found.prompts[found.hoi_index[1, 0]] == 'A photo of a person and a bicycle'


def test_objects_known_and_new() -> None:
    base = load_vocabulary('hico-det')
    found = with_objects(base, ['mug', 'Robot arm'])
    check_classes(found)
    assert found.objects == ('person', 'cup', 'robot_arm') and found.person == 0
    assert base_objects(base, found).tolist() == [0, base.objects.index('cup'), -1]
    np.testing.assert_array_equal(found.valid[1], base.valid[base.objects.index('cup')])
    assert found.valid[2].all()
    assert found.object_index('mug') == 1 and found.object_index('ROBOT_ARM') == 2
    assert found.object_index('bicycle') is None
    assert 'A photo of a person holding a robot arm' in found.prompts
    assert with_objects(base, ['cup', 'human']).objects == ('cup', 'person')


def test_verbs_and_objects_may_both_be_new() -> None:
    base = load_vocabulary('hico-det')
    found = with_verbs(with_objects(base, ['cup', 'robot arm']), ['hold', 'repair', 'teleoperate'])
    check_classes(found)
    assert found.id.startswith('hico-det+custom-')
    assert found.id == with_verbs(found, found.verbs).id != with_verbs(base, ['hold']).id
    assert base_verbs(base, found).tolist() == [36, 75, -1]
    assert base_objects(base, found).tolist() == [0, 41, -1]
    assert found.valid.tolist() == [[True, False, True], [True, False, True], [True, True, True]]
    assert found.prompts[-1] == 'A photo of a person teleoperating a robot arm'


def test_words_of_another_script_are_told_apart() -> None:
    found = with_objects(load_vocabulary('hico-det'), ['椅子', '机械臂', 'crème brûlée'])
    assert found.object_index('机械臂') == 2 and found.object_index('Crème Brûlée') == 3
    assert found.object_index('杯子') is None and found.object_index('') is None


@pytest.mark.parametrize('change', [with_verbs, with_objects])
@pytest.mark.parametrize(
    ('words', 'said'),
    [
        ([], 'no (verbs|objects) are given'),
        ('ride, hold', "the one text 'ride, hold', expected a list"),
        (['train', 5], '5 is among the (verbs|objects), expected words'),
        (['train', ' _ '], "' _ ' is among the (verbs|objects), expected words"),
        (['train', 'wave', 'train'], "'train' and 'train' are the same"),
        (['pick_berries', 'Pick berries'], "'pick_berries' and 'Pick berries' are the same"),
    ],
)
def test_bad_words_are_named_in_one_sentence(change: object, words: object, said: str) -> None:
    with pytest.raises(ValueError, match=said) as error:
        change(load_vocabulary('hico-det'), words)
    assert '\n' not in str(error.value)


def test_two_forms_of_one_word_are_one() -> None:
    base = load_vocabulary('hico-det')
    for verbs in (['sit_on', 'sitting on'], ['juggle', 'juggling']):
        with pytest.raises(ValueError, match='are the same among the verbs: give it once'):
            with_verbs(base, verbs)
    with pytest.raises(ValueError, match="'mug' and 'cup' are the same among the objects"):
        with_objects(base, ['mug', 'cup'])


def test_ing_forms_are_those_of_the_benchmarks() -> None:
    hico, swig = load_vocabulary('hico-det'), load_vocabulary('swig-hoi')
    for verb, phrase in zip(hico.verbs, hico.verb_phrases):
        if verb != 'no_interaction':
            assert ing_form(verb) == phrase
    for phrase in (*hico.verb_phrases, *swig.verb_phrases):
        if phrase != 'no interaction':
            assert ing_form(phrase) == phrase


@pytest.mark.parametrize(
    ('verb', 'expected'),
    [
        ('bring', 'bringing'),
        ('be', 'being'),
        ('see', 'seeing'),
        ('dye', 'dyeing'),
        ('mimic', 'mimicking'),
        ('quit', 'quitting'),
        ('visit', 'visiting'),
        ('unplug', 'unplugging'),
        ('look at', 'looking at'),
        ('Plug_In', 'plugging in'),
        ('fix', 'fixing'),
    ],
)
def test_ing_forms_of_other_verbs(verb: str, expected: str) -> None:
    assert ing_form(verb) == expected


def test_articles() -> None:
    assert with_article('umbrella') == 'an umbrella'
    assert with_article('hot_dog') == 'a hot dog'
