"""The whole model against the reference; batches, padding, gradients, what it begins as."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import reference
import torch
from reference import double, randomised

from link_hoi_core.backbones.backbone import BackboneConfig
from link_hoi_core.checkpoint import build_model
from link_hoi_core.model.link import Link, LinkConfig, LinkOutput
from link_hoi_core.model.scene import Scene, build_scene
from link_hoi_core.structures import Detections

PERSON, OBJECTS, VERBS = 0, 80, 9
CHANNELS, MAP = 12, (5, 4)
TINY = {'width': 16, 'heads': 4}
PIXELS = BackboneConfig('timm:test_vit.r160_in1k', weights='random', text='minilm')
WITHOUT_PIXELS = [LinkConfig(**TINY, encoder=encoder) for encoder in ('geometrical', 'plain')]
WITH_PIXELS = [
    LinkConfig(**TINY, backbone=PIXELS, encoder=encoder, decoder=decoder, adapter=adapter)
    for encoder, decoder, adapter in product(('geometrical', 'plain'), ('linking', 'plain'), (0, 6))
]


def name(config: LinkConfig) -> str:
    adapted = '-adapter' if config.adapter else ''
    seen = f'{config.decoder}{adapted}' if sees_pixels(config) else 'boxes'
    return f'{config.encoder}-{seen}'


def sees_pixels(config: LinkConfig) -> bool:
    return config.backbone == PIXELS


every_configuration = pytest.mark.parametrize('config', WITHOUT_PIXELS + WITH_PIXELS, ids=name)
every_one_with_pixels = pytest.mark.parametrize('config', WITH_PIXELS, ids=name)


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


def scene_of(images: list[Detections]) -> Scene:
    return double(build_scene(images, PERSON))


def build(config: LinkConfig) -> Link:
    torch.manual_seed(0)
    width = CHANNELS if sees_pixels(config) else None
    return Link(config, width, torch.randn(OBJECTS, 7), torch.randn(VERBS, 10)).double().eval()


def maps(config: LinkConfig, count: int) -> torch.Tensor | None:
    torch.manual_seed(5)
    features = torch.randn(count, CHANNELS, *MAP, dtype=torch.float64)
    return features if sees_pixels(config) else None


def rows(features: torch.Tensor | None, index: slice) -> torch.Tensor | None:
    return None if features is None else features[index]


def values(output: LinkOutput) -> list[torch.Tensor]:
    """All that concerns pairs, layer by layer."""
    looks = [part for look in output.looks for part in (look.latent, look.native)]
    return [*output.logits, *(part for part in looks if part is not None)]


@every_configuration
def test_the_model_equals_the_reference(config: LinkConfig) -> None:
    model, features = randomised(build(config)), maps(config, len(IMAGES))
    output = model(scene_of(IMAGES), features)
    weights = reference.weights_of(model)
    for row, image in enumerate(IMAGES):
        expected = reference.link(
            config,
            weights,
            image.boxes.astype(np.float64).clip(0, np.tile(image.image_size[::-1], 2)),
            image.labels.tolist(),
            image.image_size,
            None if features is None else features[row].numpy(),
        )
        pairs = len(expected.logits[0])
        latent = [look.latent for look in output.looks]
        native = [look.native for look in output.looks if look.native is not None]
        for found, wanted, count in (
            (output.logits, expected.logits, pairs),
            (output.detections, expected.detections, len(image)),
            (latent, expected.latent, pairs),
            (native, expected.native, pairs),
        ):
            assert len(found) == len(wanted)
            for layer, loop in zip(found, wanted):
                mine = layer[row, :count].detach().numpy()
                np.testing.assert_allclose(mine, loop, rtol=1e-9, atol=1e-9)


@every_configuration
def test_output_of_every_layer(config: LinkConfig) -> None:
    config = replace(config, encoder_layers=3, decoder_layers=4)
    features = maps(config, 4)
    output = build(config)(scene_of(IMAGES), features)
    assert [layer.shape for layer in output.logits] == [(4, 15, VERBS)] * 4
    assert [layer.shape for layer in output.detections] == [(4, 6, 16)] * 3
    assert not torch.allclose(output.logits[0], output.logits[1])
    if features is None:
        assert output.looks == [] and output.features is None
        return
    assert [look.latent.shape for look in output.looks] == [(4, 15, 16)] * 4
    linking = config.decoder == 'linking'
    native = (4, 15, CHANNELS) if linking else None
    assert [look.native.shape if linking else look.native for look in output.looks] == [native] * 4
    assert output.features.shape == features.shape


@every_configuration
def test_an_image_gives_in_a_batch_what_it_gives_alone(config: LinkConfig) -> None:
    model, features = randomised(build(config)), maps(config, len(IMAGES))
    batch = model(scene_of(IMAGES), features)
    for row, image in enumerate(IMAGES):
        alone = model(scene_of([image]), rows(features, slice(row, row + 1)))
        for together, single in zip(values(batch), values(alone), strict=True):
            found = together[row, : single.shape[1]]
            torch.testing.assert_close(found, single[0], rtol=0, atol=1e-10)
        for together, single in zip(batch.detections, alone.detections, strict=True):
            found = together[row, : len(image)]
            torch.testing.assert_close(found, single[0], rtol=0, atol=1e-10)


@every_configuration
def test_what_stands_in_the_padding_does_not_matter(config: LinkConfig) -> None:
    model, features, scene = randomised(build(config)), maps(config, 4), scene_of(IMAGES)
    absent, no_pair = ~scene.present, ~scene.pair_present
    boxes, labels, pairs = scene.boxes.clone(), scene.labels.clone(), scene.pairs.clone()
    boxes[absent] = torch.tensor([7.0, 8.0, 300.0, 200.0]).double()
    labels[absent] = 40
    pairs[no_pair] = torch.tensor([1, 0])
    other = replace(scene, boxes=boxes, labels=labels, pairs=pairs)
    for found, expected in zip(values(model(other, features)), values(model(scene, features))):
        present = scene.pair_present
        torch.testing.assert_close(found[present], expected[present], rtol=0, atol=1e-12)


LONELY = [
    detections([5, 6], 4, (480, 640)),
    detections([0], 5, (480, 640)),
    Detections.empty((480, 640)),
]


@every_configuration
def test_an_image_without_a_pair_leaves_the_others_alone(config: LinkConfig) -> None:
    """No human, a lone human, and nothing at all; also in the gradient."""
    model, features = randomised(build(config)), maps(config, 4)
    scene = scene_of([IMAGES[0], *LONELY])
    output = model(scene, features)
    alone = model(scene_of([IMAGES[0]]), rows(features, slice(1)))
    torch.testing.assert_close(output.logits[-1][0], alone.logits[-1][0], rtol=0, atol=1e-10)

    sum(layer[scene.pair_present].sum() for layer in values(output)).backward()
    together = {key: value.grad for key, value in model.named_parameters()}
    model.zero_grad()
    sum(layer.sum() for layer in values(alone)).backward()
    for key, parameter in model.named_parameters():
        expected = parameter.grad
        assert expected.isfinite().all()
        torch.testing.assert_close(together[key], expected, rtol=1e-9, atol=1e-8)


@every_configuration
def test_no_pair_at_all(config: LinkConfig) -> None:
    model, features = build(config), maps(config, 3)
    scene = scene_of(LONELY)
    output = model(scene, features)
    assert output.logits[-1].shape == model.infer(scene, features).shape == (3, 0, VERBS)
    output.logits[-1].sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


@every_configuration
def test_the_gradient_reaches_every_parameter(config: LinkConfig) -> None:
    """Beyond rounding: what only moves all logits of a softmax alike would be dead weight."""
    model, features, scene = randomised(build(config)), maps(config, 4), scene_of(IMAGES)
    output = torch.stack(model(scene, features).logits)
    torch.manual_seed(0)
    (output * torch.randn_like(output))[:, scene.pair_present].sum().backward()
    strengths = {
        key: 0.0 if parameter.grad is None else parameter.grad.abs().max().item()
        for key, parameter in model.named_parameters()
    }
    assert [key for key, strength in strengths.items() if not strength > 1e-7] == []


def test_the_backbone_gets_no_gradient() -> None:
    pytest.importorskip('timm')
    model, frozen = build_model(LinkConfig(**TINY, backbone=PIXELS, adapter=4))
    pixels = torch.rand(1, 3, 64, 64)
    output = model(build_scene(IMAGES[:1], PERSON), frozen.encode_image(pixels))
    assert not output.features.isnan().any()
    output.logits[-1].sum().backward()
    assert not [key for key, value in frozen.named_parameters() if value.requires_grad]
    assert all(value.grad is None for value in frozen.parameters())
    assert model.adapter.up.weight.grad.any()  # which begins at zero, and yet can learn
    assert not [key for key in model.state_dict() if 'backbone' in key]


@every_one_with_pixels
def test_the_adapter_begins_as_the_identity(config: LinkConfig) -> None:
    model, features, scene = build(config), maps(config, 4), scene_of(IMAGES)
    output = model(scene, features)
    torch.testing.assert_close(output.features, features, rtol=0, atol=0)
    assert (model.adapter is not None) == bool(config.adapter)


@pytest.mark.parametrize('config', [one for one in WITH_PIXELS if one.adapter], ids=name)
def test_an_adapter_that_learnt_changes_all_that_follows(config: LinkConfig) -> None:
    model, features, scene = randomised(build(config)), maps(config, 4), scene_of(IMAGES)
    output = model(scene, features)
    model.adapter = None
    expected = model(scene, output.features.detach())
    torch.testing.assert_close(output.logits[-1], expected.logits[-1], rtol=0, atol=1e-12)
    assert not torch.allclose(output.features, features)


@every_one_with_pixels
def test_with_pixels_inference_is_the_last_layer(config: LinkConfig) -> None:
    model, features, scene = randomised(build(config)), maps(config, 4), scene_of(IMAGES)
    expected = model(scene, features).logits[-1]
    torch.testing.assert_close(model.infer(scene, features), expected, rtol=0, atol=0)


@pytest.mark.parametrize('config', WITHOUT_PIXELS, ids=name)
def test_without_pixels_inference_also_looks_in_the_mirror(config: LinkConfig) -> None:
    model = randomised(build(config))
    scene = scene_of(IMAGES)
    width = scene.image_size[:, 1, None]
    x1, y1, x2, y2 = scene.boxes.unbind(-1)
    mirrored = replace(scene, boxes=torch.stack((width - x2, y1, width - x1, y2), dim=-1))
    here, there = (model(one).logits[-1][scene.pair_present] for one in (scene, mirrored))
    found = model.infer(scene)[scene.pair_present]
    torch.testing.assert_close(found, (here + there) / 2, rtol=0, atol=1e-10)
    assert not torch.allclose(here, there)


@every_one_with_pixels
def test_pixels_matter_and_names_do_not(config: LinkConfig) -> None:
    model, features, scene = randomised(build(config)), maps(config, 4), scene_of(IMAGES)
    expected = model(scene, features).logits[-1][scene.pair_present]
    other_name = replace(scene, labels=torch.full_like(scene.labels, 9))
    found = model(other_name, features).logits[-1][scene.pair_present]
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
    found = model(scene, features.flip(-1)).logits[-1][scene.pair_present]
    assert not torch.allclose(found, expected)


@pytest.mark.parametrize('config', WITHOUT_PIXELS, ids=name)
def test_objects_are_told_apart_by_name_where_there_are_no_pixels(config: LinkConfig) -> None:
    model, scene = build(config), scene_of([IMAGES[1]])
    other_name = replace(scene, labels=torch.tensor([[0, 2]]))
    assert not torch.allclose(model(other_name).logits[-1], model(scene).logits[-1])


@every_configuration
def test_scores_do_not_enter(config: LinkConfig) -> None:
    model, features, scene = build(config), maps(config, 4), scene_of(IMAGES)
    other_score = replace(scene, scores=scene.scores / 2)
    found, expected = (model(one, features).logits[-1] for one in (other_score, scene))
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


@every_configuration
def test_size_of_the_image_matters_only_by_ratio(config: LinkConfig) -> None:
    """Boxes and image scaled together are the same scene; areas' epsilon aside."""
    model, features, image = build(config), maps(config, 1), IMAGES[0]
    larger = Detections(image.boxes * 2, image.scores, image.labels, (960, 1280))
    expected, found = (model(scene_of([one]), features).logits[-1] for one in (image, larger))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-8)


def test_a_layer_begins_as_pvic_does() -> None:
    """Xavier-uniform, without offsets; temperature and bias of the head are its own."""
    model = build(WITH_PIXELS[0])
    for module in model.modules():
        if isinstance(module, torch.nn.Linear):
            bound = (6 / sum(module.weight.shape)) ** 0.5
            assert module.weight.abs().max() <= bound and module.weight.std() > bound / 3
            assert module.bias is None or not module.bias.any()


@pytest.mark.parametrize(
    ('changes', 'words'),
    [
        ({'encoder': 'geometric'}, ['encoder', 'geometric', 'geometrical', 'plain']),
        ({'decoder': 'cross'}, ['decoder', 'cross', 'linking', 'plain']),
        ({'adapter': -1}, ['adapter', '-1']),
        ({'width': 20, 'heads': 8}, ['20', '8']),
        ({'decoder_layers': 0}, ['decoder_layers', '0']),
        ({'dropout': 1.0}, ['dropout', '1.0']),
    ],
)
def test_an_impossible_configuration_is_one_sentence(
    changes: dict[str, object], words: list[str]
) -> None:
    with pytest.raises(ValueError) as error:
        LinkConfig(**changes)
    assert not [word for word in words if word not in str(error.value)]
    assert '\n' not in str(error.value)


@every_configuration
def test_a_copy_for_other_words_keeps_the_known_ones(config: LinkConfig) -> None:
    model, features, scene = randomised(build(config)), maps(config, 4), scene_of(IMAGES)
    before = reference.weights_of(model)
    new_verbs, new_objects = torch.randn(2, 10).double(), torch.randn(1, 7).double()
    verbs, objects = np.array([4, -1, 0, -1]), np.array([0, *range(1, OBJECTS), -1])
    changed = model.for_words(verbs, new_verbs, objects, new_objects)
    expected = model(scene, features).logits[-1]
    found = changed(scene, features).logits[-1]
    torch.testing.assert_close(found[..., [0, 2]], expected[..., [4, 0]], rtol=0, atol=1e-12)
    assert found.shape[-1] == 4 and not torch.allclose(found[..., 1], found[..., 3])
    if features is None:  # the new object has a name, and is told apart by it
        scene = replace(scene, labels=scene.labels.masked_fill(scene.labels == 5, OBJECTS))
        assert not torch.allclose(changed(scene).logits[-1], found)
    for key, value in reference.weights_of(model).items():
        np.testing.assert_array_equal(value, before[key])
