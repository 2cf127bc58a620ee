"""The focal loss against spec section 6, entry by entry in float64."""

from __future__ import annotations

import math

import pytest
import torch

from link_hoi_core.distillation.losses import focal_loss


def focal_loop(
    psi: list[float], target: list[float], counted: list[bool], alpha: float, gamma: float
) -> float:
    total, positives = 0.0, 0
    for logit, y, counts in zip(psi, target, counted):
        if not counts:
            continue
        p = 1 / (1 + math.exp(-logit))
        cross_entropy = -(y * math.log(p) + (1 - y) * math.log(1 - p))
        total += abs(1 - y - alpha) * (abs(y - p) + 1e-6) ** gamma * cross_entropy
        positives += int(y == 1)
    return total / max(positives, 1)


@pytest.mark.parametrize(('alpha', 'gamma'), [(0.5, 0.1), (0.25, 2.0)])
def test_loss_equals_the_loop(alpha: float, gamma: float) -> None:
    torch.manual_seed(0)
    psi = torch.randn(200).double() * 4
    target = (torch.rand(200) < 0.2).double()
    counted = torch.rand(200) < 0.7
    expected = focal_loop(psi.tolist(), target.tolist(), counted.tolist(), alpha, gamma)
    shaped = (value.reshape(4, 5, 10) for value in (psi, target, counted))
    assert focal_loss(*shaped, alpha=alpha, gamma=gamma).item() == pytest.approx(expected, rel=1e-9)


def test_defaults_are_the_papers() -> None:
    """Alpha 0.5 and gamma 0.1; one positive and one negative entry at Psi = 0."""
    psi, target = torch.zeros(2).double(), torch.tensor([1.0, 0.0]).double()
    expected = 2 * 0.5 * 0.500001**0.1 * math.log(2)
    counted = torch.ones(2, dtype=torch.bool)
    assert focal_loss(psi, target, counted).item() == pytest.approx(expected, rel=1e-9)


def test_without_a_positive_the_sum_is_divided_by_one() -> None:
    psi, target = torch.zeros(3).double(), torch.zeros(3).double()
    expected = 3 * 0.5 * 0.500001**0.1 * math.log(2)
    counted = torch.ones(3, dtype=torch.bool)
    assert focal_loss(psi, target, counted).item() == pytest.approx(expected, rel=1e-9)


def test_entries_that_do_not_count_have_no_part() -> None:
    psi = torch.tensor([0.3, -2.0, 50.0], requires_grad=True)
    target, counted = torch.tensor([1.0, 0.0, 0.0]), torch.tensor([True, True, False])
    loss = focal_loss(psi, target, counted)
    loss.backward()
    assert loss.item() == pytest.approx(focal_loss(psi[:2], target[:2], counted[:2]).item())
    assert psi.grad[2] == 0 and (psi.grad[:2] != 0).all()
    assert psi.grad[0] < 0 < psi.grad[1]


def test_where_nothing_counts_the_loss_is_zero_with_a_gradient() -> None:
    psi = torch.randn(4, requires_grad=True)
    loss = focal_loss(psi, torch.zeros(4), torch.zeros(4, dtype=torch.bool))
    loss.backward()
    assert loss.item() == 0 and psi.grad.tolist() == [0, 0, 0, 0]


def test_importance_scales_each_entry() -> None:
    psi = torch.tensor([0.3, -1.2], dtype=torch.float64)
    target = torch.tensor([1.0, 0.0], dtype=torch.float64)
    counted, weight = torch.ones(2, dtype=torch.bool), torch.tensor([3.0, 5.0]).double()
    positive = focal_loop([0.3], [1.0], [True], 0.5, 0.1)
    negative = focal_loop([-1.2], [0.0], [True], 0.5, 0.1)
    found = focal_loss(psi, target, counted, weight).item()
    assert found == pytest.approx(3 * positive + 5 * negative, rel=1e-9)


def test_extreme_logits_stay_finite() -> None:
    psi = torch.tensor([-200.0, 200.0, -200.0, 200.0], requires_grad=True)
    target = torch.tensor([0.0, 1.0, 1.0, 0.0])
    loss = focal_loss(psi, target, torch.ones(4, dtype=torch.bool))
    loss.backward()
    assert loss.isfinite() and psi.grad.isfinite().all()
    assert loss.item() == pytest.approx(0.5 * 400 / 2, rel=1e-4)  # the two wrong ones
