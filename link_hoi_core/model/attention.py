"""Attention with positions, and the feed-forward network beside it."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


class SelfAttentionLayer(nn.Module):
    """One post-norm transformer layer whose queries and keys know positions (spec section 4).

    q = Wq x + position, k = Wk x + position', v = Wv x: as in PViC, positions guide where a token
    looks and stay out of what it takes. Attention weights have no dropout, which leaves the
    library's fused kernel in use and memory linear in the number of tokens.
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.query_key_value = nn.Linear(width, 3 * width)
        self.output = nn.Linear(width, width)
        self.attention_norm = nn.LayerNorm(width)
        self.feed_forward = FeedForward(width, dropout)
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor, position: Tensor, present: Tensor) -> Tensor:
        """Let the tokens of each image look at each other.

        Args:
            tokens: (B, T, D).
            position: (B, T, 2 D), already projected: what is added to queries, then to keys.
            present: (B, T) bool; nobody looks at a token that is not present.

        Returns:
            (B, T, D).
        """
        query, key, value = self.query_key_value(tokens).chunk(3, dim=-1)
        position_query, position_key = position.chunk(2, dim=-1)
        attended = functional.scaled_dot_product_attention(
            self._split(query + position_query),
            self._split(key + position_key),
            self._split(value),
            attn_mask=present[:, None, None, :],
        )
        attended = self.output(attended.transpose(1, 2).flatten(2))
        tokens = self.attention_norm(tokens + self.dropout(attended))
        return self.feed_forward(tokens)

    def _split(self, tokens: Tensor) -> Tensor:
        """(B, T, D) -> (B, heads, T, D / heads)."""
        return tokens.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class FeedForward(nn.Module):
    """Linear to four times the width, ReLU, Linear back, residual and norm."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(width, 4 * width),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(4 * width, width),
            nn.Dropout(dropout),
        )
        self.norm = nn.LayerNorm(width)

    def forward(self, tokens: Tensor) -> Tensor:
        """(..., D) -> (..., D)."""
        return self.norm(tokens + self.layers(tokens))
