"""Patch tokens of open_clip's three kinds of vision tower, for images of any size."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from link_hoi_core.optional import require


class Tower(Protocol):
    """A vision tower that is asked for its feature map.

    Attributes:
        size: side of the images that it was pretrained with.
        stride: pixels of the image a cell of the map.
        width: channels of the map.
    """

    size: int
    stride: int
    width: int

    def maps(self, batch: Tensor, grid: tuple[int, int]) -> Tensor:
        """Feature maps (B, C, *grid) of prepared images (B, 3, H, W)."""

    def embed(self, batch: Tensor, grid: tuple[int, int]) -> Tensor:
        """The library's own embedding of each image (B, D), not normalised."""


def find_tower(visual: nn.Module, text_width: int, projected: bool) -> Tower:
    """The tower around open_clip's `visual`.

    Args:
        text_width: D of the space that images share with texts.
        projected: each cell is mapped to that space, where the model maps tokens one by one. One
            that pools them with attention (CoCa, SigLIP, ResNet) does not, and keeps its width.

    Raises:
        ValueError: it is of another kind.
    """
    if hasattr(visual, 'conv1') and hasattr(visual, 'transformer'):
        return VitTower(visual, projected)
    if hasattr(visual, 'trunk'):
        return TrunkTower(visual, text_width, projected)
    if hasattr(visual, 'attnpool'):
        return ResNetTower(visual)
    raise ValueError(f'open_clip tower {type(visual).__name__} has no patch tokens')


class VitTower:
    """open_clip's own vision transformer: CLIP, MetaCLIP, LAION, DFN, CoCa."""

    def __init__(self, visual: nn.Module, projected: bool) -> None:
        """Wrap `open_clip.transformer.VisionTransformer`."""
        self._visual = visual
        # CoCa's last norm and projection are of its attention pool's width, not of the tokens'.
        self._normed = visual.attn_pool is None
        self._projected = projected and self._normed
        self.size = visual.image_size[0]
        self.stride = visual.patch_size[0]
        self.width = visual.proj.shape[1] if self._projected else visual.conv1.out_channels

    def maps(self, batch: Tensor, grid: tuple[int, int]) -> Tensor:
        """Last tokens without CLS, normed, and projected if so asked (spec section 2)."""
        visual = self._visual
        cells = visual.conv1(batch).flatten(2).transpose(1, 2)
        tokens = torch.cat([visual.class_embedding.expand(len(batch), 1, -1), cells], dim=1)
        tokens = visual.transformer(visual.ln_pre(tokens + self._positions(grid)))[:, 1:]
        if self._normed:
            tokens = visual.ln_post(tokens)
        if self._projected:
            tokens = tokens @ visual.proj
        return tokens.transpose(1, 2).unflatten(2, grid)

    def embed(self, batch: Tensor, grid: tuple[int, int]) -> Tensor:
        """What the tower itself gives, with positions for this grid."""
        found = functional_call(
            self._visual, {'positional_embedding': self._positions(grid)}, (batch,)
        )
        return found[0] if isinstance(found, tuple) else found  # CoCa gives its tokens too

    def _positions(self, grid: tuple[int, int]) -> Tensor:
        visual = self._visual
        return resize_positions(visual.positional_embedding, visual.grid_size, grid)


class TrunkTower:
    """A timm model under open_clip's head: EVA, SigLIP, ConvNeXt, ViTamin, MobileCLIP.

    Of these only Swin, of which open_clip has one, does not take images of another size.
    """

    def __init__(self, visual: nn.Module, text_width: int, projected: bool) -> None:
        """Wrap `open_clip.timm_model.TimmModel`."""
        trunk = visual.trunk
        _free_size(trunk)
        pooled = getattr(trunk, 'attn_pool', None) is not None or hasattr(visual.head, 'pool')
        self._visual = visual
        self._projected = projected and not pooled
        self.size = visual.image_size[0]
        self.stride = trunk.feature_info[-1]['reduction']
        self.width = text_width if self._projected else trunk.num_features

    def maps(self, batch: Tensor, grid: tuple[int, int]) -> Tensor:
        """The trunk's last tokens or map, each cell sent through the head if so asked."""
        trunk = self._trunk(grid)
        features = trunk.forward_features(batch)
        if features.ndim == 3:  # a transformer's tokens
            prefix = trunk.num_prefix_tokens
            cells = features[:, prefix:]
            alone = cells.reshape(-1, 1, cells.shape[-1]).expand(-1, prefix + 1, -1)
        else:
            last = getattr(trunk, 'output_fmt', 'NCHW') == 'NHWC'  # Swin
            cells = features.flatten(1, 2) if last else features.flatten(2).transpose(1, 2)
            alone = cells.reshape(-1, 1, 1, cells.shape[-1])
            alone = alone if last else alone.permute(0, 3, 1, 2)
        if self._projected:
            # As an image of its own, so that whatever the head pools is this one cell.
            embedded = self._visual.head(trunk.forward_head(alone))
            cells = embedded.unflatten(0, cells.shape[:2])
        return cells.transpose(1, 2).unflatten(2, grid)

    def embed(self, batch: Tensor, grid: tuple[int, int]) -> Tensor:
        """What the tower itself gives."""
        self._trunk(grid)
        return self._visual(batch)

    def _trunk(self, grid: tuple[int, int]) -> nn.Module:
        """The trunk, its rotary positions set to this grid."""
        trunk = self._visual.trunk
        rotary = getattr(trunk, 'rope', None)
        if rotary is not None:
            rotary.update_feat_shape(list(grid))
        return trunk


class ResNetTower:
    """CLIP's ResNets, whose attention pool is left out of the map."""

    def __init__(self, visual: nn.Module) -> None:
        """Wrap `open_clip.modified_resnet.ModifiedResNet`."""
        self._visual = visual
        self.size = visual.image_size
        self.stride = 32
        self.width = visual.attnpool.v_proj.in_features

    def maps(self, batch: Tensor, grid: tuple[int, int]) -> Tensor:
        """The last stage's map."""
        found = self._visual.forward_intermediates(batch, indices=1, intermediates_only=True)
        return found['image_intermediates'][-1]

    def embed(self, batch: Tensor, grid: tuple[int, int]) -> Tensor:
        """What the tower itself gives, with the pool's positions for this grid."""
        side = self.size // self.stride
        known = self._visual.attnpool.positional_embedding
        positions = resize_positions(known, (side, side), grid)
        return functional_call(self._visual, {'attnpool.positional_embedding': positions}, (batch,))


def resize_positions(positions: Tensor, old: tuple[int, int], new: tuple[int, int]) -> Tensor:
    """Position embeddings (1 + h w, C), CLS first, of the grid `old` (h, w) for the grid `new`.

    Bicubic with anti-aliasing, as open_clip and timm do; the same tensor where nothing changes.
    """
    if tuple(old) == tuple(new):
        return positions
    cells = positions[1:].unflatten(0, old).permute(2, 0, 1)[None]
    exact = cells.to(torch.promote_types(cells.dtype, torch.float32))
    resized = functional.interpolate(
        exact, new, mode='bicubic', align_corners=False, antialias=True
    )[0]
    return torch.cat([positions[:1], resized.flatten(1).T.to(positions.dtype)])


def _free_size(trunk: nn.Module) -> None:
    """Let a timm transformer take images of any size.

    As its option dynamic_img_size would have done, which open_clip does not pass on.
    """
    if hasattr(trunk, 'pos_embed') and not getattr(trunk, 'dynamic_img_size', True):
        layers = require('timm.layers', 'pip install timm', "a vision tower of timm's")
        trunk.dynamic_img_size = True
        trunk.patch_embed.strict_img_size = False
        trunk.patch_embed.flatten = False
        trunk.patch_embed.output_fmt = layers.Format.NHWC
