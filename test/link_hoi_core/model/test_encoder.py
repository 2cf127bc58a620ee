"""Both encoders against loops over detections and pairs."""

from __future__ import annotations

import numpy as np
import pytest
import reference
import torch
from reference import randomised

from link_hoi_core.model.encoder import GeometricalEncoder, PairFusion, PairLinear, PlainEncoder
from link_hoi_core.model.link import LinkConfig
from link_hoi_core.model.scene import Scene, build_scene
from link_hoi_core.structures import Detections

WIDTH, HEADS, LAYERS = 16, 4, 3
BOXES = [[0, 0, 50, 90], [10, 20, 60, 70], [40, 5, 95, 99]]
SIZE = (100, 120)
PAIRS = [(0, 1), (0, 2), (2, 0), (2, 1)]
CONFIG = LinkConfig(width=WIDTH, heads=HEADS, encoder_layers=LAYERS)


@pytest.fixture
def scene() -> Scene:
    """A person, a thing and a person, in float64."""
    return reference.double(build_scene([Detections(BOXES, [1, 1, 1], [0, 3, 0], SIZE)], person=0))


def normal(*shape: int) -> torch.Tensor:
    torch.manual_seed(1)
    return torch.randn(*shape, dtype=torch.float64)


def close(found: torch.Tensor, expected: list[np.ndarray]) -> None:
    np.testing.assert_allclose(found.detach().numpy(), expected, rtol=1e-10, atol=1e-10)


def test_pair_linear_is_a_linear_of_the_concatenation(scene: Scene) -> None:
    layer, tokens = randomised(PairLinear(5, 7)), normal(1, 3, 5)
    weight = torch.cat((layer.human.weight, layer.object.weight), dim=1)
    assert weight.shape == (7, 10) and layer.object.bias is None
    concatenated = torch.stack([torch.cat((tokens[0, i], tokens[0, j])) for i, j in PAIRS])
    expected = concatenated @ weight.T + layer.human.bias
    torch.testing.assert_close(layer(tokens, scene)[0], expected, rtol=0, atol=1e-12)


def test_fusion_equals_the_loop(scene: Scene) -> None:
    fusion = randomised(PairFusion(WIDTH))
    queries, spatial = normal(1, 3, WIDTH), normal(1, 4, 36)
    found = fusion(queries, spatial, scene)
    weights = {f'fusion.{name}': value for name, value in reference.weights_of(fusion).items()}
    q, r = queries[0].numpy(), spatial[0].numpy()
    expected = [reference.fuse(weights, q[i], q[j], r[x]) for x, (i, j) in enumerate(PAIRS)]
    close(found[0], expected)
    assert (found >= 0).all() and (found > 0).any()  # the last layer has a ReLU too


def test_widths_are_those_of_the_specification_at_384() -> None:
    """Spec section 4: 36-128-256-d for the spatial head, 768-576-384 for the fusion."""
    fusion = PairFusion(384)
    linear = [m for m in fusion.spatial_head if isinstance(m, torch.nn.Linear)]
    assert [layer.out_features for layer in linear] == [128, 256, 384, 384]
    mix = [m for m in fusion.mix if isinstance(m, torch.nn.Linear)]
    assert [(layer.in_features, layer.out_features) for layer in mix] == [(768, 576), (576, 384)]


def test_geometrical_encoder_equals_the_loop(scene: Scene) -> None:
    encoder = randomised(GeometricalEncoder(WIDTH, HEADS, LAYERS, 0.1))
    queries, encodings = normal(1, 3, WIDTH), normal(1, 3, 512)
    detections, pairs = encoder(queries, encodings, scene)

    weights = reference.weights_of(encoder)
    layers = reference.encode(CONFIG, weights, list(queries[0].numpy()), list(encodings[0].numpy()))
    assert len(detections) == len(layers) == LAYERS
    for found, expected in zip(detections, layers):
        close(found[0], expected)
    boxes, last = np.array(BOXES, dtype=float), layers[-1]
    expected = [
        reference.fuse(
            weights, last[i], last[j], reference.pairwise_encoding(boxes[i], boxes[j], *SIZE)
        )
        for i, j in PAIRS
    ]
    close(pairs[0], expected)


def test_plain_encoder_equals_the_loop_and_knows_no_boxes(scene: Scene) -> None:
    encoder = randomised(PlainEncoder(WIDTH, HEADS, LAYERS, 0.1))
    queries = normal(1, 3, WIDTH)
    detections, pairs = encoder(queries, normal(1, 3, 512), scene)

    tokens = list(queries[0].numpy())
    for index, found in enumerate(detections):
        layer = reference.within(reference.weights_of(encoder), f'layers.{index}')
        attention = reference.within(layer, 'attention')
        tokens = reference.self_attention(attention, tokens, None, HEADS)
        ffn = reference.within(layer, 'feed_forward')
        tokens = [reference.feed_forward(ffn, token) for token in tokens]
        close(found[0], tokens)
    assert len(detections) == LAYERS
    weights = reference.weights_of(encoder)
    close(
        pairs[0], [reference.pair_linear(weights, 'pair', tokens[i], tokens[j]) for i, j in PAIRS]
    )
    assert not [name for name in weights if 'position' in name]


@pytest.mark.parametrize('kind', [GeometricalEncoder, PlainEncoder])
def test_a_pair_and_its_reverse_differ(kind: type, scene: Scene) -> None:
    """Two persons: who does it to whom is in the pair's order."""
    encoder = randomised(kind(WIDTH, HEADS, 2, 0.1))
    _, pairs = encoder(normal(1, 3, WIDTH), normal(1, 3, 512), scene)
    assert pairs.shape == (1, 4, WIDTH)
    assert not torch.allclose(pairs[0, 1], pairs[0, 2])  # (0, 2) and (2, 0)
