"""The VLM Linking Decoder (LINK section 3.2.2): pair queries look at each other.

Without a backbone there is no feature map to look at, and self-attention is what remains.
"""

from __future__ import annotations

from torch import Tensor, nn

from link_hoi_core.geometry import BOX_ENCODING_WIDTH
from link_hoi_core.model.attention import SelfAttentionLayer
from link_hoi_core.model.scene import Scene


class LinkingDecoder(nn.Module):
    """Layers of self-attention among the pairs of an image (spec section 5, step 1)."""

    def __init__(self, width: int, heads: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.positions = nn.ModuleList(PairPosition(width) for _ in range(layers))
        self.layers = nn.ModuleList(
            SelfAttentionLayer(width, heads, dropout) for _ in range(layers)
        )

    def forward(self, pairs: Tensor, box_encodings: Tensor, scene: Scene) -> list[Tensor]:
        """Refine the pair queries.

        Args:
            pairs: (B, M, D) pair queries.
            box_encodings: (B, N, 512).

        Returns:
            every layer's (B, M, D), the last one last.
        """
        outputs = []
        for layer, position in zip(self.layers, self.positions):
            pairs = layer(pairs, position(box_encodings, scene), scene.pair_present)
            outputs.append(pairs)
        return outputs


class PairPosition(nn.Module):
    """Linear of the 1024-d pair encoding [PE(human); PE(object)], taken once a detection."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.human = nn.Linear(BOX_ENCODING_WIDTH, 2 * width)
        self.object = nn.Linear(BOX_ENCODING_WIDTH, 2 * width, bias=False)

    def forward(self, box_encodings: Tensor, scene: Scene) -> Tensor:
        """(B, N, 512) -> (B, M, 2 D): what is added to queries, then to keys."""
        human, _ = scene.at_pairs(self.human(box_encodings))
        _, object_ = scene.at_pairs(self.object(box_encodings))
        return human + object_
