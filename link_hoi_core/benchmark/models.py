"""Models to measure: of an experiment without its weights, and the ViT-B/16 to hold against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from link_hoi_core.backbones import build_backbone
from link_hoi_core.backbones.backbone import Backbone, BackboneConfig
from link_hoi_core.configuration import load_configuration
from link_hoi_core.model.link import Link, LinkConfig
from link_hoi_core.training.experiment import Experiment
from link_hoi_core.vocabulary import load_vocabulary
from link_hoi_core.vocabulary.embeddings import EMBEDDING_SIZE


def read_experiment(path: Path, assignments: Sequence[str] = ()) -> LinkConfig:
    """The model of an experiment, with random weights in its backbone.

    Raises:
        ValueError, OSError: as `configuration.load_configuration`.
    """
    config = load_configuration(Experiment, path, assignments).model
    return replace(config, backbone=replace(config.backbone, weights='random'))


def untrained(config: LinkConfig) -> tuple[Link, Backbone | None]:
    """The model in eval mode, and its backbone; as they would be, but nothing is embedded.

    Raises:
        ValueError, ImportError: as `backbones.build_backbone`.
    """
    backbone = build_backbone(config.backbone)
    vocabulary = load_vocabulary(config.vocabulary)
    objects = torch.rand(len(vocabulary.objects), EMBEDDING_SIZE)
    verbs = torch.rand(len(vocabulary.verbs), _text_width(config.backbone, backbone))
    return Link(config, backbone and backbone.width, objects, verbs).eval(), backbone


def _text_width(config: BackboneConfig, backbone: Backbone | None) -> int:
    """T of the verbs' embeddings (`text_encoder.embed_texts`)."""
    if backbone is None or config.text == 'minilm':
        return EMBEDDING_SIZE
    if config.text != 'own':
        other = replace(config, name=config.text, text='own', image_size=None)
        return _text_width(other, build_backbone(other))
    if backbone.text_width is None:
        raise ValueError(f'{backbone.name} has no text side: set text to minilm or to a CLIP')
    return backbone.text_width


class VisionTransformer(nn.Module):
    """A ViT-B/16 as it stands in the literature, with random weights: only its cost matters."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 768, kernel_size=16, stride=16)
        self.positions = nn.Parameter(torch.zeros(197, 768))
        layer = nn.TransformerEncoderLayer(
            768, 12, 3072, dropout=0.0, activation='gelu', batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, 12, enable_nested_tensor=False)

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, 224, 224) -> tokens (B, 197, 768)."""
        tokens = self.patches(image).flatten(2).transpose(1, 2)
        first = tokens.new_zeros(len(image), 1, 768)
        return self.layers(torch.cat((first, tokens), dim=1) + self.positions)
