"""Pair positions are a Linear of the 1024-d pair encoding; every layer's output is given."""

from __future__ import annotations

import torch

from link_hoi_core.model.decoder import LinkingDecoder, PairPosition
from link_hoi_core.model.scene import build_scene
from link_hoi_core.structures import Detections

WIDTH = 16
PAIRS = [(0, 1), (0, 2), (2, 0), (2, 1)]


def one_image():
    boxes = [[0, 0, 50, 90], [10, 20, 60, 70], [40, 5, 95, 99]]
    return build_scene([Detections(boxes, [1, 1, 1], [0, 3, 0], (100, 100))], person=0)


def test_position_is_a_linear_of_the_concatenated_encodings() -> None:
    torch.manual_seed(0)
    position, encodings = PairPosition(WIDTH).double(), torch.randn(1, 3, 512).double()
    weight = torch.cat((position.human.weight, position.object.weight), dim=1)
    assert weight.shape == (2 * WIDTH, 1024)
    pairs = torch.stack([torch.cat((encodings[0, i], encodings[0, j])) for i, j in PAIRS])
    expected = pairs @ weight.T + position.human.bias
    torch.testing.assert_close(position(encodings, one_image())[0], expected, rtol=0, atol=1e-12)


def test_each_layer_continues_the_one_before() -> None:
    torch.manual_seed(0)
    decoder = LinkingDecoder(WIDTH, heads=4, layers=3, dropout=0.1).double().eval()
    scene, encodings = one_image(), torch.randn(1, 3, 512).double()
    pairs = torch.randn(1, 4, WIDTH).double()
    outputs = decoder(pairs, encodings, scene)
    assert [output.shape for output in outputs] == [(1, 4, WIDTH)] * 3
    for layer, position, output in zip(decoder.layers, decoder.positions, outputs):
        pairs = layer(pairs, position(encodings, scene), scene.pair_present)
        torch.testing.assert_close(output, pairs, rtol=0, atol=0)
