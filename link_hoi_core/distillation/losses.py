"""What training minimises (LINK section 3.3; spec sections 6 and 7).

What the paper leaves open of distillation is settled so: the softmax runs over the last axis, the
mean over the tokens or pairs that are there, and there is no factor tau^2.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

FOCAL_ALPHA = 0.5
FOCAL_GAMMA = 0.1
TAU = 2.0


def focal_loss(
    psi: Tensor,
    target: Tensor,
    counted: Tensor,
    importance: Tensor | None = None,
    alpha: float = FOCAL_ALPHA,
    gamma: float = FOCAL_GAMMA,
) -> Tensor:
    """Focal binary cross-entropy on the prior-weighted logit, over the valid verbs.

    |1 - y - alpha| (|y - sigmoid(psi)| + 1e-6)^gamma BCE(psi, y), summed and divided by the number
    of positive entries, or by 1 where there is none.

    Args:
        psi: (...) logits that already hold the detector's confidence (`scoring.prior_logit`).
        target: (...) 0 or 1, float.
        counted: (...) bool; the other entries are neither positive nor negative.
        importance: (...) how much each entry counts; None is 1.

    Returns:
        a scalar; 0 where nothing counts.
    """
    importance = None if importance is None else importance[counted]
    psi, target = psi[counted], target[counted]
    distance = (target - psi.sigmoid()).abs() + 1e-6
    weight = (1 - target - alpha).abs() * distance**gamma
    loss = weight * functional.binary_cross_entropy_with_logits(
        psi, target, weight=importance, reduction='none'
    )
    return loss.sum() / target.sum().clamp(min=1)


def kl_divergence(
    student: Tensor, teacher: Tensor, tau: float = TAU, counted: Tensor | None = None
) -> Tensor:
    """KL(softmax(teacher / tau) || softmax(student / tau)) over the last axis.

    Args:
        student, teacher: (..., W); no gradient reaches the teacher.
        counted: (..., W) bool, what the softmax runs over, at least one entry of each row; None is
            everything.

    Returns:
        (...), 0 where both are equal, else more, but for rounding.
    """
    if counted is not None:
        student = student.masked_fill(~counted, -torch.inf)
        teacher = teacher.masked_fill(~counted, -torch.inf)
    log_student = (student / tau).log_softmax(dim=-1)
    log_teacher = (teacher.detach() / tau).log_softmax(dim=-1)
    terms = log_teacher.exp() * (log_teacher - log_student)
    if counted is not None:
        terms = terms.masked_fill(~counted, 0)  # 0 times the difference of two infinities
    return terms.sum(dim=-1)


def logit_distillation(
    student: Tensor, teacher: Tensor, counted: Tensor, tau: float = TAU
) -> Tensor:
    """Distil Psi over the valid verbs of each pair; one valid verb is no distribution.

    Args:
        student, teacher: (..., V), Psi of the same pairs.
        counted: (..., V) bool, the verbs that are valid; pairs with fewer than two are skipped.

    Returns:
        a scalar; 0 where no pair is left.
    """
    rows = counted.sum(dim=-1) >= 2
    return _mean(kl_divergence(student[rows], teacher[rows], tau, counted[rows]))


def query_distillation(
    student: Tensor, teacher: Tensor, present: Tensor, tau: float = TAU
) -> Tensor:
    """Distil queries along their channels; a teacher of another width is interpolated to ours.

    Args:
        student: (..., D).
        teacher: (..., D'), of the same tokens.
        present: (...) bool, False where padded.

    Returns:
        a scalar; 0 where nothing is present.
    """
    student, teacher = student[present], teacher[present]
    if teacher.shape[-1] != student.shape[-1]:
        teacher = functional.interpolate(
            teacher.unsqueeze(1), student.shape[-1], mode='linear', align_corners=False
        ).squeeze(1)
    return _mean(kl_divergence(student, teacher, tau))


def map_distillation(student: Tensor, teacher: Tensor, tau: float = TAU) -> Tensor:
    """Distil each cell of a feature map along its channels.

    The teacher's map is brought to the student's cells and channels by one trilinear interpolation,
    which is the bilinear one over the cells followed by the linear one along the channels.

    Args:
        student: (B, C, H, W), behind the adapter; a frozen map would get no gradient.
        teacher: (B, C', H', W') of the same images.

    Returns:
        a scalar.
    """
    if teacher.shape != student.shape:
        teacher = functional.interpolate(
            teacher.unsqueeze(1), student.shape[1:], mode='trilinear', align_corners=False
        ).squeeze(1)
    cells = (features.flatten(2).transpose(1, 2) for features in (student, teacher))
    return _mean(kl_divergence(*cells, tau))


def _mean(losses: Tensor) -> Tensor:
    """The mean, or a 0 that has a gradient where there is nothing."""
    return losses.sum() / max(losses.numel(), 1)
