"""The VLM Linking Decoder (LINK section 3.2; spec section 5): pairs look at the image.

Beside it the plain cross-attention that it is held against (Table 6, rows A1 and A3). Without a
backbone there is no image to look at, and the pairs' self-attention is what remains.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from link_hoi_core.geometry import (
    BOX_ENCODING_WIDTH,
    CENTRE_ENCODING_WIDTH,
    MAP_ENCODING_WIDTH,
    cast,
    centre_encoding,
    map_encoding,
)
from link_hoi_core.model.attention import (
    CrossAttention,
    FeedForward,
    GuidedAttention,
    SelfAttention,
)
from link_hoi_core.model.encoder import PairLinear
from link_hoi_core.model.scene import Scene


@dataclass(frozen=True)
class View:
    """What the pairs of a batch look at, and from where.

    Attributes:
        native: (B, S, C), the feature map's cells in the backbone's own width.
        latent: (B, S, D), the same through the connector.
        cells: (S, 256), where the cells lie.
        centres: (B, N, 256), where the detections lie, sharper for small ones; None in the plain
            decoder, which is not told.
    """

    native: Tensor
    latent: Tensor
    cells: Tensor
    centres: Tensor | None


@dataclass(frozen=True)
class Look:
    """What the pairs took from the image in one layer, a branch each; for distillation.

    Attributes:
        latent: (B, M, D), of the spatial branch, or of the plain attention.
        native: (B, M, C), of the semantic branch; None in the plain decoder.
    """

    latent: Tensor
    native: Tensor | None


class Decoder(nn.Module):
    """Layers in which pairs look at each other, then at the image where there is one."""

    def __init__(
        self,
        width: int,
        heads: int,
        layers: int,
        dropout: float,
        feature_width: int | None,
        plain: bool = False,
    ) -> None:
        """Build it.

        Args:
            feature_width: C of the feature map; None = there is none.
            plain: standard cross-attention over the connected map in the place of both branches.
        """
        super().__init__()
        self.layers = nn.ModuleList(
            DecoderLayer(width, heads, dropout, feature_width, plain) for _ in range(layers)
        )
        self.connector = self.modulation = None
        if feature_width:
            self.connector = nn.Sequential(
                nn.Linear(feature_width, width),
                nn.ReLU(inplace=True),
                nn.Linear(width, width),
                nn.LayerNorm(width),
            )
        if feature_width and not plain:
            self.modulation = nn.Sequential(
                nn.Linear(width, width), nn.ReLU(inplace=True), nn.Linear(width, 2), nn.Sigmoid()
            )

    def forward(
        self,
        pairs: Tensor,
        queries: Tensor,
        box_encodings: Tensor,
        features: Tensor | None,
        scene: Scene,
    ) -> tuple[list[Tensor], list[Look]]:
        """Refine the pair queries.

        Args:
            pairs: (B, M, D) pair queries.
            queries: (B, N, D) unary queries, as they were before the encoder.
            box_encodings: (B, N, 512).
            features: (B, C, H, W), or None without a backbone.

        Returns:
            every layer's pairs (B, M, D), the last one last, and every layer's look.
        """
        view = None
        if features is not None:
            view = self._view(features, queries, box_encodings, scene)
        outputs, looks = [], []
        for layer in self.layers:
            pairs, look = layer(pairs, box_encodings, view, scene)
            outputs.append(pairs)
            if look is not None:
                looks.append(look)
        return outputs, looks

    def _view(self, features: Tensor, queries: Tensor, box_encodings: Tensor, scene: Scene) -> View:
        native = features.flatten(2).transpose(1, 2)
        cells = map_encoding(*features.shape[-2:], like=scene.boxes).to(features.dtype)
        centres = None
        if self.modulation is not None:
            ratios = self.modulation(queries)
            sharp = centre_encoding(box_encodings, scene.relative_boxes(), ratios)
            centres = cast(sharp, features.dtype)
        return View(native, self.connector(native), cells, centres)


class DecoderLayer(nn.Module):
    """Self-attention among the pairs of an image, a look at the image, feed-forward; post-norm."""

    def __init__(
        self, width: int, heads: int, dropout: float, feature_width: int | None, plain: bool
    ) -> None:
        super().__init__()
        # The 1024-d pair encoding [PE(human); PE(object)] (spec section 5, step 1).
        self.position = PairLinear(BOX_ENCODING_WIDTH, 2 * width)
        self.attention = SelfAttention(width, heads, dropout)
        self.look = self.look_norm = None
        if feature_width:
            self.look = (
                PlainLook(width, heads)
                if plain
                else LinkingLook(width, heads, dropout, feature_width)
            )
            self.look_dropout = nn.Dropout(dropout)
            self.look_norm = nn.LayerNorm(width)
        self.feed_forward = FeedForward(width, dropout)

    def forward(
        self, pairs: Tensor, box_encodings: Tensor, view: View | None, scene: Scene
    ) -> tuple[Tensor, Look | None]:
        """Pairs (B, M, D) -> the same, and what they saw."""
        position = self.position(box_encodings, scene)
        pairs = self.attention(pairs, position, scene.pair_mask())
        look = None
        if self.look is not None:
            seen, look = self.look(pairs, view, scene)
            pairs = self.look_norm(pairs + self.look_dropout(seen))
        return self.feed_forward(pairs), look


class LinkingLook(nn.Module):
    """Spatial and semantic branch side by side, fused (LINK Eq. 4 and 5; spec section 5)."""

    def __init__(self, width: int, heads: int, dropout: float, feature_width: int) -> None:
        super().__init__()
        self.centre = PairLinear(CENTRE_ENCODING_WIDTH, width)
        self.spatial = GuidedAttention(width, heads, MAP_ENCODING_WIDTH)
        self.expand = nn.Linear(width, feature_width)
        self.semantic = CrossAttention(feature_width, heads)
        self.fuse = nn.Sequential(
            nn.Linear(width + feature_width, 4 * width),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(4 * width, width),
        )

    def forward(self, pairs: Tensor, view: View, scene: Scene) -> tuple[Tensor, Look]:
        """Pairs (B, M, D) -> what they take from the image (B, M, D), and its branches."""
        centres = self.centre(view.centres, scene)
        latent = self.spatial(pairs, centres, view.latent, view.cells)
        native = self.semantic(self.expand(pairs), view.native)
        return self.fuse(torch.cat((latent, native), dim=-1)), Look(latent, native)


class PlainLook(nn.Module):
    """One standard cross-attention over the connected map."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attention = CrossAttention(width, heads)

    def forward(self, pairs: Tensor, view: View, scene: Scene) -> tuple[Tensor, Look]:
        """As `LinkingLook.forward`."""
        latent = self.attention(pairs, view.latent)
        return latent, Look(latent, None)
