"""The backbones that can be asked for by name; a family's library is imported when it is used."""

from __future__ import annotations

import hashlib
import importlib
from dataclasses import dataclass, replace

import torch

from link_hoi_core.backbones.backbone import Backbone, BackboneConfig
from link_hoi_core.vocabulary.vocabulary import check_name

__all__ = ['BACKBONES', 'Backbone', 'BackboneConfig', 'Row', 'build_backbone', 'fingerprint']

SAMPLES = 1024  # values of each tensor that a fingerprint looks at


@dataclass(frozen=True)
class Row:
    """A named model.

    Attributes:
        family: the module of this package that builds it.
        architecture: its name in the family's library.
        repository: where its published weights are: a hub repository, or open_clip's tag.
        size: side of its input in pixels where `BackboneConfig` gives none; None = as the library
            says.
    """

    family: str
    architecture: str
    repository: str
    size: int | None


# fmt: off
BACKBONES: dict[str, Row] = {
    'clip-vit-b16': Row('open_clip', 'ViT-B-16-quickgelu', 'openai', 224),
    'clip-vit-b32': Row('open_clip', 'ViT-B-32-quickgelu', 'openai', 224),
    'clip-vit-l14': Row('open_clip', 'ViT-L-14-quickgelu', 'openai', 224),
    'clip-vit-l14-336': Row('open_clip', 'ViT-L-14-336-quickgelu', 'openai', 336),
    'blip-b-384': Row('blip', 'blip-base', 'Salesforce/blip-itm-base-coco', 384),
    'blip2-vit-g': Row('blip', 'blip2-vit-g', 'Salesforce/blip2-itm-vit-g', 224),
    'dinov2-b': Row('dino', 'dinov2-base', 'facebook/dinov2-base', 518),
    'dinov2-l': Row('dino', 'dinov2-large', 'facebook/dinov2-large', 518),
    'dino-b16-448': Row('dino', 'dino-base', 'facebook/dino-vitb16', 448),
    **{
        f'siglip2-{short}-{size}': Row('siglip', f'siglip2-{long}', f'google/siglip2-{long}', side)
        for short, size, long, side in (
            ('b16', 224, 'base-patch16-224', 224),
            ('b16', 256, 'base-patch16-256', 256),
            ('b16', 384, 'base-patch16-384', 384),
            ('b16', 512, 'base-patch16-512', 512),
            ('l16', 256, 'large-patch16-256', 256),
            ('l16', 384, 'large-patch16-384', 384),
            ('so400m-14', 224, 'so400m-patch14-224', 224),
            ('so400m-14', 384, 'so400m-patch14-384', 378),  # 27 patches; the rest is not seen
            ('so400m-16', 384, 'so400m-patch16-384', 384),
        )
    },
    'florence2-b': Row('florence', 'florence2-base', 'florence-community/Florence-2-base', 768),
    'florence2-l': Row('florence', 'florence2-large', 'florence-community/Florence-2-large', 768),
}
# fmt: on


def build_backbone(config: BackboneConfig) -> Backbone | None:
    """Build the model that `config` names, frozen, on the CPU, float32; None for 'none'.

    Random weights are the same for the same config, and the caller's random state is left alone.

    Raises:
        ValueError: there is no such model, it cannot take the configured size, or what was found
            holds other weights.
        ConnectionError, FileNotFoundError: the weights cannot be had (`hub.load_weights`).
        ImportError: the model's library is not installed.
    """
    if config.name == 'none':
        return None
    row = find(config.name)
    config = replace(config, image_size=config.image_size or row.size)
    family = importlib.import_module(f'{__name__}.{row.family}')
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        backbone = family.build(config.name, row.architecture, row.repository, config)
    backbone.feature_space = config.feature_space
    return backbone.float().freeze()


def find(name: str) -> Row:
    """The row of a named model, or one made for 'open_clip:ARCHITECTURE[@TAG]', 'timm:MODEL'.

    Raises:
        ValueError: there is no such model; the nearest known one is given.
    """
    library, colon, model = name.partition(':')
    if colon and library == 'timm':
        return Row('timm', model, f'timm/{model}', None)
    if colon and library == 'open_clip':
        architecture, _, tag = model.partition('@')
        return Row('open_clip', architecture, tag, None)
    check_name(name, (*BACKBONES, 'none', 'open_clip:ARCHITECTURE@TAG', 'timm:MODEL'), 'backbone')
    return BACKBONES[name]


def fingerprint(backbone: Backbone) -> str:
    """A short hexadecimal digest of a backbone's weights, equal for equal ones on any device.

    It tells one model from another, not whether a few values of a big tensor were changed: of each
    parameter and buffer it takes the name, the shape and about a thousand values.
    """
    digest = hashlib.sha256()
    for name, value in sorted(backbone.state_dict().items()):
        values = value.detach().flatten()
        sample = values[:: max(1, values.numel() // SAMPLES)].float().cpu().contiguous()
        digest.update(f'{name} {tuple(value.shape)} '.encode() + sample.numpy().tobytes())
    return digest.hexdigest()[:16]
