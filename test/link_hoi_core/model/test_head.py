"""The head is a scaled cosine to trainable text embeddings, plus a bias."""

from __future__ import annotations

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
    assert head.bias.sigmoid().tolist() == pytest.approx([0.01] * 7)
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
