"""The HO Geometrical Encoder (LINK section 3.2): from detections to pair queries.

Beside it the plain one that it is held against (Table 6, rows A1 and A2).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from link_hoi_core.geometry import (
    BOX_ENCODING_WIDTH,
    PAIR_ENCODING_WIDTH,
    cast,
    pairwise_encoding,
)
from link_hoi_core.model.attention import FeedForward, SelfAttention
from link_hoi_core.model.scene import Scene


class GeometricalEncoder(nn.Module):
    """Self-attention over the detections of an image, then one query for each pair."""

    def __init__(self, width: int, heads: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            EncoderLayer(width, heads, dropout, BOX_ENCODING_WIDTH) for _ in range(layers)
        )
        self.fusion = PairFusion(width)

    def forward(
        self, queries: Tensor, box_encodings: Tensor, scene: Scene
    ) -> tuple[list[Tensor], Tensor]:
        """Encode the pairs.

        Args:
            queries: (B, N, D), one a detection.
            box_encodings: (B, N, 512).

        Returns:
            every layer's detections (B, N, D), and the pair queries (B, M, D).
        """
        outputs = []
        for layer in self.layers:
            queries = layer(queries, box_encodings, scene.detection_mask())
            outputs.append(queries)
        spatial = pairwise_encoding(*scene.at_pairs(scene.boxes), scene.image_size.unsqueeze(1))
        return outputs, self.fusion(queries, cast(spatial, queries.dtype), scene)


class PlainEncoder(nn.Module):
    """Self-attention that knows no boxes; a pair is a linear layer of its two queries."""

    def __init__(self, width: int, heads: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(EncoderLayer(width, heads, dropout) for _ in range(layers))
        self.pair = PairLinear(width, width)

    def forward(
        self, queries: Tensor, box_encodings: Tensor, scene: Scene
    ) -> tuple[list[Tensor], Tensor]:
        """As `GeometricalEncoder.forward`; the box encodings are not used."""
        outputs = []
        for layer in self.layers:
            queries = layer(queries, None, scene.detection_mask())
            outputs.append(queries)
        return outputs, self.pair(queries, scene)


class EncoderLayer(nn.Module):
    """A post-norm transformer layer; with `position_width`, one that is told positions."""

    def __init__(
        self, width: int, heads: int, dropout: float, position_width: int | None = None
    ) -> None:
        super().__init__()
        self.position = nn.Linear(position_width, 2 * width) if position_width else None
        self.attention = SelfAttention(width, heads, dropout)
        self.feed_forward = FeedForward(width, dropout)

    def forward(self, tokens: Tensor, encodings: Tensor | None, present: Tensor | None) -> Tensor:
        """Tokens (B, T, D) with encodings (B, T, P) -> (B, T, D)."""
        position = self.position(encodings) if self.position else None
        return self.feed_forward(self.attention(tokens, position, present))


class PairLinear(nn.Module):
    """A Linear of [human; object], as the sum of two products taken once a detection, not a pair.

    It is FC1 of LINK's Eq. 3 and of the fusion, and the projection of pair positions.
    """

    def __init__(self, width: int, output: int) -> None:
        super().__init__()
        self.human = nn.Linear(width, output)
        self.object = nn.Linear(width, output, bias=False)

    def forward(self, per_detection: Tensor, scene: Scene) -> Tensor:
        """(B, N, W) -> (B, M, output)."""
        human = scene.at_humans(self.human(per_detection))
        return human.add_(scene.at_objects(self.object(per_detection)))


class PairFusion(nn.Module):
    """Fuses what the two are with how they lie to each other (PViC's MMF; spec section 4)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.content = PairLinear(width, width)
        self.content_norm = nn.LayerNorm(width)
        self.spatial_head = nn.Sequential(
            nn.Linear(PAIR_ENCODING_WIDTH, 128),
            nn.ReLU(inplace=True),
            nn.Linear(128, 256),
            nn.ReLU(inplace=True),
            nn.Linear(256, width),
            nn.ReLU(inplace=True),
            nn.Linear(width, width),
            nn.LayerNorm(width),
        )
        hidden = width + width // 2
        self.mix = nn.Sequential(
            nn.ReLU(inplace=True),
            nn.Linear(2 * width, hidden),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, width),
            nn.ReLU(inplace=True),
        )

    def forward(self, queries: Tensor, spatial: Tensor, scene: Scene) -> Tensor:
        """Queries (B, N, D) and spatial encodings (B, M, 36) -> pair queries (B, M, D) >= 0."""
        content = self.content_norm(self.content(queries, scene))
        return self.mix(torch.cat((content, self.spatial_head(spatial)), dim=-1))
