"""The HO Geometrical Encoder (LINK section 3.2.1): from detections to pair queries."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from link_hoi_core.geometry import (
    BOX_ENCODING_WIDTH,
    PAIR_ENCODING_WIDTH,
    pairwise_encoding,
)
from link_hoi_core.model.attention import SelfAttentionLayer
from link_hoi_core.model.scene import Scene


class GeometricalEncoder(nn.Module):
    """Self-attention over the detections of an image, then one query for each pair."""

    def __init__(self, width: int, heads: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.positions = nn.ModuleList(
            nn.Linear(BOX_ENCODING_WIDTH, 2 * width) for _ in range(layers)
        )
        self.layers = nn.ModuleList(
            SelfAttentionLayer(width, heads, dropout) for _ in range(layers)
        )
        self.fusion = PairFusion(width)

    def forward(self, queries: Tensor, box_encodings: Tensor, scene: Scene) -> Tensor:
        """Encode the pairs.

        Args:
            queries: (B, N, D), one a detection.
            box_encodings: (B, N, 512).

        Returns:
            (B, M, D) pair queries.
        """
        for layer, position in zip(self.layers, self.positions):
            queries = layer(queries, position(box_encodings), scene.present)
        spatial = pairwise_encoding(*scene.at_pairs(scene.boxes), scene.image_size.unsqueeze(1))
        return self.fusion(queries, spatial, scene)


class PairFusion(nn.Module):
    """Fuses what the two are with how they lie to each other (PViC's MMF; spec section 4)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.human = nn.Linear(width, width)
        self.object = nn.Linear(width, width, bias=False)
        self.content_norm = nn.LayerNorm(width)
        self.spatial_head = nn.Sequential(
            nn.Linear(PAIR_ENCODING_WIDTH, 128),
            nn.ReLU(),
            nn.Linear(128, 256),
            nn.ReLU(),
            nn.Linear(256, width),
            nn.ReLU(),
            nn.Linear(width, width),
            nn.LayerNorm(width),
        )
        hidden = width + width // 2
        self.mix = nn.Sequential(
            nn.ReLU(), nn.Linear(2 * width, hidden), nn.ReLU(), nn.Linear(hidden, width), nn.ReLU()
        )

    def forward(self, queries: Tensor, spatial: Tensor, scene: Scene) -> Tensor:
        """Queries (B, N, D) and spatial encodings (B, M, 36) -> pair queries (B, M, D) >= 0.

        FC1 of [human; object] is the sum of two products, taken once a detection, not a pair.
        """
        human, _ = scene.at_pairs(self.human(queries))
        _, object_ = scene.at_pairs(self.object(queries))
        content = self.content_norm(human + object_)
        return self.mix(torch.cat((content, self.spatial_head(spatial)), dim=-1))
