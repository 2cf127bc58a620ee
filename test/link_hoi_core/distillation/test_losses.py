"""The losses against spec sections 6 and 7, entry by entry in float64."""

from __future__ import annotations

import math

import pytest
import torch

from link_hoi_core.distillation.losses import (
    Total,
    average,
    focal_loss,
    kl_divergence,
    logit_distillation,
    map_distillation,
    query_distillation,
    score_distillation,
)


def mean_of(total: Total) -> torch.Tensor:
    """The loss of a single process."""
    own, whole = average({'it': total})
    assert own['it'].item() == whole['it'].item() and not whole['it'].requires_grad
    return own['it']


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
    found = mean_of(focal_loss(*shaped, alpha=alpha, gamma=gamma)).item()
    assert found == pytest.approx(expected, rel=1e-9)


def test_defaults_are_the_papers() -> None:
    """Alpha 0.5 and gamma 0.1; one positive and one negative entry at Psi = 0."""
    psi, target = torch.zeros(2).double(), torch.tensor([1.0, 0.0]).double()
    expected = 2 * 0.5 * 0.500001**0.1 * math.log(2)
    counted = torch.ones(2, dtype=torch.bool)
    assert mean_of(focal_loss(psi, target, counted)).item() == pytest.approx(expected, rel=1e-9)


def test_without_a_positive_the_sum_is_divided_by_one() -> None:
    psi, target = torch.zeros(3).double(), torch.zeros(3).double()
    expected = 3 * 0.5 * 0.500001**0.1 * math.log(2)
    counted = torch.ones(3, dtype=torch.bool)
    assert mean_of(focal_loss(psi, target, counted)).item() == pytest.approx(expected, rel=1e-9)


def test_entries_that_do_not_count_have_no_part() -> None:
    psi = torch.tensor([0.3, -2.0, 50.0], requires_grad=True)
    target, counted = torch.tensor([1.0, 0.0, 0.0]), torch.tensor([True, True, False])
    loss = mean_of(focal_loss(psi, target, counted))
    loss.backward()
    alone = mean_of(focal_loss(psi[:2], target[:2], counted[:2]))
    assert loss.item() == pytest.approx(alone.item())
    assert psi.grad[2] == 0 and (psi.grad[:2] != 0).all()
    assert psi.grad[0] < 0 < psi.grad[1]


def test_where_nothing_counts_the_loss_is_zero_with_a_gradient() -> None:
    psi = torch.randn(4, requires_grad=True)
    loss = mean_of(focal_loss(psi, torch.zeros(4), torch.zeros(4, dtype=torch.bool)))
    loss.backward()
    assert loss.item() == 0 and psi.grad.tolist() == [0, 0, 0, 0]


def test_importance_scales_each_entry() -> None:
    psi = torch.tensor([0.3, -1.2], dtype=torch.float64)
    target = torch.tensor([1.0, 0.0], dtype=torch.float64)
    counted, weight = torch.ones(2, dtype=torch.bool), torch.tensor([3.0, 5.0]).double()
    positive = focal_loop([0.3], [1.0], [True], 0.5, 0.1)
    negative = focal_loop([-1.2], [0.0], [True], 0.5, 0.1)
    found = mean_of(focal_loss(psi, target, counted, weight)).item()
    assert found == pytest.approx(3 * positive + 5 * negative, rel=1e-9)


def test_extreme_logits_stay_finite() -> None:
    psi = torch.tensor([-200.0, 200.0, -200.0, 200.0], requires_grad=True)
    target = torch.tensor([0.0, 1.0, 1.0, 0.0])
    loss = mean_of(focal_loss(psi, target, torch.ones(4, dtype=torch.bool)))
    loss.backward()
    assert loss.isfinite() and psi.grad.isfinite().all()
    assert loss.item() == pytest.approx(0.5 * 400 / 2, rel=1e-4)  # the two wrong ones


def kl_loop(student: list[float], teacher: list[float], tau: float) -> float:
    """KL(softmax(t / tau) || softmax(s / tau)) of one row."""
    exponentials = [[math.exp(value / tau) for value in row] for row in (teacher, student)]
    p, q = ([value / sum(row) for value in row] for row in exponentials)
    return sum(a * math.log(a / b) for a, b in zip(p, q))


def mean(values: list[float]) -> float:
    return sum(values) / max(len(values), 1)


def interpolate(row: list[float], count: int) -> list[float]:
    """Linear, cells as areas (align_corners False)."""
    result = []
    for i in range(count):
        place = max((i + 0.5) * len(row) / count - 0.5, 0)
        left = int(place)
        right = min(left + 1, len(row) - 1)
        result.append(row[left] + (place - left) * (row[right] - row[left]))
    return result


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    random = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=random, dtype=torch.float64) * 3


@pytest.mark.parametrize('tau', [1.0, 2.0])
def test_divergence_equals_the_loop(tau: float) -> None:
    student, teacher = draw(5, 7), draw(5, 7, seed=1)
    expected = [kl_loop(*rows, tau) for rows in zip(student.tolist(), teacher.tolist())]
    assert kl_divergence(student, teacher, tau).tolist() == pytest.approx(expected, rel=1e-9)
    assert min(expected) > 0


@pytest.mark.parametrize('pairs', [0, 1, 40])
def test_logit_distillation_equals_the_loop(pairs: int) -> None:
    student, teacher = draw(pairs, 9), draw(pairs, 9, seed=1)
    counted = draw(pairs, 9, seed=2) > 2
    counted[:1, :3] = True  # so that the one pair has a distribution
    expected = [
        kl_loop(s[mask].tolist(), t[mask].tolist(), 2.0)
        for s, t, mask in zip(student, teacher, counted)
        if mask.sum() >= 2
    ]
    assert pairs == 0 or 0 < len(expected) < max(pairs, 2)
    found = mean_of(logit_distillation(student, teacher, counted))
    assert found.item() == pytest.approx(mean(expected), rel=1e-9)


def test_pairs_with_fewer_than_two_valid_verbs_teach_nothing() -> None:
    student = draw(3, 4).requires_grad_()
    counted = torch.zeros(3, 4, dtype=torch.bool)
    counted[1, 2] = counted[2, 0] = True
    loss = mean_of(logit_distillation(student, draw(3, 4, seed=1), counted))
    loss.backward()
    assert loss.item() == 0 and not student.grad.any()


def test_verbs_that_are_not_valid_have_no_part() -> None:
    student, teacher = draw(2, 4).requires_grad_(), draw(2, 4, seed=1)
    counted = torch.tensor([[True, True, False, True]]).expand(2, 4)
    loss = mean_of(logit_distillation(student, teacher, counted))
    loss.backward()
    assert student.grad.isfinite().all() and not student.grad[:, 2].any()
    teacher[:, 2] = 1000
    assert mean_of(logit_distillation(student, teacher, counted)).item() == loss.item()


@pytest.mark.parametrize('pairs', [0, 1, 40])
def test_score_distillation_equals_the_loop(pairs: int) -> None:
    student, teacher = draw(pairs, 9), draw(pairs, 9, seed=1)
    counted = draw(pairs, 9, seed=2) > 1
    counted[:1, :3] = True
    counted[1:2] = False  # of a pair that goes with no verb
    expected = []
    for s, t, mask in zip(student, teacher, counted):
        coins = [(1 / (1 + math.exp(-a)), 1 / (1 + math.exp(-b))) for a, b in zip(s[mask], t[mask])]
        terms = [p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q)) for q, p in coins]
        expected += [sum(terms)] if coins else []
    found = mean_of(score_distillation(student, teacher, counted))
    assert found.item() == pytest.approx(mean(expected), rel=1e-9)


def test_scores_tell_a_shift_that_the_softmax_does_not_see() -> None:
    """Of a pair of whose verbs the teacher thinks none, and the student all."""
    student, teacher = draw(1, 5) + 6, draw(1, 5) - 6
    counted = torch.ones(1, 5, dtype=torch.bool)
    assert mean_of(logit_distillation(student, teacher, counted)).item() == pytest.approx(0)
    assert mean_of(score_distillation(student, teacher, counted)).item() > 10


@pytest.mark.parametrize('tokens', [0, 1, 30])
@pytest.mark.parametrize('width', [8, 12, 5])
def test_query_distillation_equals_the_loop(tokens: int, width: int) -> None:
    """Also of a wider and of a narrower teacher; padding does not count."""
    student, teacher = draw(2, tokens, 8), draw(2, tokens, width, seed=1)
    present = torch.tensor([[True], [False]]).expand(2, tokens)
    expected = [
        kl_loop(s, interpolate(t, 8), 2.0) for s, t in zip(student[0].tolist(), teacher[0].tolist())
    ]
    found = mean_of(query_distillation(student, teacher, present))
    assert found.item() == pytest.approx(mean(expected), rel=1e-9, abs=1e-15)


@pytest.mark.parametrize('shape', [(6, 3, 4), (9, 5, 2), (4, 3, 4)])
def test_map_distillation_equals_the_loop(shape: tuple[int, int, int]) -> None:
    """Bilinear over the cells, then linear along the channels."""
    student, teacher = draw(2, 6, 3, 4), draw(2, *shape, seed=1)
    resized = teacher
    for axis, count in ((2, 3), (3, 4), (1, 6)):
        rows = resized.movedim(axis, -1)
        flat = [interpolate(row, count) for row in rows.flatten(0, -2).tolist()]
        changed = torch.tensor(flat, dtype=torch.float64).reshape(*rows.shape[:-1], count)
        resized = changed.movedim(-1, axis)
    expected = [
        kl_loop(student[image, :, y, x].tolist(), resized[image, :, y, x].tolist(), 2.0)
        for image in range(2)
        for y in range(3)
        for x in range(4)
    ]
    found = mean_of(map_distillation(student, teacher)).item()
    assert found == pytest.approx(mean(expected), rel=1e-9)


def test_an_identical_teacher_has_nothing_to_teach() -> None:
    queries, features = draw(2, 3, 8), draw(2, 8, 3, 3)
    counted = torch.ones(2, 3, 8, dtype=torch.bool)
    assert mean_of(logit_distillation(queries, queries.clone(), counted)).item() == 0
    assert mean_of(score_distillation(queries, queries.clone(), counted)).item() == 0
    assert mean_of(query_distillation(queries, queries.clone(), counted[..., 0])).item() == 0
    assert mean_of(map_distillation(features, features.clone())).item() == 0


def test_gradients_reach_the_student_only() -> None:
    everything = torch.ones(2, 3, 8, dtype=torch.bool)
    for loss, shape in (
        (lambda s, t: logit_distillation(s, t, everything), (2, 3, 8)),
        (lambda s, t: score_distillation(s, t, everything), (2, 3, 8)),
        (lambda s, t: query_distillation(s, t, everything[..., 0]), (2, 3, 8)),
        (map_distillation, (2, 8, 3, 3)),
    ):
        student, teacher = draw(*shape).requires_grad_(), draw(*shape, seed=1).requires_grad_()
        mean_of(loss(student, teacher)).backward()
        assert student.grad.any() and teacher.grad is None


def test_extreme_queries_stay_finite() -> None:
    student = torch.tensor([[-500.0, 500.0], [0.0, 0.0]], requires_grad=True)
    teacher = torch.tensor([[500.0, -500.0], [1e4, -1e4]])
    loss = mean_of(query_distillation(student, teacher, torch.ones(2, dtype=torch.bool)))
    loss.backward()
    assert loss.item() == pytest.approx((500 + math.log(2)) / 2) and student.grad.isfinite().all()
