"""Weights of others: from a local file or folder, or from the Hugging Face hub by name."""

from __future__ import annotations

import logging
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import TypeVar

from safetensors import SafetensorError

from link_hoi_core.optional import require

T = TypeVar('T')


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
    try:
        with quiet():
            return load(repository if weights == 'pretrained' else weights)
    except _failures(local=weights != 'pretrained') as error:
        if weights == 'pretrained':
            raise _unreachable(repository, error) from error
        raise ValueError(f'{weights} holds no weights of {repository}: {_reason(error)}') from error


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
        with quiet():
            return Path(hub.snapshot_download(repository, allow_patterns=list(files)))
    except _failures(local=False) as error:
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
    except _failures(local=False) as error:
        reason = _reason(error)
        raise ConnectionError(f'{repository} could not be put on the hub ({reason})') from error
    return str(address)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep what libraries log, and the bars of transformers, off the screen; downloads keep theirs.

    At a missing network they log each of some thirty attempts; what matters is raised anyway.
    """
    level, handlers = logging.root.manager.disable, list(logging.root.handlers)
    bars = sys.modules.get('transformers.utils.logging')
    bars = bars if bars and bars.is_progress_bar_enabled() else None
    logging.disable(logging.ERROR)
    if bars:
        bars.disable_progress_bar()
        bars.hf_hub_utils.enable_progress_bars()
    try:
        yield
    finally:
        if bars:
            bars.enable_progress_bar()
        logging.disable(level)
        logging.root.handlers[:] = handlers  # `logging.error` gives a program without any one


def _failures(local: bool) -> tuple[type[Exception], ...]:
    """What libraries raise at weights that are absent or damaged; of local ones, at any other file.

    What else goes wrong with published weights is a mistake of ours, not of the network's.
    """
    common = (OSError, RuntimeError, ValueError, EOFError, SafetensorError, UnpicklingError)
    if local:
        return *common, KeyError, TypeError, AttributeError
    errors = sys.modules.get('huggingface_hub.errors')  # its client's are no OSError
    return (*common, errors.HTTPError) if errors else common


def _unreachable(repository: str, error: Exception) -> ConnectionError:
    return ConnectionError(
        f'{repository} could not be had from the hub ({_reason(error)}): where there is a '
        f'network, run `hf download {repository} --local-dir FOLDER`, and give FOLDER instead'
    )


def _reason(error: Exception) -> str:
    """What went wrong, in a line; what torch says of a file it refuses is how to trust it."""
    if isinstance(error, UnpicklingError) or 'weights_only' in str(error):
        return 'it is no file of tensors'
    return textwrap.shorten(str(error), 200, placeholder=' ...') or type(error).__name__
