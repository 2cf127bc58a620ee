"""A predictor that looks at pixels: its scores, what it takes as a picture, and its precision."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from predictor_checks import (
    BICYCLE,
    CHAIR,
    PERSON,
    SIZE,
    MakePredictor,
    one_sentence,
    picture,
    random_detections,
    rows,
    same,
)

from link_hoi_core.checkpoint import load_checkpoint
from link_hoi_core.model.scene import build_scene
from link_hoi_core.model.scoring import VerbFilter
from link_hoi_core.predictor import HoiPredictor
from link_hoi_core.structures import Detections


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


def test_there_is_no_such_precision(make_predictor: MakePredictor) -> None:
    with pytest.raises(ValueError) as error:
        make_predictor(precision='int8')
    one_sentence(error, "'int8'", 'fp32', 'bf16', 'fp16')


def test_predictors_of_one_checkpoint_leave_each_other_alone(seeing_checkpoint: Path) -> None:
    found, image = random_detections(6, 8), np.zeros((*SIZE, 3), np.uint8)
    checkpoint = load_checkpoint(seeing_checkpoint)
    first = HoiPredictor(checkpoint)
    expected = rows(first.predict(image, found))
    HoiPredictor(checkpoint, precision='bf16').predict(image, found)
    assert rows(first.predict(image, found)) == expected
