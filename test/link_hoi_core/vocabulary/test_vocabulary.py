"""The vocabularies are those of the benchmarks, and find a name however it is spelt."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from link_hoi_core.vocabulary import Vocabulary, load_vocabulary, v_coco_actions
from link_hoi_core.vocabulary.vocabulary import TABLES

ROOT = Path(__file__).resolve().parents[3]
NAMES = ('hico-det', 'v-coco', 'swig-hoi')


@pytest.fixture(params=NAMES)
def vocabulary(request: pytest.FixtureRequest) -> Vocabulary:
    return load_vocabulary(request.param)


@pytest.mark.parametrize(
    ('name', 'objects', 'verbs', 'hois'),
    [('hico-det', 80, 117, 600), ('v-coco', 80, 24, 236), ('swig-hoi', 1000, 407, 14130)],
)
def test_counts_are_the_benchmarks(name: str, objects: int, verbs: int, hois: int) -> None:
    vocabulary = load_vocabulary(name)
    assert vocabulary.id == name
    assert len(vocabulary.objects) == len(vocabulary.object_synonyms) == objects
    assert len(vocabulary.verbs) == len(vocabulary.verb_phrases) == verbs
    assert len(vocabulary.verb_prompts) == len(set(vocabulary.verb_prompts)) == verbs
    assert vocabulary.hois.shape == (hois, 2)
    assert len(vocabulary.prompts) == hois
    assert vocabulary.person == 0


def test_validity_and_index_say_what_the_classes_say(vocabulary: Vocabulary) -> None:
    verb, obj = vocabulary.hois.T
    assert vocabulary.valid.dtype == bool
    assert vocabulary.valid.shape == (len(vocabulary.objects), len(vocabulary.verbs))
    assert vocabulary.valid.sum() == len(vocabulary.hois)
    np.testing.assert_array_equal(vocabulary.hoi_index[obj, verb], np.arange(len(verb)))
    np.testing.assert_array_equal(vocabulary.hoi_index >= 0, vocabulary.valid)


def test_nobody_can_change_a_loaded_vocabulary(vocabulary: Vocabulary) -> None:
    assert load_vocabulary(vocabulary.id) is vocabulary
    for name in ('hois', 'rare', 'frequency', 'evaluated', 'valid', 'hoi_index'):
        array = getattr(vocabulary, name)
        if array is not None:
            with pytest.raises(ValueError, match='read-only'):
                array[0] = 1
    with pytest.raises(AttributeError):
        vocabulary.id = 'mine'  # type: ignore[misc]


def test_every_name_finds_itself(vocabulary: Vocabulary) -> None:
    for i, name in enumerate(vocabulary.objects):
        assert vocabulary.object_index(name) == vocabulary.objects.index(name)
        assert vocabulary.object_index(name.replace('_', ' ').title()) is not None, (i, name)
    for i, (verb, phrase) in enumerate(zip(vocabulary.verbs, vocabulary.verb_phrases)):
        assert vocabulary.verb_index(verb) == vocabulary.verb_index(phrase) == i


def test_hico_det_classes_and_rare_set() -> None:
    vocabulary = load_vocabulary('hico-det')
    assert vocabulary.rare is not None and vocabulary.rare.sum() == 138
    assert vocabulary.frequency is None and vocabulary.evaluated is None
    ride, bicycle = vocabulary.verb_index('ride'), vocabulary.object_index('bicycle')
    hoi = vocabulary.hoi_index[bicycle, ride]
    assert (hoi, vocabulary.prompts[hoi]) == (18, 'A photo of a person riding a bicycle')
    assert not vocabulary.rare[hoi]
    assert vocabulary.verbs[57] == 'no_interaction'
    assert vocabulary.verb_phrases[57] == 'no interaction'
    assert vocabulary.valid[:, 57].all()
    assert vocabulary.verb_index('sitting on') == vocabulary.verbs.index('sit_on')
    assert {'controlling', 'spinning'} <= set(vocabulary.verb_phrases)
    assert vocabulary.verb_prompts[ride] == 'a photo of a person is riding the object'


def test_hico_det_agrees_with_the_published_table(shared: Path) -> None:
    vocabulary = load_vocabulary('hico-det')
    for row in json.loads((shared / 'data/hicodet/hico_hoi_table.json').read_text())['hoi']:
        verb, obj = vocabulary.hois[row['hoi']]
        assert (vocabulary.verbs[verb], vocabulary.objects[obj]) == (row['verb'], row['object'])
        assert vocabulary.rare is not None and vocabulary.rare[row['hoi']] == row['rare']
        assert row['rare'] == (row['train_pairs_hake'] < 10)


def test_v_coco_has_24_classes_of_26_actions() -> None:
    vocabulary, actions = load_vocabulary('v-coco'), v_coco_actions()
    assert vocabulary.objects == load_vocabulary('hico-det').objects
    assert len(actions) == 26
    assert {a.name for a in actions if not a.roles} == {'walk', 'stand', 'run', 'smile'}
    pairs = [(a, r, v) for a in actions for r, v in zip(a.roles, a.verbs)]
    assert [(a.name, r) for a, r, v in pairs if v is None] == [('point', 'instr')]
    named = [(v, f'{a.name} {r}') for a, r, v in pairs if v is not None]
    assert sorted(named) == list(enumerate(vocabulary.verbs))
    hit = next(a for a in actions if a.name == 'hit')
    assert hit.roles == ('instr', 'obj')
    assert hit.objects == (('tennis_racket', 'baseball_bat'), ('sports_ball',))
    kick = vocabulary.verbs.index('kick obj')
    assert vocabulary.valid[vocabulary.object_index('sports ball'), kick]
    assert vocabulary.valid[:, kick].sum() == 1


def test_swig_hoi_evaluates_5539_interactions() -> None:
    vocabulary = load_vocabulary('swig-hoi')
    assert vocabulary.rare is None
    assert vocabulary.evaluated is not None and vocabulary.frequency is not None
    counts = np.bincount(vocabulary.frequency[vocabulary.evaluated])
    assert counts.tolist() == [1391, 2841, 1307]  # novel, rare, common
    assert vocabulary.verb_phrases == vocabulary.verbs
    assert vocabulary.prompts[1] == 'A photo of a person surfing a surfboard'


def test_swig_hoi_finds_coco_objects_by_sense() -> None:
    vocabulary = load_vocabulary('swig-hoi')

    def found(name: str) -> str | None:
        index = vocabulary.object_index(name)
        return None if index is None else vocabulary.objects[index]

    assert found('cell_phone') == 'cellular telephone'
    assert found('mobile phone') == 'cellular telephone'
    assert found('tv') == 'television'
    assert found('bike') == 'bicycle'
    assert found('fire_hydrant') is None  # and not the water faucet, of which hydrant is a synonym
    assert found('giraffe') is None
    assert found('hot_dog') == found('Hot dog') == 'hot dog'  # and not the hotdog, a stuntman
    assert found('') is None


@pytest.mark.parametrize('name', ['hico', 'HICO-DET', 'vcoco', ''])
def test_an_unknown_vocabulary_is_told_the_nearest(name: str) -> None:
    with pytest.raises(ValueError, match="did you mean '(hico-det|v-coco)'") as error:
        load_vocabulary(name)
    assert '\n' not in str(error.value)


def test_words_need_neither_torch_nor_ros() -> None:
    code = (
        'import sys; from link_hoi_core.vocabulary import load_vocabulary, text_embeddings; '
        "text_embeddings(load_vocabulary('hico-det').objects); "
        "print(sorted({'torch', 'rclpy', 'sentence_transformers'} & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, '-c', code], cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert result.stdout.strip() == '[]'


def test_the_tables_are_what_the_script_makes(shared: Path, tmp_path: Path) -> None:
    script = ROOT / 'tools' / 'make_vocabulary.py'
    subprocess.run(
        [sys.executable, script, '--shared', shared, '--output', tmp_path], cwd=ROOT, check=True
    )
    made = sorted(path.name for path in tmp_path.iterdir())
    assert made == ['hico_det.json', 'swig_hoi.json.gz', 'v_coco.json', 'zero_shot.json']
    for name in made:
        assert _content(tmp_path / name) == _content(TABLES / name), name


def _content(path: Path) -> bytes:
    """Bytes of a table; uncompressed, as another zlib compresses to other bytes."""
    return gzip.decompress(path.read_bytes()) if path.suffix == '.gz' else path.read_bytes()
