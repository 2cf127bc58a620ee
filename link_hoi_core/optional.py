"""Dependencies that only some users need, imported where they are used."""

from __future__ import annotations

import importlib
from types import ModuleType


def require(module: str, install: str, purpose: str) -> ModuleType:
    """Import `module`, or say in one sentence what it is for and how to install it.

    Args:
        module: dotted module name, e.g. 'scipy.io'.
        install: the command that installs it, e.g. 'pip install scipy'.
        purpose: what the caller needs it for, e.g. 'reading anno.mat'.

    Raises:
        ImportError: the module is missing.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(f'{purpose} needs {module} ({error}): {install}') from error
