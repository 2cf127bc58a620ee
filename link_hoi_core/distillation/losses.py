"""What training minimises (LINK section 3.3; spec sections 6 and 7).

What the paper leaves open of distillation is settled so: the softmax runs over the last axis, the
mean over the tokens or pairs that are there, and there is no factor tau^2.
Each loss comes as a sum and a count, as it is a mean over what all processes of a run have.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, distributed
from torch.nn import functional

FOCAL_ALPHA = 0.5
FOCAL_GAMMA = 0.1
TAU = 2.0


@dataclass(frozen=True)
class Total:
    """What a process adds to a loss.

    Attributes:
        sum: a scalar; 0 with a gradient where there is nothing to sum.
        count: a scalar, what the sum over all processes is divided by, if it is 1 or more.
    """

    sum: Tensor
    count: Tensor

    @classmethod
    def mean(cls, totals: Sequence[Total]) -> Total:
        """Of several layers, or teachers, whose losses are over the same things."""
        return cls(torch.stack([total.sum for total in totals]).mean(), totals[0].count)


def average(totals: Mapping[str, Total]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Divide each sum by the count over all processes; every process calls it with the same keys.

    Returns:
        what this process is to minimise: its own share of each loss, times the number of processes,
        since distributed training takes the mean of their gradients, which then is the gradient of
        one process with all their batches;
        and each loss over all processes, without a gradient. Both are the same in a single process.
    """
    sums = torch.stack([total.sum for total in totals.values()])
    counts = torch.stack([total.count for total in totals.values()])
    everywhere, processes = torch.stack((sums.detach(), counts)), 1
    if distributed.is_available() and distributed.is_initialized():
        distributed.all_reduce(everywhere)
        processes = distributed.get_world_size()
    whole_sums, whole_counts = everywhere[0], everywhere[1].clamp(min=1)
    own, whole = sums * processes / whole_counts, whole_sums / whole_counts
    return dict(zip(totals, own)), dict(zip(totals, whole))


def focal_loss(
    psi: Tensor,
    target: Tensor,
    counted: Tensor,
    importance: Tensor | None = None,
    alpha: float = FOCAL_ALPHA,
    gamma: float = FOCAL_GAMMA,
) -> Total:
    """Focal binary cross-entropy on the prior-weighted logit, over the valid verbs.

    |1 - y - alpha| (|y - sigmoid(psi)| + 1e-6)^gamma BCE(psi, y), summed; the count is that of the
    positive entries.

    Args:
        psi: (...) logits that already hold the detector's confidence (`scoring.prior_logit`).
        target: (...) 0 or 1, float.
        counted: (...) bool; the other entries are neither positive nor negative.
        importance: (...) how much each entry counts; None is 1.
    """
    importance = None if importance is None else importance[counted]
    psi, target = psi[counted], target[counted]
    distance = (target - psi.sigmoid()).abs() + 1e-6
    weight = (1 - target - alpha).abs() * distance**gamma
    loss = weight * functional.binary_cross_entropy_with_logits(
        psi, target, weight=importance, reduction='none'
    )
    return Total(loss.sum(), target.sum())


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
) -> Total:
    """Distil Psi over the valid verbs of each pair; one valid verb is no distribution.

    Args:
        student, teacher: (..., V), Psi of the same pairs.
        counted: (..., V) bool, the verbs that are valid; pairs with fewer than two are skipped.
    """
    rows = counted.sum(dim=-1) >= 2
    return _total(kl_divergence(student[rows], teacher[rows], tau, counted[rows]))


def score_distillation(student: Tensor, teacher: Tensor, counted: Tensor) -> Total:
    """Distil the score sigmoid(Psi) of each valid verb by itself, also of pairs nobody annotated.

    The softmax of `logit_distillation` says which verb is likelier than which; this also says
    whether there is one at all. It is ours, not the paper's: the KL divergence of two Bernoulli
    variables, summed over the verbs of a pair.

    Args:
        student, teacher: (..., V), Psi of the same pairs; no gradient reaches the teacher.
        counted: (..., V) bool, the verbs that are valid; pairs without any are skipped.
    """
    ours, theirs = student[counted], teacher[counted].detach()
    entropy = functional.binary_cross_entropy_with_logits
    score = theirs.sigmoid()
    loss = entropy(ours, score, reduction='sum') - entropy(theirs, score, reduction='sum')
    return Total(loss, counted.any(dim=-1).sum().float())


def query_distillation(
    student: Tensor, teacher: Tensor, present: Tensor, tau: float = TAU
) -> Total:
    """Distil queries along their channels; a teacher of another width is interpolated to ours.

    Args:
        student: (..., D).
        teacher: (..., D'), of the same tokens.
        present: (...) bool, False where padded.
    """
    student, teacher = student[present], teacher[present]
    if teacher.shape[-1] != student.shape[-1]:
        teacher = functional.interpolate(
            teacher.unsqueeze(1), student.shape[-1], mode='linear', align_corners=False
        ).squeeze(1)
    return _total(kl_divergence(student, teacher, tau))


def map_distillation(student: Tensor, teacher: Tensor, tau: float = TAU) -> Total:
    """Distil each cell of a feature map along its channels.

    The teacher's map is brought to the student's cells and channels by one trilinear interpolation,
    which is the bilinear one over the cells followed by the linear one along the channels.

    Args:
        student: (B, C, H, W), behind the adapter; a frozen map would get no gradient.
        teacher: (B, C', H', W') of the same images.
    """
    if teacher.shape != student.shape:
        teacher = functional.interpolate(
            teacher.unsqueeze(1), student.shape[1:], mode='trilinear', align_corners=False
        ).squeeze(1)
    cells = (features.flatten(2).transpose(1, 2) for features in (student, teacher))
    return _total(kl_divergence(*cells, tau))


def _total(losses: Tensor) -> Total:
    count = torch.full((), losses.numel(), dtype=torch.float32, device=losses.device)
    return Total(losses.sum(), count)
