"""A trained model as a folder: model.safetensors, config.json and README.md (the card).

A frozen backbone is not in it: the configuration names it, and a fingerprint of its weights tells
when another one is given. The card's metadata carries the hash of the weights' file.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from link_hoi_core.backbones import build_backbone, fingerprint
from link_hoi_core.backbones.backbone import Backbone
from link_hoi_core.configuration import from_dict
from link_hoi_core.hub import download
from link_hoi_core.model.link import Link, LinkConfig
from link_hoi_core.text_encoder import embed_texts
from link_hoi_core.vocabulary import load_vocabulary, text_embeddings

EMBEDDED = Path(__file__).parent / 'checkpoints'
WEIGHTS, CONFIG, CARD = 'model.safetensors', 'config.json', 'README.md'
TRAINED_ON, NO_BACKBONE = 'trained_backbone', 'no backbone'
# In the metadata at the card's head; called as in HoiVocabulary, where the node publishes it.
METADATA = re.compile(r'\A---\n(.*?)^---$\n?', re.DOTALL | re.MULTILINE)
HASH_LINE = re.compile(r'^checkpoint_sha256: *(.*)\n', re.MULTILINE)
HUB_NAME = re.compile(r'[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*')


@dataclass(frozen=True)
class Checkpoint:
    """A model with what is known about it.

    Attributes:
        name: of its folder or repository.
        model: the network, float32, on the CPU where it was loaded.
        backbone: what its feature maps come from, frozen; None for a model without pixels.
        config: the resolved configuration it was trained with, and its `f1_threshold`.
        sha256: of the weights' file, hexadecimal.
        card: the text of README.md.
    """

    name: str
    model: Link
    backbone: Backbone | None
    config: dict[str, Any]
    sha256: str = ''
    card: str = ''


def load_checkpoint(name: str | Path, backbone_weights: str | None = None) -> Checkpoint:
    """Load a checkpoint: an embedded one, a folder, a file in one, or a hub repository.

    Args:
        backbone_weights: where the backbone's weights lie; None = where the configuration says,
            usually on the hub.

    Raises:
        FileNotFoundError: there is no such checkpoint, or a file is missing in it.
        ConnectionError: the hub has no such repository, or cannot be reached.
        ValueError: a file is truncated or malformed, the weights are of another architecture or
            vocabulary, belong to another backbone, or are not the file whose hash the card tells.
    """
    folder = find_checkpoint(name)
    config = _read_config(folder / CONFIG)
    settings = from_dict(LinkConfig, config.get('model'), 'model.')
    weights = _read_weights(folder / WEIGHTS)
    backbone = _load_backbone(settings, config, backbone_weights, folder)
    model = _empty_model(settings, backbone, weights)
    _fill(model, weights, folder)
    card = (folder / CARD).read_text() if (folder / CARD).is_file() else ''
    digest = _check_hash(folder / WEIGHTS, card)
    # What came from the hub lies in a folder that is named after a commit.
    label = folder.name if Path(name).exists() else Path(name).name
    return Checkpoint(label, model.eval(), backbone, config, digest, card)


def find_checkpoint(name: str | Path) -> Path:
    """The folder of an embedded checkpoint, else a local one, else one brought from the hub."""
    path = Path(name)
    folder = path.parent if path.name in (WEIGHTS, CONFIG) and path.is_file() else path
    if (EMBEDDED / name / CONFIG).is_file():
        folder = EMBEDDED / name
    if not (str(name) and folder.is_dir()):
        folder = _download(str(name))
    missing = [file for file in (WEIGHTS, CONFIG) if not (folder / file).is_file()]
    if missing:
        raise FileNotFoundError(f'checkpoint {name} lacks {" and ".join(missing)}')
    return folder.resolve()


def _download(name: str) -> Path:
    """The folder of a checkpoint that is brought from the hub."""
    known = ', '.join(sorted(path.parent.name for path in EMBEDDED.glob(f'*/{CONFIG}')))
    absent = f'no checkpoint {name}: neither a folder nor embedded ({known})'
    if Path(name).exists() or not HUB_NAME.fullmatch(name):
        raise FileNotFoundError(absent)
    try:
        return download(name, (WEIGHTS, CONFIG, CARD))
    except ConnectionError as error:
        raise ConnectionError(f'{absent}, and {error}') from error


def build_model(config: LinkConfig) -> tuple[Link, Backbone | None]:
    """The untrained model for the vocabulary that `config` names, and its frozen backbone.

    Raises:
        ValueError, ImportError, ConnectionError: as `backbones.build_backbone`.
    """
    backbone = build_backbone(config.backbone)
    vocabulary = load_vocabulary(config.vocabulary)
    objects = torch.from_numpy(text_embeddings(vocabulary.objects))
    verbs = embed_texts(vocabulary.verb_prompts, config.backbone, backbone)
    return Link(config, backbone and backbone.width, objects, verbs), backbone


def save_checkpoint(
    folder: Path, model: Link, backbone: Backbone | None, config: dict[str, Any], card: str
) -> None:
    """Write a checkpoint all or nothing; the weights in half precision, which halves the file.

    Args:
        folder: is replaced if it exists.
        backbone: the one that the model was trained with; only its fingerprint is written.
        config: JSON-able; its key 'model' is the model's own configuration.
        card: the text of README.md; the weights' hash goes into its metadata.

    Raises:
        ValueError: a weight is not finite in half precision; nothing is written then.
    """
    if backbone is not None:
        config = config | {TRAINED_ON: _identity(backbone)}
    weights = {key: value.half().contiguous() for key, value in model.state_dict().items()}
    for key, value in weights.items():
        if not torch.isfinite(value).all():
            raise ValueError(f'{key} holds a value that is not finite in half precision')
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f'.{folder.name}-', dir=folder.parent))
    try:
        save_file(weights, partial / WEIGHTS)
        (partial / CONFIG).write_text(json.dumps(config, indent=2) + '\n')
        (partial / CARD).write_text(_with_hash(card, _hash(partial / WEIGHTS)))
        partial.chmod(0o755)  # temporary folders and safetensors' files are private to their owner
        (partial / WEIGHTS).chmod(0o644)
        _replace(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _replace(new: Path, folder: Path) -> None:
    """Put `new` in the place of `folder`; a folder cannot be renamed onto a full one."""
    old = new.with_name(f'{new.name}-old')
    if folder.exists():
        os.replace(folder, old)
    try:
        os.replace(new, folder)
    except OSError:
        if old.exists():
            os.replace(old, folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _with_hash(card: str, digest: str) -> str:
    """The card whose metadata ends with the hash, in the place of an older one."""
    found = METADATA.match(card)
    metadata = HASH_LINE.sub('', found[1]) if found else ''
    text = card[found.end() :] if found else card
    return f'---\n{metadata}checkpoint_sha256: {digest}\n---\n{text}'


def _check_hash(path: Path, card: str) -> str:
    """The hash of the weights' file; cards of older checkpoints tell none, and are believed."""
    found = METADATA.match(card)
    told = HASH_LINE.search(found[1]) if found else None
    digest = _hash(path)
    if told and told[1].strip().lower() != digest:
        raise ValueError(
            f'{path} is damaged or of another checkpoint: its SHA-256 is {digest}, and {CARD} '
            f'beside it says {told[1].strip() or "nothing"}'
        )
    return digest


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f'{path} is not valid JSON: {error}') from error
    if not isinstance(config, dict) or 'model' not in config:
        raise ValueError(f"{path} has no key 'model', expected a checkpoint's configuration")
    return config


def _read_weights(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path, device='cpu')
    except (SafetensorError, OSError) as error:
        raise ValueError(f'{path} is no readable safetensors file: {error}') from error


def _load_backbone(
    settings: LinkConfig, config: dict[str, Any], weights: str | None, folder: Path
) -> Backbone | None:
    """The backbone that a checkpoint was trained with, or a sentence that it is another one."""
    wanted = settings.backbone
    if weights is not None:
        if wanted.name == 'none':
            raise ValueError(f'{folder.name} has no backbone that could use the weights {weights}')
        wanted = replace(wanted, weights=weights)
    backbone = build_backbone(wanted)
    trained, found = config.get(TRAINED_ON, NO_BACKBONE), _identity(backbone)
    if found != trained:
        raise ValueError(f'{folder.name} was trained on {trained}, but is given {found}')
    return backbone


def _identity(backbone: Backbone | None) -> str:
    """Name and weights of a backbone: 'clip-vit-b16 (weights 0123456789abcdef)'."""
    if backbone is None:
        return NO_BACKBONE
    return f'{backbone.name} (weights {fingerprint(backbone)})'


def _empty_model(
    settings: LinkConfig, backbone: Backbone | None, weights: dict[str, Tensor]
) -> Link:
    """The model with the text widths of the weights, which are to be filled in."""
    vocabulary = load_vocabulary(settings.vocabulary)

    def embeddings(key: str, rows: int) -> Tensor:
        found = weights.get(key)
        return torch.zeros(rows, 1 if found is None or not found.ndim else found.shape[-1])

    objects = embeddings('unary.object_embeddings', len(vocabulary.objects))
    verbs = embeddings('head.verbs', len(vocabulary.verbs))
    return Link(settings, backbone and backbone.width, objects, verbs)


def _fill(model: Link, weights: dict[str, Tensor], folder: Path) -> None:
    expected = model.state_dict()
    verbs, vocabulary = len(weights.get('head.bias', ())), model.config.vocabulary
    if verbs != len(expected['head.bias']):
        raise ValueError(
            f'{folder / WEIGHTS} is of another vocabulary than {vocabulary}, which its {CONFIG} '
            f'says: it tells {verbs} verbs apart, {vocabulary} has {len(expected["head.bias"])}'
        )
    for name in sorted(expected.keys() | weights.keys()):
        found = tuple(weights[name].shape) if name in weights else 'absent'
        wanted = tuple(expected[name].shape) if name in expected else 'absent'
        if found != wanted:
            raise ValueError(
                f'{folder / WEIGHTS} is of another architecture than its {CONFIG} says: '
                f'{name} is {found}, expected {wanted}'
            )
        if not torch.isfinite(weights[name]).all():
            raise ValueError(f'{folder / WEIGHTS} holds a value that is not finite in {name}')
    model.load_state_dict({name: value.float() for name, value in weights.items()})
