"""The decoder's layers and looks against loops over pairs and cells."""

from __future__ import annotations

import numpy as np
import pytest
import reference
import torch
from reference import randomised

from link_hoi_core.model.decoder import Decoder, LinkingLook, Look, PlainLook, View
from link_hoi_core.model.scene import Scene, build_scene
from link_hoi_core.structures import Detections

WIDTH, HEADS, CHANNELS, MAP = 16, 4, 12, (3, 5)
BOXES = [[0, 0, 50, 90], [10, 20, 60, 70], [40, 5, 95, 99]]
SIZE = (100, 120)
PAIRS = [(0, 1), (0, 2), (2, 0), (2, 1)]


@pytest.fixture
def scene() -> Scene:
    """A person, a thing and a person, in float64."""
    return reference.double(build_scene([Detections(BOXES, [1, 1, 1], [0, 3, 0], SIZE)], person=0))


def normal(*shape: int, seed: int = 1) -> torch.Tensor:
    torch.manual_seed(seed)
    return torch.randn(*shape, dtype=torch.float64)


def rows(tensor: torch.Tensor) -> list[np.ndarray]:
    return list(tensor[0].detach().numpy())


def close(found: torch.Tensor, expected: list[np.ndarray]) -> None:
    np.testing.assert_allclose(found[0].detach().numpy(), expected, rtol=1e-10, atol=1e-10)


def some_view() -> View:
    return View(
        native=normal(1, 15, CHANNELS, seed=2),
        latent=normal(1, 15, WIDTH, seed=3),
        cells=normal(15, 256, seed=4),
        centres=normal(1, 3, 256, seed=5),
    )


def test_linking_look_equals_the_loop(scene: Scene) -> None:
    """Eq. 4 and 5: both branches, concatenated, through an MLP of 4 D."""
    look, view = randomised(LinkingLook(WIDTH, HEADS, 0.1, CHANNELS)), some_view()
    assert [look.fuse[0].in_features, look.fuse[0].out_features] == [WIDTH + CHANNELS, 4 * WIDTH]
    pairs = normal(1, 4, WIDTH)
    found, branches = look(pairs, view, scene)

    weights, centres = reference.weights_of(look), rows(view.centres)
    places = [reference.pair_linear(weights, 'centre', centres[i], centres[j]) for i, j in PAIRS]
    latent = reference.guided_attention(
        reference.within(weights, 'spatial'),
        *(rows(pairs), places, rows(view.latent), list(view.cells.numpy())),
        HEADS,
    )
    native = reference.cross_attention(
        reference.within(weights, 'semantic'),
        [reference.linear(weights, 'expand', pair) for pair in rows(pairs)],
        rows(view.native),
        HEADS,
    )
    close(branches.latent, latent)
    close(branches.native, native)
    expected = []
    for both in zip(latent, native):
        hidden = reference.linear(weights, 'fuse.0', np.concatenate(both))
        expected.append(reference.linear(weights, 'fuse.3', np.maximum(hidden, 0)))
    close(found, expected)


def test_plain_look_is_one_cross_attention_over_the_connected_map(scene: Scene) -> None:
    look, view, pairs = randomised(PlainLook(WIDTH, HEADS)), some_view(), normal(1, 4, WIDTH)
    found, branches = look(pairs, view, scene)
    attention = reference.within(reference.weights_of(look), 'attention')
    close(found, reference.cross_attention(attention, rows(pairs), rows(view.latent), HEADS))
    assert branches == Look(found, None)


def run(
    decoder: Decoder, scene: Scene, features: torch.Tensor | None = None
) -> tuple[list[torch.Tensor], list[Look]]:
    return decoder(normal(1, 4, WIDTH), normal(1, 3, WIDTH), normal(1, 3, 512), features, scene)


@pytest.mark.parametrize('plain', [False, True])
def test_each_layer_continues_the_one_before(scene: Scene, plain: bool) -> None:
    decoder = randomised(Decoder(WIDTH, HEADS, 3, 0.1, CHANNELS, plain))
    outputs, looks = run(decoder, scene, normal(1, CHANNELS, *MAP))
    assert [output.shape for output in outputs] == [(1, 4, WIDTH)] * 3
    for depth in (1, 2):
        decoder.layers = decoder.layers[:-1]
        shorter, _ = run(decoder, scene, normal(1, CHANNELS, *MAP))
        for one, other in zip(shorter, outputs):
            torch.testing.assert_close(one, other, rtol=0, atol=0)
        assert len(shorter) == 3 - depth
    assert [look.latent.shape for look in looks] == [(1, 4, WIDTH)] * 3
    native = None if plain else (1, 4, CHANNELS)
    assert [look.native if plain else look.native.shape for look in looks] == [native] * 3


@pytest.mark.parametrize('plain', [False, True])
def test_without_features_only_the_self_attention_remains(scene: Scene, plain: bool) -> None:
    decoder = randomised(Decoder(WIDTH, HEADS, 2, 0.1, None, plain))
    outputs, looks = run(decoder, scene)
    assert looks == []
    tokens, encodings = rows(normal(1, 4, WIDTH)), rows(normal(1, 3, 512))
    for index, output in enumerate(outputs):
        layer = reference.within(reference.weights_of(decoder), f'layers.{index}')
        positions = [
            reference.pair_linear(layer, 'position', encodings[i], encodings[j]) for i, j in PAIRS
        ]
        attention = reference.within(layer, 'attention')
        tokens = reference.self_attention(attention, tokens, positions, HEADS)
        ffn = reference.within(layer, 'feed_forward')
        tokens = [reference.feed_forward(ffn, token) for token in tokens]
        close(output, tokens)
    parts = {name.split('.')[2] for name in reference.weights_of(decoder)}
    assert parts == {'position', 'attention', 'feed_forward'}


def test_connector_and_ratios_are_shared_by_all_layers() -> None:
    """Spec section 5, step 4, and section 3: one MLP for all layers, one pair (r_w, r_h) a box."""
    decoder = Decoder(384, 8, 2, 0.1, 512)
    names = {name.partition('.')[0] for name, _ in decoder.named_parameters()}
    assert names == {'layers', 'connector', 'modulation'}
    shapes = [tuple(m.weight.shape) for m in decoder.connector if hasattr(m, 'weight')]
    assert shapes == [(384, 512), (384, 384), (384,)]
    shapes = [tuple(m.weight.shape) for m in decoder.modulation if hasattr(m, 'weight')]
    assert shapes == [(384, 384), (2, 384)]
    plain = Decoder(384, 8, 2, 0.1, 512, plain=True)
    assert plain.modulation is None and plain.connector is not None
