"""The attention layers against loops over tokens and heads in float64."""

from __future__ import annotations

import numpy as np
import pytest
import reference
import torch
from reference import randomised

from link_hoi_core.model.attention import (
    CrossAttention,
    FeedForward,
    GuidedAttention,
    SelfAttention,
)

WIDTH, HEADS = 12, 3


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def run(layer: torch.nn.Module, *inputs: np.ndarray | None) -> np.ndarray:
    tensors = (None if x is None else torch.from_numpy(x) for x in inputs)
    return layer(*tensors).detach().numpy()


def close(found: np.ndarray, expected: list[np.ndarray]) -> None:
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10)


@pytest.fixture
def layer() -> SelfAttention:
    return randomised(SelfAttention(WIDTH, HEADS, dropout=0.1))


@pytest.mark.parametrize('with_positions', [True, False])
def test_self_attention_equals_the_loop(layer: SelfAttention, with_positions: bool) -> None:
    tokens = normal(2, 5, WIDTH)
    position = normal(2, 5, 2 * WIDTH, seed=1) if with_positions else None
    present = np.array([[True] * 5, [True, True, True, False, False]])
    found = run(layer, tokens, position, present)
    for image, seen in enumerate(present):
        places = None if position is None else list(position[image, seen])
        weights, mine = reference.weights_of(layer), list(tokens[image, seen])
        close(found[image, seen], reference.self_attention(weights, mine, places, HEADS))


def test_positions_stay_out_of_the_values(layer: SelfAttention) -> None:
    """A single token looks only at itself: wherever it is, it takes the same."""
    tokens, present = torch.randn(1, 1, WIDTH).double(), torch.ones(1, 1, dtype=torch.bool)
    here, there = (layer(tokens, torch.randn(1, 1, 2 * WIDTH).double(), present) for _ in range(2))
    torch.testing.assert_close(here, there, rtol=0, atol=1e-12)


def test_order_of_tokens_does_not_matter(layer: SelfAttention) -> None:
    tokens, position = torch.randn(1, 6, WIDTH).double(), torch.randn(1, 6, 2 * WIDTH).double()
    present, order = torch.ones(1, 6, dtype=torch.bool), torch.randperm(6)
    expected = layer(tokens, position, present)[:, order]
    found = layer(tokens[:, order], position[:, order], present)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def test_no_token(layer: SelfAttention) -> None:
    empty = torch.zeros(1, 0, WIDTH).double()
    found = layer(empty, torch.zeros(1, 0, 2 * WIDTH).double(), torch.zeros(1, 0, dtype=torch.bool))
    assert found.shape == (1, 0, WIDTH)


def test_cross_attention_equals_the_loop() -> None:
    layer = randomised(CrossAttention(WIDTH, HEADS))
    queries, memory = normal(2, 4, WIDTH), normal(2, 6, WIDTH, seed=1)
    found = run(layer, queries, memory)
    for image in range(2):
        each = list(queries[image]), list(memory[image])
        close(found[image], reference.cross_attention(reference.weights_of(layer), *each, HEADS))


@pytest.mark.parametrize(('width', 'heads'), [(512, 8), (1024, 8), (12, 4), (30, 2), (7, 1)])
def test_a_width_that_8_does_not_divide_has_fewer_heads(width: int, heads: int) -> None:
    """timm's maps come in any width."""
    layer = randomised(CrossAttention(width, 8))
    queries, memory = normal(1, 2, width) / 20, normal(1, 3, width, seed=1) / 20
    weights = reference.weights_of(layer)
    expected = reference.cross_attention(weights, list(queries[0]), list(memory[0]), heads)
    close(run(layer, queries, memory)[0], expected)


def test_guided_attention_equals_the_loop() -> None:
    """Logits (q.k + q_p.k_p) / sqrt(2 D / heads): spec section 5, step 2."""
    layer = randomised(GuidedAttention(WIDTH, HEADS, map_position_width=10))
    queries, places = normal(2, 4, WIDTH), normal(2, 4, WIDTH, seed=1)
    memory, cells = normal(2, 6, WIDTH, seed=2), normal(6, 10, seed=3)
    found = run(layer, queries, places, memory, cells)
    for image in range(2):
        each = list(queries[image]), list(places[image]), list(memory[image]), list(cells)
        close(found[image], reference.guided_attention(reference.weights_of(layer), *each, HEADS))


def test_guidance_points_where_position_says() -> None:
    """Queries that ask for nothing: only positions can tell, and each finds its cell."""
    layer = randomised(GuidedAttention(WIDTH, 1, map_position_width=WIDTH))
    with torch.no_grad():
        layer.key_position.weight.copy_(torch.eye(WIDTH))
        layer.query.bias.zero_()
    memory, cells = torch.randn(1, 5, WIDTH).double(), 40 * torch.eye(WIDTH).double()[:5]
    queries = torch.zeros(1, 5, WIDTH).double()
    found = layer(queries, 10 * cells[None], memory, cells)
    value = layer.key_value(memory).chunk(2, dim=-1)[1]
    torch.testing.assert_close(found, layer.output(value), rtol=0, atol=1e-9)


def test_feed_forward_equals_the_loop() -> None:
    layer = randomised(FeedForward(WIDTH, dropout=0.1))
    assert layer.layers[0].out_features == 4 * WIDTH
    tokens = normal(4, WIDTH, seed=1)
    weights = reference.weights_of(layer)
    close(run(layer, tokens), [reference.feed_forward(weights, token) for token in tokens])
