"""A trained model as a folder: model.safetensors, config.json and README.md (the card)."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from link_hoi_core.configuration import from_dict
from link_hoi_core.device import pick_device
from link_hoi_core.model.link import Link, LinkConfig
from link_hoi_core.vocabulary import load_vocabulary, text_embeddings

EMBEDDED = Path(__file__).parent / 'checkpoints'
WEIGHTS, CONFIG, CARD = 'model.safetensors', 'config.json', 'README.md'


@dataclass(frozen=True)
class Checkpoint:
    """A model with what is known about it.

    Attributes:
        name: of its folder.
        model: the network, in eval mode, float32.
        config: the resolved configuration it was trained with, and its `f1_threshold`.
        sha256: of the weights' file, hexadecimal.
    """

    name: str
    model: Link
    config: dict[str, Any]
    sha256: str


def load_checkpoint(name: str | Path, device: str = 'auto') -> Checkpoint:
    """Load a checkpoint folder, or an embedded one by its name.

    Raises:
        FileNotFoundError: there is no such folder, or a file is missing in it.
        ValueError: a file is truncated or malformed, the weights are of another architecture, or
            there is no such device.
    """
    where = pick_device(device)
    folder = find_checkpoint(name)
    config = _read_config(folder / CONFIG)
    model = build_model(from_dict(LinkConfig, config.get('model'), 'model.'))
    try:
        weights = load_file(folder / WEIGHTS, device='cpu')
    except (SafetensorError, OSError) as error:
        raise ValueError(f'{folder / WEIGHTS} is no readable safetensors file: {error}') from error
    _fill(model, weights, folder)
    digest = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
    return Checkpoint(folder.name, model.eval().to(where), config, digest)


def find_checkpoint(name: str | Path) -> Path:
    """The folder of the embedded checkpoint `name`, or else the folder `name` itself."""
    for folder in (EMBEDDED / name, Path(name)):
        if str(name) and folder.is_dir():
            missing = [file for file in (WEIGHTS, CONFIG) if not (folder / file).is_file()]
            if missing:
                raise FileNotFoundError(f'checkpoint {folder} lacks {" and ".join(missing)}')
            return folder.resolve()
    known = ', '.join(sorted(path.parent.name for path in EMBEDDED.glob(f'*/{CONFIG}')))
    raise FileNotFoundError(f'no checkpoint {name}: neither a folder nor embedded ({known})')


def build_model(config: LinkConfig) -> Link:
    """The untrained model for the vocabulary that `config` names."""
    vocabulary = load_vocabulary(config.vocabulary)
    objects = torch.from_numpy(text_embeddings(vocabulary.objects))
    verbs = torch.from_numpy(text_embeddings(vocabulary.verb_prompts))
    return Link(config, objects, verbs)


def save_checkpoint(folder: Path, model: Link, config: dict[str, Any], card: str) -> None:
    """Write a checkpoint all or nothing; the weights in half precision, which halves the file.

    Args:
        folder: is replaced if it exists.
        config: JSON-able; its key 'model' is the model's own configuration.
        card: the text of README.md.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f'.{folder.name}-', dir=folder.parent))
    try:
        weights = {key: value.half().contiguous() for key, value in model.state_dict().items()}
        save_file(weights, partial / WEIGHTS)
        (partial / CONFIG).write_text(json.dumps(config, indent=2) + '\n')
        (partial / CARD).write_text(card)
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


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f'{path} is not valid JSON: {error}') from error
    if not isinstance(config, dict) or 'model' not in config:
        raise ValueError(f"{path} has no key 'model', expected a checkpoint's configuration")
    return config


def _fill(model: Link, weights: dict[str, torch.Tensor], folder: Path) -> None:
    expected = model.state_dict()
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
