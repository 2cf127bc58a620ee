"""Attention in its three forms, and the feed-forward network beside it.

Attention weights have no dropout anywhere, which leaves the library's fused kernel in use and
memory linear in the number of tokens.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional


class SelfAttention(nn.Module):
    """Tokens look at each other, knowing positions; residual and norm (spec section 4).

    q = Wq x + position, k = Wk x + position', v = Wv x: as in PViC, positions guide where a token
    looks and stay out of what it takes.
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.query_key_value = nn.Linear(width, 3 * width)
        self.output = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(width)

    def forward(self, tokens: Tensor, position: Tensor | None, present: Tensor | None) -> Tensor:
        """Let the tokens of each image look at each other.

        Args:
            tokens: (B, T, D).
            position: (B, T, 2 D), already projected: what is added to queries, then to keys; None
                for attention that knows no positions.
            present: (B, T) bool; nobody looks at a token that is not present. None = all are.

        Returns:
            (B, T, D).
        """
        query, key, value = self.query_key_value(tokens).chunk(3, dim=-1)
        if position is not None:
            position_query, position_key = position.chunk(2, dim=-1)
            query, key = query + position_query, key + position_key
        attended = functional.scaled_dot_product_attention(
            *(_split(part, self.heads) for part in (query, key, value)),
            attn_mask=None if present is None else present[:, None, None, :],
        )
        return self.norm(tokens + self.dropout(self.output(_join(attended))))


class CrossAttention(nn.Module):
    """Standard multi-head attention of queries over a memory of the same width."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = math.gcd(width, heads)  # of a width that the wanted number does not divide
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.output = nn.Linear(width, width)

    def forward(self, queries: Tensor, memory: Tensor) -> Tensor:
        """Queries (B, M, D) over memory (B, S, D): (B, M, D)."""
        key, value = self.key_value(memory).chunk(2, dim=-1)
        attended = functional.scaled_dot_product_attention(
            *(_split(part, self.heads) for part in (self.query(queries), key, value))
        )
        return self.output(_join(attended))


class GuidedAttention(nn.Module):
    """Cross-attention steered by boxes, CA^be of LINK's Eq. 5 (spec section 5, step 2; PViC).

    Content and position are concatenated head by head, so that a logit is the sum of a product of
    contents and a product of positions, over the root of their joint width.
    """

    def __init__(self, width: int, heads: int, map_position_width: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        # A bias would move all logits of a query alike, which the softmax does not notice.
        self.key_position = nn.Linear(map_position_width, width, bias=False)
        self.output = nn.Linear(width, width)

    def forward(
        self, queries: Tensor, query_position: Tensor, memory: Tensor, memory_position: Tensor
    ) -> Tensor:
        """Let queries look at a feature map.

        Args:
            queries: (B, M, D).
            query_position: (B, M, D), already projected.
            memory: (B, S, D).
            memory_position: (S, P) encodings of the map's cells.

        Returns:
            (B, M, D).
        """
        key, value = self.key_value(memory).chunk(2, dim=-1)
        key_position = self.key_position(memory_position).expand_as(key)
        value = _split(value, self.heads)
        width = value.shape[-1]
        # Fused kernels want values as wide as keys.
        attended = functional.scaled_dot_product_attention(
            self._with_position(self.query(queries), query_position),
            self._with_position(key, key_position),
            functional.pad(value, (0, width)),
        )
        return self.output(_join(attended[..., :width]))

    def _with_position(self, content: Tensor, position: Tensor) -> Tensor:
        """2 x (B, T, D) -> (B, heads, T, 2 D / heads)."""
        return torch.cat((_split(content, self.heads), _split(position, self.heads)), dim=-1)


class FeedForward(nn.Module):
    """Linear to four times the width, ReLU, Linear back, residual and norm.

    ReLUs are in place, here and elsewhere in the model: on a CPU a fresh tensor of all pairs takes
    as long as a tenth of the product before it.
    """

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(width, 4 * width),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(4 * width, width),
            nn.Dropout(dropout),
        )
        self.norm = nn.LayerNorm(width)

    def forward(self, tokens: Tensor) -> Tensor:
        """(..., D) -> (..., D)."""
        return self.norm(tokens + self.layers(tokens))


def _split(tokens: Tensor, heads: int) -> Tensor:
    """(B, T, D) -> (B, heads, T, D / heads)."""
    return tokens.unflatten(-1, (heads, -1)).transpose(1, 2)


def _join(tokens: Tensor) -> Tensor:
    """(B, heads, T, D / heads) -> (B, T, D)."""
    return tokens.transpose(1, 2).flatten(2)
