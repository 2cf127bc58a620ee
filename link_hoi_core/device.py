"""Where a model runs."""

from __future__ import annotations

import torch


def pick_device(name: str = 'auto') -> torch.device:
    """The device of a name: 'cpu', 'cuda', 'cuda:1' ..., or 'auto': the GPU if there is one.

    Raises:
        ValueError: this torch has no such device.
    """
    if name == 'auto':
        name = 'cuda' if torch.cuda.is_available() else 'cpu'
    try:
        return torch.zeros(0, device=name).device
    except (RuntimeError, AssertionError) as error:  # the latter from a torch without CUDA
        raise ValueError(f'no device {name!r}: {str(error).splitlines()[0]}') from error
