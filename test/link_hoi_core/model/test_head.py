"""The head is a scaled cosine to trainable text embeddings, plus a bias."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch

from link_hoi_core.model.head import TextHead


@pytest.fixture
def texts() -> torch.Tensor:
    torch.manual_seed(0)
    return torch.nn.functional.normalize(torch.randn(7, 5), dim=-1)


def test_start(texts: torch.Tensor) -> None:
    head = TextHead(8, texts)
    torch.testing.assert_close(head.verbs.data, texts)
    assert head.log_scale.exp().item() == pytest.approx(1 / 0.07)
    assert head.bias.tolist() == pytest.approx([-math.log(0.99 / 0.01)] * 7)
    with torch.no_grad():
        head.verbs.zero_()
    assert texts.norm(dim=-1).tolist() == pytest.approx([1] * 7)  # trained is a copy


def test_logits_are_scaled_cosines(texts: torch.Tensor) -> None:
    head = TextHead(8, texts).double()
    with torch.no_grad():
        head.log_scale.fill_(math.log(3))
        head.bias.copy_(torch.arange(7.0))
        head.verbs.mul_(2.5)  # training changes the lengths of the rows; only angles count
    pairs = torch.randn(2, 3, 8).double()
    found = head(pairs)
    assert found.shape == (2, 3, 7)
    embedding = head.project(head.norm(pairs)).detach().numpy()
    for image, pair, verb in np.ndindex(2, 3, 7):
        a, b = embedding[image, pair], texts[verb].double().numpy()
        cosine = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
        assert found[image, pair, verb].item() == pytest.approx(3 * cosine + verb, abs=1e-9)


@pytest.fixture
def trained(texts: torch.Tensor) -> TextHead:
    head = TextHead(8, texts).double()
    with torch.no_grad():
        head.verbs.add_(torch.randn(7, 5))
        head.bias.copy_(torch.arange(7.0) ** 2)
    return head


def test_replaced_verbs_keep_their_row_and_new_ones_begin_as_texts(trained: TextHead) -> None:
    pairs, before = torch.randn(4, 8).double(), copy.deepcopy(trained)
    new = torch.nn.functional.normalize(torch.randn(2, 5), dim=-1)  # float32, as encoders give it
    trained.replace_verbs(np.array([6, -1, 0, 3, -1]), new)
    assert trained.verbs.shape == (5, 5) and trained.verbs.dtype == torch.float64
    torch.testing.assert_close(trained.verbs[[0, 2, 3]], before.verbs[[6, 0, 3]], rtol=0, atol=0)
    torch.testing.assert_close(trained.verbs[[1, 4]], new.double(), rtol=0, atol=0)
    mean = sum(i**2 for i in range(7)) / 7
    assert trained.bias.tolist() == pytest.approx([36, mean, 0, 9, mean])
    found, expected = trained(pairs), before(pairs)
    torch.testing.assert_close(found[:, [0, 2, 3]], expected[:, [6, 0, 3]], rtol=0, atol=1e-12)


def test_verbs_may_be_fewer_and_none_new(trained: TextHead) -> None:
    before = copy.deepcopy(trained)
    trained.replace_verbs(np.array([2]), None)
    pairs = torch.randn(4, 8).double()
    torch.testing.assert_close(trained(pairs), before(pairs)[:, [2]], rtol=0, atol=1e-12)


@pytest.mark.parametrize('trainable', [True, False])
def test_replaced_rows_are_as_trainable_as_before(trained: TextHead, trainable: bool) -> None:
    trained.requires_grad_(trainable).replace_verbs(np.array([1, -1]), torch.randn(1, 5))
    assert trained.verbs.requires_grad == trained.bias.requires_grad == trainable
    assert {name for name, _ in trained.named_parameters()} >= {'verbs', 'bias'}
