"""What the backbones from transformers share: their weights, tokenizers and patch tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from link_hoi_core.backbones.backbone import BackboneConfig
from link_hoi_core.hub import load_weights
from link_hoi_core.optional import require

INSTALL = 'pip install transformers'
TOKENIZER_FILES = ('tokenizer.json', 'vocab.txt')

Tokenizer = Callable[..., Any]


def library(name: str) -> ModuleType:
    """The transformers library.

    Raises:
        ImportError: it is not installed.
    """
    return require('transformers', INSTALL, f'the backbone {name}')


def make_model(
    kind: type[nn.Module],
    architecture: object,
    config: BackboneConfig,
    repository: str,
    **options: object,
) -> nn.Module:
    """A model of the class `kind` with random weights, or with those that `config` names.

    Args:
        architecture: the model's transformers configuration; weights bring their own.
        repository: the hub name of the published weights.
        options: of the model's constructor.

    Raises:
        ValueError, ConnectionError, FileNotFoundError: as `load_model`.
    """
    if config.weights == 'random':
        return kind(architecture, **options)
    return load_model(kind, config.weights, repository, **options)


def load_model(
    kind: type[nn.Module],
    weights: str,
    repository: str,
    dtype: torch.dtype | str = torch.float32,
    **options: object,
) -> nn.Module:
    """A model of the class `kind` from the hub or a local folder, from safetensors only.

    Args:
        dtype: of its weights; 'auto' = as they are published.
        options: of the model's constructor.

    Raises:
        ValueError: what was found is another model, lacks tensors, or has some of another shape.
        ConnectionError, FileNotFoundError: as `hub.load_weights`.
    """

    def load(source: str) -> nn.Module:
        _check_type(kind, source)
        model, report = kind.from_pretrained(
            source, dtype=dtype, use_safetensors=True, output_loading_info=True, **options
        )
        if missing := sorted(report['missing_keys']):
            raise ValueError(f'it lacks {len(missing)} tensors, such as {missing[0]}')
        return model

    return load_weights(load, weights, repository)


def load_tokenizer(name: str, config: BackboneConfig, repository: str) -> Tokenizer | None:
    """The tokenizer that lies with the weights; None where they are random, or a folder has none.

    Raises:
        ValueError, ConnectionError: as `hub.load_weights`.
    """
    if config.weights == 'random':
        return None
    files = [Path(config.weights) / file for file in TOKENIZER_FILES]
    if config.weights != 'pretrained' and not any(file.is_file() for file in files):
        return None
    load = partial(library(name).AutoTokenizer.from_pretrained, trust_remote_code=False)
    return load_weights(load, config.weights, repository)


def tokenize(
    name: str,
    tokenizer: Tokenizer | None,
    texts: Sequence[str],
    device: torch.device,
    **options: object,
) -> dict[str, Tensor]:
    """Token ids of texts, (K, L) int64, and what else the tokenizer gives, on `device`.

    Args:
        name: of the backbone.
        options: of the tokenizer's call.

    Raises:
        ValueError: there is no tokenizer.
    """
    if tokenizer is None:
        raise ValueError(
            f'{name} has no tokenizer: give weights that lie with one '
            f'({" or ".join(TOKENIZER_FILES)}), or set text to minilm or to a CLIP'
        )
    return tokenizer(list(texts), truncation=True, return_tensors='pt', **options).to(device)


def feature_map(tokens: Tensor, grid: tuple[int, int]) -> Tensor:
    """Lay patch tokens out as they lie in the image.

    Args:
        tokens: (B, N + H W, C): N tokens that are no patches, then the patches row by row.
        grid: H and W.

    Returns:
        (B, C, H, W)
    """
    rows, columns = grid
    return tokens[:, -rows * columns :].transpose(1, 2).unflatten(2, grid)


def _check_type(kind: type[nn.Module], source: str) -> None:
    """Another model's configuration is better met before a full-size model is made of it."""
    if Path(source).is_file():
        raise ValueError('it is a file, expected a folder with config.json and model.safetensors')
    settings, _ = kind.config_class.get_config_dict(source)
    found, wanted = settings.get('model_type'), kind.config_class.model_type
    if found != wanted:
        raise ValueError(f'it is of type {found}, expected {wanted}')
