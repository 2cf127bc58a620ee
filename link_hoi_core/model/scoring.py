"""Priors, the training logit and the final score (LINK section 3.3; spec section 6)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from link_hoi_core.model.scene import Scene

MOST_PRIOR = 1 - 1e-6


def pair_prior(scene: Scene) -> Tensor:
    """Confidence of both detections, s_h * s_o: (B, M), 0 where padded."""
    human, object_ = scene.at_pairs(scene.scores)
    return human * object_ * scene.pair_present


def valid_verbs(scene: Scene, valid: Tensor) -> Tensor:
    """Verbs that the pair's object allows: (B, M, V) bool, from the table `valid` (O, V)."""
    _, label = scene.at_pairs(scene.labels)
    return valid[label] & scene.pair_present.unsqueeze(-1)


def prior_logit(logits: Tensor, prior: Tensor) -> Tensor:
    """Psi, the logit whose sigmoid is prior * sigmoid(logits), in a form that cannot overflow.

    Psi = log P + logsigmoid(O) - log(1 - P sigmoid(O)).

    Args:
        logits: (...), O.
        prior: (...), P in (0, 1]; clamped below 1, where Psi would have no finite value.
    """
    prior = prior.clamp(torch.finfo(prior.dtype).tiny, MOST_PRIOR)
    log_score = prior.log() + functional.logsigmoid(logits)
    return log_score - torch.log1p(-log_score.exp())


def final_score(logits: Tensor, prior: Tensor, exponent: float) -> Tensor:
    """sigmoid(O) * P^lambda, in [0, 1]; `exponent` is lambda, a setting of the detector."""
    return logits.sigmoid() * prior**exponent
