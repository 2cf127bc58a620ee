"""Text embeddings for a model: of its backbone's own text side, of another's, or of MiniLM."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from link_hoi_core.backbones import build_backbone
from link_hoi_core.backbones.backbone import Backbone, BackboneConfig
from link_hoi_core.vocabulary import text_embeddings


def embed_texts(texts: Sequence[str], config: BackboneConfig, backbone: Backbone | None) -> Tensor:
    """Embed sentences the way a model's classifier is initialised: (K, T) float32 of length 1.

    Args:
        config: its `text` names the encoder; without a backbone it is MiniLM.
        backbone: the one that `config` describes.

    Raises:
        ValueError: the encoder has no text side, or there is none of that name.
        ImportError, ConnectionError: the encoder is not installed, or its weights are not here.
    """
    if config.name == 'none' or config.text == 'minilm':
        return torch.from_numpy(text_embeddings(texts))
    if config.text != 'own':
        # Local weights are the backbone's; another encoder's come from where it was published.
        weights = 'random' if config.weights == 'random' else 'pretrained'
        other = BackboneConfig(config.text, weights, seed=config.seed)
        return embed_texts(texts, other, build_backbone(other))
    with torch.no_grad():
        worded = [backbone.prompt_template.format(text) for text in texts]
        return backbone.encode_text(worded).float().cpu()
