"""The whole model: what is beside an image in a batch must not matter to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from link_hoi_core.model.link import Link
from link_hoi_core.model.scene import Scene, build_scene
from link_hoi_core.structures import Detections

PERSON = 0


def detections(labels: list[int], seed: int, size: tuple[int, int]) -> Detections:
    random = np.random.default_rng(seed)
    low = random.uniform(0, 200, (len(labels), 2))
    boxes = np.concatenate((low, low + random.uniform(10, 150, (len(labels), 2))), axis=1)
    return Detections(boxes, random.uniform(0.3, 1, len(labels)), labels, size)


IMAGES = [
    detections([0, 5, 0, 7, 7, 0], 0, (480, 640)),
    detections([0, 1], 1, (1080, 1920)),
    detections([56, 0, 57], 2, (400, 400)),
    detections([3, 0], 3, (375, 500)),
]


def double(scene: Scene) -> Scene:
    values = (getattr(scene, field.name) for field in fields(scene))
    return Scene(*(value.double() if value.is_floating_point() else value for value in values))


@pytest.fixture
def model(make_model: Callable[..., Link]) -> Link:
    return make_model().double()


def test_logits_of_every_layer(model: Link) -> None:
    outputs = model(double(build_scene(IMAGES, PERSON))).logits
    assert [output.shape for output in outputs] == [(4, 15, 117)] * model.config.decoder_layers
    assert not torch.allclose(outputs[0], outputs[1])


def test_an_image_gives_in_a_batch_what_it_gives_alone(model: Link) -> None:
    batch = model(double(build_scene(IMAGES, PERSON))).logits
    for row, image in enumerate(IMAGES):
        alone = model(double(build_scene([image], PERSON))).logits
        for layer_batch, layer_alone in zip(batch, alone):
            found = layer_batch[row, : layer_alone.shape[1]]
            torch.testing.assert_close(found, layer_alone[0], rtol=0, atol=1e-10)


def test_what_stands_in_the_padding_does_not_matter(model: Link) -> None:
    scene = double(build_scene(IMAGES, PERSON))
    absent, no_pair = ~scene.present, ~scene.pair_present
    boxes, labels, pairs = scene.boxes.clone(), scene.labels.clone(), scene.pairs.clone()
    boxes[absent] = torch.tensor([7.0, 8.0, 300.0, 200.0]).double()
    labels[absent] = 40
    pairs[no_pair] = torch.tensor([1, 0])
    expected = model(scene).logits[-1][scene.pair_present]
    found = model(replace(scene, boxes=boxes, labels=labels, pairs=pairs)).logits[-1][scene.pair_present]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def test_an_image_without_a_pair_leaves_the_others_alone(model: Link) -> None:
    """No human, a lone human, and nothing at all; also in the gradient."""
    empty = Detections.empty((480, 640))
    lonely = [detections([5, 6], 4, (480, 640)), detections([0], 5, (480, 640)), empty]
    scene = double(build_scene([IMAGES[0], *lonely], PERSON))
    output = model(scene).logits[-1]
    alone = model(double(build_scene([IMAGES[0]], PERSON))).logits[-1]
    torch.testing.assert_close(output[0], alone[0], rtol=0, atol=1e-10)
    output[scene.pair_present].sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


def test_no_pair_at_all(model: Link) -> None:
    scene = double(build_scene([detections([5, 6], 4, (480, 640))], PERSON))
    assert model(scene).logits[-1].shape == (1, 0, 117)


def test_the_gradient_reaches_every_parameter(model: Link) -> None:
    scene = double(build_scene(IMAGES, PERSON))
    torch.manual_seed(0)
    output = torch.stack(model(scene).logits)
    (output * torch.randn_like(output)).sum().backward()
    without = [
        name
        for name, parameter in model.named_parameters()
        if parameter.grad is None or not parameter.grad.any()
    ]
    assert without == []


def test_size_of_the_image_matters_only_by_ratio(model: Link) -> None:
    """Boxes and image scaled together are the same scene; areas' epsilon aside."""
    image = IMAGES[0]
    larger = Detections(image.boxes * 2, image.scores, image.labels, (960, 1280))
    expected, found = (model(double(build_scene([one], PERSON))).logits[-1] for one in (image, larger))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-8)


def test_objects_are_told_apart_by_name_and_scores_do_not_enter(model: Link) -> None:
    scene = double(build_scene([IMAGES[1]], PERSON))
    other_name = replace(scene, labels=torch.tensor([[0, 2]]))
    other_score = replace(scene, scores=scene.scores / 2)
    assert not torch.allclose(model(other_name).logits[-1], model(scene).logits[-1])
    torch.testing.assert_close(model(other_score).logits[-1], model(scene).logits[-1], rtol=0, atol=0)
