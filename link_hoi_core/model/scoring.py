"""Priors, the training logit and the final score (LINK section 3.3; spec section 6)."""

from __future__ import annotations

from dataclasses import dataclass

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
    return valid[scene.at_objects(scene.labels)] & scene.pair_present.unsqueeze(-1)


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


@dataclass(frozen=True)
class VerbFilter:
    """Keeps each pair's best verbs, more of them the surer its boxes are (LINK A.4; spec 12).

    k = topk * factor^(2 P - 1), rounded, at least 1: 10 at middling confidence P, 18 at full, 6 at
    none. An option of the zero-shot setting.

    Attributes:
        topk: `zs_topk`.
        factor: `zs_topk_factor`.
    """

    topk: int = 10
    factor: float = 1.8

    def __post_init__(self) -> None:
        if self.topk < 1 or self.factor < 1:
            raise ValueError(f'topk {self.topk} and factor {self.factor}: expected 1 or more')

    def keep(self, scores: Tensor, prior: Tensor) -> Tensor:
        """Which verbs are among a pair's k best: (..., V) bool, of scores (..., V), P (..., 1)."""
        count = (self.topk * self.factor ** (2 * prior - 1)).round().clamp(min=1)
        rank = scores.argsort(dim=-1, descending=True, stable=True).argsort(dim=-1)
        return rank < count
