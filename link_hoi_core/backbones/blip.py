"""BLIP and BLIP-2 as backbones, with their texts."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from link_hoi_core.backbones.backbone import (
    CLIP_MEAN,
    CLIP_STD,
    Backbone,
    BackboneConfig,
    choose_input,
)
from link_hoi_core.backbones.transformers_models import (
    Tokenizer,
    feature_map,
    library,
    load_tokenizer,
    make_model,
    tokenize,
)

SCALE = {'initializer_range': 0.02}  # transformers' 1e-10 would draw a model that sees nothing
BLIP = {
    'blip-base': {
        'text_config': {'num_attention_heads': 12},
        'vision_config': {'image_size': 384, **SCALE},
    },
}
BLIP2 = {
    'blip2-vit-g': {
        'qformer_config': {'vocab_size': 30523, 'use_qformer_text_input': True},
        'vision_config': SCALE,
    },
}


def build(name: str, architecture: str, repository: str, config: BackboneConfig) -> Blip | Blip2:
    """Build one of `BLIP` or `BLIP2`, in the form that was published for image-text retrieval.

    Raises:
        ImportError: transformers is not installed.
        ValueError, ConnectionError, FileNotFoundError: as `transformers_models.load_model`.
    """
    transformers = library(name)
    if architecture in BLIP:
        kind, model_kind = Blip, transformers.BlipForImageTextRetrieval
        settings = transformers.BlipConfig(**BLIP[architecture])
    else:
        kind, model_kind = Blip2, transformers.Blip2ForImageTextRetrieval
        settings = transformers.Blip2Config(**BLIP2[architecture])
    model = make_model(model_kind, settings, config, repository)
    return kind(name, model, config, load_tokenizer(name, config, repository))


class _AnyBlip(Backbone):
    """A vision transformer, and texts in a space of their own width.

    Attributes:
        model: transformers' model for image-text retrieval.
    """

    def __init__(
        self,
        name: str,
        model: nn.Module,
        config: BackboneConfig,
        tokenizer: Tokenizer | None = None,
    ) -> None:
        """Wrap an already made model.

        Args:
            config: its feature space, input size and statistics are used.
            tokenizer: of the transformers library; without one there is no `encode_text`.
        """
        super().__init__()
        images = model.config.vision_config
        self.name = name
        self.model = model
        self.stride = images.patch_size
        self.text_width = model.config.image_text_hidden_size
        self._projects = config.feature_space == 'proj' and hasattr(model, 'vision_proj')
        self.width = self.text_width if self._projects else images.hidden_size
        self.input = choose_input(config, self.stride, images.image_size, CLIP_MEAN, CLIP_STD)
        self._tokenizer = tokenizer

    def encode_image(self, batch: Tensor) -> Tensor:
        """Prepared images (B, 3, H, W) -> feature maps (B, C, H / stride, W / stride)."""
        grid = self.grid(batch)
        tokens = self._see(batch)
        return feature_map(self.model.vision_proj(tokens) if self._projects else tokens, grid)

    def _see(self, batch: Tensor) -> Tensor:
        """Class and patch tokens behind the last norm, (B, 1 + H W, width of the transformer)."""
        return self.model.vision_model(batch, interpolate_pos_encoding=True).last_hidden_state

    def _tokenize(self, texts: Sequence[str], length: int) -> dict[str, Tensor]:
        options = {'padding': True, 'max_length': length, 'return_token_type_ids': False}
        return tokenize(self.name, self._tokenizer, texts, self.model.device, **options)


class Blip(_AnyBlip):
    """Patch tokens of a BlipForImageTextRetrieval, in the space of its texts or their own width.

    'proj' applies the projection of the class token to every patch token.
    """

    def embed_image(self, batch: Tensor) -> Tensor:
        """Prepared images (B, 3, H, W) -> one embedding each in the texts' space (B, D), norm 1."""
        self.grid(batch)
        return functional.normalize(self.model.vision_proj(self._see(batch)[:, 0]), dim=-1)

    def encode_text(self, texts: Sequence[str]) -> Tensor:
        """Embeddings of texts (K, D), L2-normalised.

        Raises:
            ValueError: there is no tokenizer.
        """
        length = self.model.config.text_config.max_position_embeddings
        states = self.model.text_encoder(**self._tokenize(texts, length)).last_hidden_state
        return functional.normalize(self.model.text_proj(states[:, 0]), dim=-1)


class Blip2(_AnyBlip):
    """Patch tokens of a Blip2ForImageTextRetrieval, in their own width in either feature space.

    Its Q-Former sums them up in 32 embeddings before the projection, so that no single token can be
    projected, and an image has no one embedding (`embed_image`).
    """

    def encode_text(self, texts: Sequence[str]) -> Tensor:
        """Embeddings of texts (K, D), L2-normalised.

        Raises:
            ValueError: there is no tokenizer.
        """
        length = self.model.config.qformer_config.max_position_embeddings
        tokens = self._tokenize(texts, length)
        states = self.model.qformer(
            query_embeds=self.model.embeddings(input_ids=tokens['input_ids']),
            query_length=0,
            attention_mask=tokens['attention_mask'],
        ).last_hidden_state
        return functional.normalize(self.model.text_projection(states[:, 0]), dim=-1)
