"""Priors and scores: sigmoid(Psi) = P sigmoid(O), and nothing overflows."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from link_hoi_core.model.scene import build_scene
from link_hoi_core.model.scoring import (
    VerbFilter,
    final_score,
    pair_prior,
    prior_logit,
    valid_verbs,
)
from link_hoi_core.structures import Detections

LOGITS = [-200.0, -100.0, -88.5, -30.0, -5.0, -0.3, 0.0, 1.0, 7.0, 20.0, 40.0, 100.0, 200.0]
PRIORS = [1e-30, 1e-6, 0.01, 0.3, 0.81, 0.999, 1 - 1e-6]


def grid(dtype: torch.dtype, priors: list[float] = PRIORS) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.meshgrid(
        torch.tensor(LOGITS, dtype=dtype), torch.tensor(priors, dtype=dtype), indexing='ij'
    )


def test_psi_is_the_logit_of_the_prior_times_the_probability() -> None:
    logits, prior = grid(torch.float64)
    psi = prior_logit(logits, prior)
    assert psi.isfinite().all()
    torch.testing.assert_close(psi.sigmoid(), prior * logits.sigmoid(), rtol=1e-12, atol=1e-300)


def test_psi_is_the_literal_formula_where_that_does_not_overflow() -> None:
    for logit in (-30.0, -5.0, -0.3, 0.0, 1.0, 7.0, 20.0):
        for prior in PRIORS:
            literal = math.log(prior / (1 + math.exp(-logit) - prior))
            inputs = (torch.tensor(x, dtype=torch.float64) for x in (logit, prior))
            assert prior_logit(*inputs).item() == pytest.approx(literal, rel=1e-9, abs=1e-12)


def test_psi_by_hand() -> None:
    """P = 1/2, O = 0: sigmoid(Psi) = 1/4, so Psi = log(1/3)."""
    psi = prior_logit(
        torch.tensor(0.0, dtype=torch.float64), torch.tensor(0.5, dtype=torch.float64)
    )
    assert psi.item() == pytest.approx(-math.log(3), abs=1e-12)


def test_psi_in_single_precision_is_finite_with_its_gradient() -> None:
    logits, prior = grid(torch.float32, [0.0, *PRIORS, 1.0])
    logits.requires_grad_()
    psi = prior_logit(logits, prior)
    psi.sum().backward()
    assert psi.isfinite().all() and logits.grad.isfinite().all()
    torch.testing.assert_close(psi.sigmoid(), prior * logits.sigmoid(), rtol=1e-4, atol=1e-6)


def test_a_certain_prior_leaves_the_logit() -> None:
    logits = torch.tensor([-100.0, -5, 0, 5, 10], dtype=torch.float64)
    psi = prior_logit(logits, torch.ones((), dtype=torch.float64))
    torch.testing.assert_close(psi.sigmoid(), logits.sigmoid(), rtol=2e-6, atol=0)
    torch.testing.assert_close(psi, logits, rtol=0, atol=0.03)  # P is clamped to 1 - 1e-6


def test_the_gradient_of_psi_is_that_of_the_formula() -> None:
    """dPsi/dO = (1 - sigmoid(O)) / (1 - P sigmoid(O))."""
    logits, prior = grid(torch.float64)
    logits.requires_grad_()
    prior_logit(logits, prior).sum().backward()
    o = logits.detach()
    expected = (-o).sigmoid() / (1 - prior * o.sigmoid())
    torch.testing.assert_close(logits.grad, expected, rtol=1e-9, atol=1e-40)


@pytest.fixture
def scene():
    """A person, a bicycle and a person; and a person with a chair, padded."""
    images = [
        Detections(
            [[0, 0, 9, 9], [1, 1, 8, 8], [2, 2, 7, 7]], [0.5, 0.4, 0.2], [0, 2, 0], (10, 10)
        ),
        Detections([[0, 0, 9, 9], [1, 1, 8, 8]], [1.0, 0.25], [0, 1], (10, 10)),
    ]
    return build_scene(images, person=0)


def test_prior_is_the_product_of_both_scores(scene) -> None:
    prior = pair_prior(scene)
    assert prior[0].tolist() == pytest.approx([0.2, 0.1, 0.1, 0.08])
    assert prior[1].tolist() == [0.25, 0, 0, 0]


def test_valid_verbs_are_those_of_the_object(scene) -> None:
    table = torch.tensor([[1, 0], [0, 1], [1, 1]], dtype=torch.bool)
    valid = valid_verbs(scene, table)
    assert valid[0].tolist() == [[True, True], [True, False], [True, False], [True, True]]
    assert valid[1].tolist() == [[False, True]] + [[False, False]] * 3


def test_final_score_raises_the_prior_to_lambda() -> None:
    logits, prior = torch.tensor([0.0, 2.0]).double(), torch.tensor([0.5, 0.25]).double()
    expected = [0.5 * 0.5**2.8, 0.25**2.8 / (1 + math.exp(-2))]
    assert final_score(logits, prior, 2.8).tolist() == pytest.approx(expected, rel=1e-12)
    assert final_score(logits, prior, 1.0).tolist() == pytest.approx(
        [0.25, 0.25 / (1 + math.exp(-2))]
    )


def kept_by_loop(
    scores: list[float], prior: float, topk: int = 10, factor: float = 1.8
) -> set[int]:
    """Spec section 12: the k best, k = clamp(round(10 * 1.8^(2 P - 1)), 1, 18)."""
    count = min(max(round(topk * factor ** (2 * prior - 1)), 1), round(topk * factor))
    return set(sorted(range(len(scores)), key=lambda verb: -scores[verb])[:count])


def test_the_filter_equals_a_loop() -> None:
    torch.manual_seed(0)
    scores, priors = torch.rand(3, 40, 117).double(), torch.rand(3, 40).double()
    priors[0, :3] = torch.tensor([0.0, 0.5, 1.0])
    kept = VerbFilter().keep(scores, priors.unsqueeze(-1))
    for image, pair in np.ndindex(3, 40):
        expected = kept_by_loop(scores[image, pair].tolist(), priors[image, pair].item())
        assert set(kept[image, pair].nonzero().flatten().tolist()) == expected
    assert kept[0, :3].sum(-1).tolist() == [6, 10, 18]


def test_the_filter_of_other_sizes_keeps_at_least_one() -> None:
    scores, prior = torch.rand(5, 9), torch.linspace(0, 1, 5).unsqueeze(-1)
    assert VerbFilter(1, 4.0).keep(scores, prior).sum(-1).tolist() == [1, 1, 1, 2, 4]
    assert VerbFilter(3, 1.0).keep(scores, prior).sum(-1).tolist() == [3] * 5
    assert VerbFilter(8, 1.8).keep(scores, prior).sum(-1).tolist() == [4, 6, 8, 9, 9]


def test_the_filter_breaks_ties_by_the_order_of_verbs() -> None:
    kept = VerbFilter(2, 1.0).keep(torch.full((1, 30), 0.5), torch.tensor([[0.5]]))
    assert kept[0].nonzero().flatten().tolist() == [0, 1]


@pytest.mark.parametrize('values', [(0, 1.8), (10, 0.5), (-3, 1.8)])
def test_an_impossible_filter_is_one_sentence(values: tuple[int, float]) -> None:
    with pytest.raises(ValueError, match='expected 1 or more'):
        VerbFilter(*values)
