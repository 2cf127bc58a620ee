"""Pair fusion is what PViC's MMF computes on concatenated queries."""

from __future__ import annotations

import torch
from torch.nn import functional

from link_hoi_core.model.encoder import GeometricalEncoder, PairFusion
from link_hoi_core.model.scene import build_scene
from link_hoi_core.structures import Detections

WIDTH = 16
BOXES = [[0, 0, 50, 90], [10, 20, 60, 70], [40, 5, 95, 99]]


def one_image():
    return build_scene([Detections(BOXES, [1, 1, 1], [0, 3, 0], (100, 100))], person=0)


def randomised(module: torch.nn.Module) -> torch.nn.Module:
    torch.manual_seed(0)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return module.double().eval()


def test_fusion_is_a_linear_of_the_concatenated_queries() -> None:
    fusion, scene = randomised(PairFusion(WIDTH)), one_image()
    queries, spatial = torch.randn(1, 3, WIDTH).double(), torch.randn(1, 4, 36).double()
    found = fusion(queries, spatial, scene)

    fc1 = torch.cat((fusion.human.weight, fusion.object.weight), dim=1)  # (D, 2 D)
    pairs = [(0, 1), (0, 2), (2, 0), (2, 1)]
    concatenated = torch.stack([torch.cat((queries[0, i], queries[0, j])) for i, j in pairs])
    x = fusion.content_norm(concatenated @ fc1.T + fusion.human.bias)
    y = fusion.spatial_head(spatial[0])
    (first, second) = (layer for layer in fusion.mix if isinstance(layer, torch.nn.Linear))
    z = functional.relu(torch.cat((x, y), dim=1))
    expected = functional.relu(second(functional.relu(first(z))))
    torch.testing.assert_close(found[0], expected, rtol=0, atol=1e-12)
    assert (found >= 0).all() and (found > 0).any()


def test_widths_are_those_of_the_specification_at_384() -> None:
    """Spec section 4: 36-128-256-d for the spatial head, 768-576-384 for the fusion."""
    fusion = PairFusion(384)
    linear = [m for m in fusion.spatial_head if isinstance(m, torch.nn.Linear)]
    assert [layer.out_features for layer in linear] == [128, 256, 384, 384]
    mix = [m for m in fusion.mix if isinstance(m, torch.nn.Linear)]
    assert [(layer.in_features, layer.out_features) for layer in mix] == [(768, 576), (576, 384)]


def test_a_pair_and_its_reverse_differ() -> None:
    """Two persons: who does it to whom is in the pair's order."""
    encoder, scene = randomised(GeometricalEncoder(WIDTH, 4, 2, 0.1)), one_image()
    doubled = type(scene)(
        *(value.double() if value.is_floating_point() else value for value in vars(scene).values())
    )
    torch.manual_seed(1)
    found = encoder(torch.randn(1, 3, WIDTH).double(), torch.randn(1, 3, 512).double(), doubled)
    assert found.shape == (1, 4, WIDTH)
    assert not torch.allclose(found[0, 1], found[0, 2])  # (0, 2) and (2, 0)
