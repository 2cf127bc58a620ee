"""The attention layer against loops in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from link_hoi_core.model.attention import FeedForward, SelfAttentionLayer

WIDTH, HEADS = 12, 3


def randomised(module: torch.nn.Module) -> torch.nn.Module:
    torch.manual_seed(0)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return module.double().eval()


def linear(layer: torch.nn.Linear, x: np.ndarray) -> np.ndarray:
    return layer.weight.detach().numpy() @ x + layer.bias.detach().numpy()


def layer_norm(norm: torch.nn.LayerNorm, x: np.ndarray) -> np.ndarray:
    centred = x - x.mean()
    scaled = centred / np.sqrt((centred**2).mean() + norm.eps)
    return scaled * norm.weight.detach().numpy() + norm.bias.detach().numpy()


def feed_forward_loop(layer: FeedForward, x: np.ndarray) -> np.ndarray:
    up, down = (module for module in layer.layers if isinstance(module, torch.nn.Linear))
    return layer_norm(layer.norm, x + linear(down, np.maximum(linear(up, x), 0)))


def attention_loop(
    layer: SelfAttentionLayer, tokens: np.ndarray, position: np.ndarray, present: np.ndarray
) -> np.ndarray:
    """Post-norm self-attention of one image: positions enter queries and keys, not values."""
    size = WIDTH // HEADS
    mixed = [linear(layer.query_key_value, token) for token in tokens]
    queries = [row[:WIDTH] + place[:WIDTH] for row, place in zip(mixed, position)]
    keys = [row[WIDTH : 2 * WIDTH] + place[WIDTH:] for row, place in zip(mixed, position)]
    values = [row[2 * WIDTH :] for row in mixed]
    seen = np.flatnonzero(present)
    outputs = []
    for token, query in zip(tokens, queries):
        attended = np.zeros(WIDTH)
        for head in range(HEADS):
            part = slice(head * size, (head + 1) * size)
            weights = np.exp([query[part] @ keys[k][part] / np.sqrt(size) for k in seen])
            weights /= weights.sum()
            attended[part] = sum(w * values[k][part] for w, k in zip(weights, seen))
        outputs.append(layer_norm(layer.attention_norm, token + linear(layer.output, attended)))
    return np.stack([feed_forward_loop(layer.feed_forward, output) for output in outputs])


@pytest.fixture
def layer() -> SelfAttentionLayer:
    return randomised(SelfAttentionLayer(WIDTH, HEADS, dropout=0.1))


def test_layer_equals_the_loop(layer: SelfAttentionLayer) -> None:
    random = np.random.default_rng(0)
    tokens, position = random.normal(size=(2, 5, WIDTH)), random.normal(size=(2, 5, 2 * WIDTH))
    present = np.array([[True] * 5, [True, True, True, False, False]])
    found = layer(*(torch.from_numpy(x) for x in (tokens, position, present))).detach().numpy()
    for image in range(2):
        expected = attention_loop(layer, tokens[image], position[image], present[image])
        rows = present[image]
        np.testing.assert_allclose(found[image, rows], expected[rows], rtol=1e-10, atol=1e-10)


def test_positions_stay_out_of_the_values(layer: SelfAttentionLayer) -> None:
    """A single token looks only at itself: wherever it is, it takes the same."""
    tokens, present = torch.randn(1, 1, WIDTH).double(), torch.ones(1, 1, dtype=torch.bool)
    here, there = (layer(tokens, torch.randn(1, 1, 2 * WIDTH).double(), present) for _ in range(2))
    torch.testing.assert_close(here, there, rtol=0, atol=1e-12)


def test_order_of_tokens_does_not_matter(layer: SelfAttentionLayer) -> None:
    tokens, position = torch.randn(1, 6, WIDTH).double(), torch.randn(1, 6, 2 * WIDTH).double()
    present, order = torch.ones(1, 6, dtype=torch.bool), torch.randperm(6)
    expected = layer(tokens, position, present)[:, order]
    found = layer(tokens[:, order], position[:, order], present)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def test_no_token() -> None:
    layer = randomised(SelfAttentionLayer(WIDTH, HEADS, dropout=0.1))
    empty = torch.zeros(1, 0, WIDTH).double()
    found = layer(empty, torch.zeros(1, 0, 2 * WIDTH).double(), torch.zeros(1, 0, dtype=torch.bool))
    assert found.shape == (1, 0, WIDTH)


def test_feed_forward_equals_the_loop() -> None:
    layer = randomised(FeedForward(WIDTH, dropout=0.1))
    tokens = np.random.default_rng(1).normal(size=(4, WIDTH))
    expected = [feed_forward_loop(layer, token) for token in tokens]
    found = layer(torch.from_numpy(tokens)).detach().numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10)
