"""SigLIP 2 of one resolution as a backbone, with its texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from link_hoi_core.backbones.backbone import Backbone, BackboneConfig, choose_input
from link_hoi_core.backbones.transformers_models import (
    Tokenizer,
    feature_map,
    library,
    load_tokenizer,
    make_model,
    tokenize,
)

MEAN = STD = (0.5, 0.5, 0.5)
VOCABULARY = 256_000  # Gemma's
#: Width, width within the MLPs, layers and heads, the same for images and texts.
SIZES = {
    'base': (768, 3072, 12, 12),
    'large': (1024, 4096, 24, 16),
    'so400m': (1152, 4304, 27, 16),
}


def build(name: str, architecture: str, repository: str, config: BackboneConfig) -> Siglip:
    """Build e.g. 'siglip2-base-patch16-224': one of `SIZES`, the patch and the image in pixels.

    Raises:
        ImportError: transformers is not installed.
        ValueError, ConnectionError, FileNotFoundError: as `transformers_models.load_model`.
    """
    transformers = library(name)
    _, size, patch, pixels = architecture.split('-')
    keys = ('hidden_size', 'intermediate_size', 'num_hidden_layers', 'num_attention_heads')
    shape = dict(zip(keys, SIZES[size]))
    image = {'patch_size': int(patch.removeprefix('patch')), 'image_size': int(pixels)}
    tokens = {'vocab_size': VOCABULARY, 'bos_token_id': 2, 'eos_token_id': 1, 'pad_token_id': 0}
    settings = transformers.SiglipConfig(text_config=shape | tokens, vision_config=shape | image)
    model = make_model(transformers.SiglipModel, settings, config, repository)
    return Siglip(name, model, config, load_tokenizer(name, config, repository))


class Siglip(Backbone):
    """Patch tokens behind the last norm, in their own width in either feature space.

    An attention head pools them into the space of the texts (`embed_image`), so that no single
    token can be projected there; of the published models, the two widths are equal.
    """

    prompt_template = 'this is {}.'  # as published: 'This is a photo of ...', in lower case

    def __init__(
        self,
        name: str,
        model: nn.Module,
        config: BackboneConfig,
        tokenizer: Tokenizer | None = None,
    ) -> None:
        """Wrap an already made SiglipModel.

        Args:
            config: its input size and statistics are used.
            tokenizer: of the transformers library; without one there is no `encode_text`.
        """
        super().__init__()
        images, texts = model.config.vision_config, model.config.text_config
        self.name = name
        self.model = model
        self.stride = images.patch_size
        self.width = images.hidden_size
        self.text_width = texts.projection_size
        self.input = choose_input(config, self.stride, images.image_size, MEAN, STD, 'bilinear')
        self._tokenizer = tokenizer

    def encode_image(self, batch: Tensor) -> Tensor:
        """Prepared images (B, 3, H, W) -> feature maps (B, C, H / stride, W / stride)."""
        grid = self.grid(batch)
        return feature_map(self._see(batch).last_hidden_state, grid)

    def embed_image(self, batch: Tensor) -> Tensor:
        """Prepared images (B, 3, H, W) -> one embedding each in the texts' space (B, D), norm 1."""
        self.grid(batch)
        return functional.normalize(self._see(batch).pooler_output, dim=-1)

    def encode_text(self, texts: Sequence[str]) -> Tensor:
        """Embeddings of texts (K, D), L2-normalised.

        As it was trained: in lower case, padded on the right to its full length, which is read
        without a mask.

        Raises:
            ValueError: there is no tokenizer.
        """
        tokens = tokenize(
            self.name,
            self._tokenizer,
            [text.lower() for text in texts],
            self.model.device,
            padding='max_length',
            padding_side='right',
            max_length=self.model.config.text_config.max_position_embeddings,
        )
        output = self.model.text_model(input_ids=tokens['input_ids'])
        return functional.normalize(output.pooler_output, dim=-1)

    def _see(self, batch: Tensor) -> Any:
        """What transformers gives: `last_hidden_state` (B, H W, C), `pooler_output` (B, D)."""
        return self.model.vision_model(batch, interpolate_pos_encoding=True)
