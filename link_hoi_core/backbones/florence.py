"""Florence-2's image tower as a backbone: DaViT, whose stages halve the map as a CNN's do."""

from __future__ import annotations

from math import prod

from torch import Tensor, nn

from link_hoi_core.backbones.backbone import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Backbone,
    BackboneConfig,
    choose_input,
)
from link_hoi_core.backbones.transformers_models import library, load_model

SIZE = 768  # side of the images that it was pretrained with; its configuration has none
ARCHITECTURES = {
    'florence2-base': {},
    'florence2-large': {
        'embed_dim': (256, 512, 1024, 2048),
        'num_heads': (8, 16, 32, 64),
        'num_groups': (8, 16, 32, 64),
    },
}


def build(name: str, architecture: str, repository: str, config: BackboneConfig) -> Florence:
    """Build one of `ARCHITECTURES`; of published weights, the language model is dropped.

    Raises:
        ImportError: transformers is not installed.
        ValueError, ConnectionError, FileNotFoundError: as `transformers_models.load_model`.
    """
    transformers = library(name)
    if config.weights == 'random':
        settings = transformers.Florence2VisionConfig(**ARCHITECTURES[architecture])
        tower = transformers.Florence2VisionBackbone(settings)
    else:
        kind = transformers.Florence2ForConditionalGeneration
        tower = load_model(kind, config.weights, repository).model.vision_tower
    return Florence(name, tower, config)


class Florence(Backbone):
    """The last stage of DaViT, in its own width in either feature space.

    Florence-2 reads and writes texts, but has no space that they share with images: no text side.
    """

    def __init__(self, name: str, model: nn.Module, config: BackboneConfig) -> None:
        """Wrap an already made Florence2VisionBackbone.

        Args:
            config: its input size and statistics are used.
        """
        super().__init__()
        self.name = name
        self.model = model
        self.stride = prod(model.config.patch_stride)
        self.width = model.config.embed_dim[-1]
        self.input = choose_input(config, self.stride, SIZE, IMAGENET_MEAN, IMAGENET_STD)

    def encode_image(self, batch: Tensor) -> Tensor:
        """Prepared images (B, 3, H, W) -> feature maps (B, C, H / stride, W / stride)."""
        self.grid(batch)
        found = self.model(batch)
        return getattr(found, 'last_hidden_state', found)  # the map itself before transformers 5
