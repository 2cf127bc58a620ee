"""DINO and DINOv2 as backbones: vision transformers that never saw a text."""

from __future__ import annotations

from torch import Tensor, nn

from link_hoi_core.backbones.backbone import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Backbone,
    BackboneConfig,
    choose_input,
)
from link_hoi_core.backbones.transformers_models import feature_map, library, make_model

DINOV2 = {
    'dinov2-base': {'image_size': 518},
    'dinov2-large': {
        'image_size': 518,
        'hidden_size': 1024,
        'num_hidden_layers': 24,
        'num_attention_heads': 16,
    },
}
DINO = {'dino-base': {}}  # transformers' ViT is a ViT-B/16 at 224 unless told otherwise


def build(name: str, architecture: str, repository: str, config: BackboneConfig) -> Dino:
    """Build one of `DINOV2` or `DINO`.

    Raises:
        ImportError: transformers is not installed.
        ValueError, ConnectionError, FileNotFoundError: as `transformers_models.load_model`.
    """
    transformers = library(name)
    if architecture in DINOV2:
        settings = transformers.Dinov2Config(**DINOV2[architecture])
        model = make_model(transformers.Dinov2Model, settings, config, repository)
    else:
        settings = transformers.ViTConfig(**DINO[architecture])
        options = {'add_pooling_layer': False}  # DINO was trained without one
        model = make_model(transformers.ViTModel, settings, config, repository, **options)
    return Dino(name, model, config)


class Dino(Backbone):
    """Patch tokens behind the last norm, in their own width in either feature space."""

    def __init__(self, name: str, model: nn.Module, config: BackboneConfig) -> None:
        """Wrap an already made Dinov2Model, Dinov2WithRegistersModel or ViTModel.

        Args:
            config: its input size and statistics are used.
        """
        super().__init__()
        self.name = name
        self.model = model
        self.stride = model.config.patch_size
        self.width = model.config.hidden_size
        self.input = choose_input(
            config, self.stride, model.config.image_size, IMAGENET_MEAN, IMAGENET_STD
        )
        # DINOv2 interpolates its position embeddings unasked, and takes no such argument.
        is_vit = model.config.model_type == 'vit'
        self._options = {'interpolate_pos_encoding': True} if is_vit else {}

    def encode_image(self, batch: Tensor) -> Tensor:
        """Prepared images (B, 3, H, W) -> feature maps (B, C, H / stride, W / stride)."""
        grid = self.grid(batch)
        return feature_map(self.model(batch, **self._options).last_hidden_state, grid)
