"""Where a model runs, and in which numbers."""

from __future__ import annotations

import torch

DEVICES = ('cpu', 'cuda', 'mps')
PRECISIONS = {'fp32': torch.float32, 'bf16': torch.bfloat16, 'fp16': torch.float16}


def pick_device(name: str = 'auto') -> torch.device:
    """The device of a name: 'cpu', 'cuda', 'cuda:1' ..., 'mps', or 'auto': CUDA if there is one.

    Raises:
        ValueError: this torch has no such device, or nothing here runs on it.
    """
    if name == 'auto':
        name = 'cuda' if torch.cuda.is_available() else 'cpu'
    if name.partition(':')[0] not in DEVICES:
        raise ValueError(f'no device {name!r}: expected auto, {", ".join(DEVICES)} or cuda:1 ...')
    try:
        return torch.zeros(0, device=name).device
    except (RuntimeError, AssertionError) as error:  # the latter from a torch without CUDA
        raise ValueError(f'no device {name!r}: {str(error).splitlines()[0]}') from error


def pick_precision(name: str) -> torch.dtype:
    """The type of 'fp32', 'bf16' or 'fp16'.

    Raises:
        ValueError: there is no such precision.
    """
    if name not in PRECISIONS:
        raise ValueError(f'precision is {name!r}, expected one of {", ".join(PRECISIONS)}')
    return PRECISIONS[name]
