"""The verb classifier, initialised with text embeddings (LINK section 3.2.2; spec section 5)."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

START_TEMPERATURE = 0.07
START_PROBABILITY = 0.01
SHORTEST = 1e-6  # an embedding of no length is like no verb, not NaN


class TextHead(nn.Module):
    """Cosine between a pair and each verb's trainable text embedding, scaled and shifted."""

    def __init__(self, width: int, verb_embeddings: Tensor) -> None:
        """`verb_embeddings`: (V, T), L2-normalised; the rows start there and are trained."""
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.project = nn.Linear(width, verb_embeddings.shape[1])
        self.verbs = nn.Parameter(verb_embeddings.clone())
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / START_TEMPERATURE)))
        start = math.log(START_PROBABILITY / (1 - START_PROBABILITY))
        self.bias = nn.Parameter(torch.full((len(verb_embeddings),), start))

    def forward(self, pairs: Tensor) -> Tensor:
        """Pairs (..., D) -> verb logits (..., V)."""
        embedding = self.project(self.norm(pairs))
        length = embedding.norm(dim=-1, keepdim=True).clamp(min=SHORTEST)
        rows = self.log_scale.exp() * functional.normalize(self.verbs, dim=-1)
        return embedding @ rows.T / length + self.bias

    @torch.no_grad()
    def replace_verbs(self, rows: np.ndarray, new: Tensor | None) -> None:
        """Classify other verbs: kept ones keep row and bias, new ones get the mean bias.

        Args:
            rows: (V',) which of the present verbs each is, -1 = a new one.
            new: (K, T) text embeddings of the new ones, in order; None = there are none.
        """
        mean = self.bias.mean().expand(len(new) if new is not None else 0)
        self.verbs = nn.Parameter(take_rows(self.verbs, rows, new), self.verbs.requires_grad)
        self.bias = nn.Parameter(take_rows(self.bias, rows, mean), self.bias.requires_grad)


def take_rows(table: Tensor, rows: np.ndarray, new: Tensor | None) -> Tensor:
    """Rows of `table` (R, ...); in the places of -1 those of `new`, in order."""
    index = torch.from_numpy(rows).to(table.device)
    taken = table[index]
    if new is not None:
        taken[index < 0] = new.to(table)
    return taken
