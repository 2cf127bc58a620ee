"""Weights of others: from a local file or folder, or from the Hugging Face hub by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

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
    source = repository if weights == 'pretrained' else weights
    try:
        return load(source)
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        reason = ' '.join(str(error).split())[:200]
        if weights == 'pretrained':
            raise ConnectionError(
                f'{repository} could not be loaded from the hub ({reason}): where there is a '
                f'network, run `hf download {repository} --local-dir FOLDER`, and give FOLDER as '
                f'weights'
            ) from error
        raise ValueError(
            f'{weights} does not hold the weights of {repository}: {reason}'
        ) from error
