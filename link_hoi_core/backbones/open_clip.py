"""Any open_clip model as a backbone: CLIP, EVA, MetaCLIP, SigLIP and their texts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from link_hoi_core.backbones.backbone import Backbone, BackboneConfig, choose_input
from link_hoi_core.backbones.open_clip_towers import find_tower
from link_hoi_core.hub import load_weights, quiet, weights_file
from link_hoi_core.optional import require
from link_hoi_core.vocabulary.vocabulary import check_name

INSTALL = 'pip install open_clip_torch'
FILES = (
    'open_clip_model.safetensors',
    'open_clip_pytorch_model.safetensors',
    'open_clip_pytorch_model.bin',
    'model.safetensors',
)
TEXTS = 256  # embedded at once

Tokenizer = Callable[[list[str]], Tensor]


def build(name: str, architecture: str, repository: str, config: BackboneConfig) -> OpenClip:
    """Build open_clip's `architecture`.

    Args:
        repository: open_clip's tag of published weights, e.g. 'openai'. Which activation and which
            statistics go with the weights hangs on it, for local files too.

    Raises:
        ValueError: open_clip knows no such architecture or tag, or what was found holds other
            weights.
        ConnectionError, FileNotFoundError: as `hub.load_weights`.
        ImportError: open_clip is not installed.
    """
    library = require('open_clip', INSTALL, f'the backbone {name}')
    check_name(architecture, library.list_models(), 'open_clip architecture')
    published = _published(library, architecture, repository, config.weights)
    options = {
        'force_quick_gelu': bool(published.get('quick_gelu')),
        'force_preprocess_cfg': {
            key: published[key] for key in ('mean', 'std', 'interpolation') if key in published
        },
    }
    hub = '/'.join(published.get('hf_hub', architecture).split('/')[:2])
    if config.weights == 'random':
        with quiet():
            model = library.create_model(architecture, pretrained_text=False, **options)
    else:
        model = load_weights(
            lambda source: library.create_model(
                architecture,
                pretrained=published['tag'] if source == hub else weights_file(source, FILES),
                **options,
            ),
            config.weights,
            hub,
        )
    return OpenClip(name, model, config, lambda: _tokenizer(library, architecture, config.weights))


class OpenClip(Backbone):
    """Patch tokens of an open_clip model, in the space of its texts or in their own width.

    'proj' applies the last norm and the visual projection to every patch token (spec section 2).
    Models that pool their tokens with attention (SigLIP, CoCa, ResNets) map no single token there:
    theirs stay in their own width, and `width` says so.
    """

    def __init__(
        self,
        name: str,
        model: nn.Module,
        config: BackboneConfig,
        load_tokenizer: Callable[[], Tokenizer] | None = None,
    ) -> None:
        """Wrap an already made open_clip model.

        Args:
            config: its feature space, input size and statistics are used.
            load_tokenizer: gives what makes tokens of texts, and is called when the first text
                comes; None = CLIP's own.
        """
        super().__init__()
        library = require('open_clip', INSTALL, f'the backbone {name}')
        self.name = name
        self.model = model
        self.text_width = _text_width(model)
        self._tower = find_tower(model.visual, self.text_width, config.feature_space == 'proj')
        self.stride, self.width = self._tower.stride, self._tower.width
        wanted = library.get_model_preprocess_cfg(model)
        self.input = choose_input(
            config,
            self.stride,
            self._tower.size,
            wanted.get('mean', library.OPENAI_DATASET_MEAN),
            wanted.get('std', library.OPENAI_DATASET_STD),
            wanted.get('interpolation', 'bicubic'),
        )
        self._load_tokenizer = load_tokenizer or partial(
            library.SimpleTokenizer, context_length=model.context_length
        )
        self._tokenizer: Tokenizer | None = None

    def encode_image(self, batch: Tensor) -> Tensor:
        """Prepared images (B, 3, H, W) -> feature maps (B, C, H / stride, W / stride)."""
        return self._tower.maps(batch, self.grid(batch))

    def embed_image(self, batch: Tensor) -> Tensor:
        """Prepared images (B, 3, H, W) -> one embedding each in the texts' space (B, D), norm 1."""
        return functional.normalize(self._tower.embed(batch, self.grid(batch)), dim=-1)

    def encode_text(self, texts: Sequence[str]) -> Tensor:
        """Embeddings of texts (K, D), L2-normalised.

        Raises:
            ConnectionError: its tokenizer is not CLIP's, and cannot be had from the hub.
        """
        weight = next(self.parameters())
        if self._tokenizer is None:
            self._tokenizer = self._load_tokenizer()
        embedded = [torch.zeros(0, self.text_width, device=weight.device, dtype=weight.dtype)]
        for start in range(0, len(texts), TEXTS):
            tokens = self._tokenizer(list(texts[start : start + TEXTS])).to(weight.device)
            embedded.append(self.model.encode_text(tokens, normalize=True))
        return torch.cat(embedded)


def _published(library: ModuleType, architecture: str, tag: str, weights: str) -> dict[str, Any]:
    """What open_clip knows of the published weights `tag`: where they are, and how to feed them."""
    tags = library.list_pretrained_tags_by_model(architecture)
    if not tags:
        if weights == 'pretrained':
            raise ValueError(f'no weights of {architecture} are published: give a file')
        return {}
    if not tag and weights != 'random' and len(tags) > 1:
        raise ValueError(
            f'open_clip:{architecture} does not say whose weights: expected '
            f'open_clip:{architecture}@TAG, where TAG is one of {", ".join(tags)}'
        )
    tag = tag or tags[0]
    check_name(tag, tags, f'tag of {architecture}')
    return {'tag': tag, **library.get_pretrained_cfg(architecture, tag)}


def _tokenizer(library: ModuleType, architecture: str, weights: str) -> Tokenizer:
    """open_clip's tokenizer of an architecture; a downloaded folder brings its own."""
    if (Path(weights) / 'open_clip_config.json').is_file():
        what = f'the tokenizer of {architecture}'
        return load_weights(lambda path: library.get_tokenizer(f'local-dir:{path}'), weights, what)
    hub = library.get_model_config(architecture)['text_cfg'].get('hf_tokenizer_name', architecture)
    return load_weights(lambda _: library.get_tokenizer(architecture), 'pretrained', hub)


def _text_width(model: nn.Module) -> int:
    """D of the text embeddings."""
    if hasattr(model, 'text'):
        return model.text.output_dim
    projection = model.text_projection
    return projection.out_features if isinstance(projection, nn.Linear) else projection.shape[1]
