"""What training minimises (LINK section 3.3; spec section 6)."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

FOCAL_ALPHA = 0.5
FOCAL_GAMMA = 0.1


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
