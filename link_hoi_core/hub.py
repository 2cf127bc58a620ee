"""Weights of others: from a local file or folder, or from the Hugging Face hub by name."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import TypeVar

from safetensors import SafetensorError

from link_hoi_core.optional import require

T = TypeVar('T')

_FAILURES = (  # what libraries raise at a missing network, or at a file of something else
    *(OSError, RuntimeError, ValueError, KeyError, TypeError, AttributeError, EOFError),
    *(SafetensorError, UnpicklingError),
)


def load_weights(load: Callable[[str], T], weights: str, repository: str) -> T:
    """Load published weights, or local ones in the same form.

    Args:
        load: loads from a hub repository's name or a local path, e.g. a `from_pretrained`.
        weights: 'pretrained' for `repository` itself, else a local file or folder.
        repository: the hub name of the published weights.

    Raises:
        FileNotFoundError: there is no such file or folder.
        ConnectionError: the hub cannot be reached or has no such repository; the sentence says
            what to download and how to give it.
        ValueError: what was found holds no such model.
    """
    if weights != 'pretrained' and not Path(weights).exists():
        raise FileNotFoundError(f'{weights}: no such file or folder of weights')
    source = repository if weights == 'pretrained' else weights
    try:
        with _quiet_retries():
            return load(source)
    except _FAILURES as error:
        if weights == 'pretrained':
            raise _unreachable(repository, error) from error
        reason = _one_line(error)
        raise ValueError(f'{weights} holds no weights of {repository}: {reason}') from error


def weights_file(weights: str, names: Sequence[str]) -> str:
    """The file of weights that `weights` is, or that lies in the folder `weights`.

    Args:
        names: what the file is called in such a folder, the most wanted first.

    Raises:
        FileNotFoundError: the folder holds none of them.
    """
    path = Path(weights)
    if not path.is_dir():
        return weights
    for name in names:
        if (path / name).is_file():
            return str(path / name)
    raise FileNotFoundError(f'it lacks {" and ".join(names)}')


def download(repository: str, files: Sequence[str]) -> Path:
    """Bring files of a hub repository here; the folder in which they lie.

    Raises:
        ImportError: huggingface_hub is not installed.
        ConnectionError: the hub has no such repository, or cannot be reached.
    """
    hub = require('huggingface_hub', 'pip install huggingface_hub', f'downloading {repository}')
    try:
        with _quiet_retries():
            return Path(hub.snapshot_download(repository, allow_patterns=list(files)))
    except (OSError, ValueError) as error:
        raise _unreachable(repository, error) from error


def upload(folder: Path, repository: str, private: bool) -> str:
    """Put a folder's files into a hub repository, which is made where there is none; its address.

    Raises:
        ImportError: huggingface_hub is not installed.
        ConnectionError: the hub cannot be reached, or refuses.
    """
    hub = require('huggingface_hub', 'pip install huggingface_hub', f'uploading to {repository}')
    try:
        client = hub.HfApi()
        address = client.create_repo(repository, private=private, exist_ok=True)
        client.upload_folder(repo_id=repository, folder_path=folder)
    except (OSError, ValueError) as error:
        reason = _one_line(error)
        raise ConnectionError(f'{repository} could not be put on the hub ({reason})') from error
    return str(address)


@contextmanager
def _quiet_retries() -> Iterator[None]:
    """Keep the hub's library from logging each of some thirty attempts at a missing network."""
    logger = logging.getLogger('huggingface_hub')
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def _unreachable(repository: str, error: Exception) -> ConnectionError:
    return ConnectionError(
        f'{repository} could not be had from the hub ({_one_line(error)}): where there is a '
        f'network, run `hf download {repository} --local-dir FOLDER`, and give FOLDER instead'
    )


def _one_line(error: Exception) -> str:
    return ' '.join(str(error).split())[:200]
