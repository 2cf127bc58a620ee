"""What a machine must have before an environment can be made; what is missing is one sentence."""

from __future__ import annotations

import importlib.util
import platform
import shutil
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

GIGABYTE = 10**9
DISK_NEEDED = 10 * GIGABYTE  # 6 stay; pip keeps what it downloads beside it until all is installed
COMPILERS = ('c++', 'g++', 'clang++')
WHEELS_PYTHON = ((3, 10), (3, 14))  # the first and the last that the wheels of ROS 2 are built for


class SetupError(Exception):
    """Why no environment can be made: one sentence for the user."""


def check_venv(find: Callable[[str], object | None] = importlib.util.find_spec) -> None:
    """Debian and Ubuntu leave `ensurepip` out, without which `venv` makes no pip."""
    if any(find(module) is None for module in ('venv', 'ensurepip')):
        raise SetupError(
            f'this Python ({sys.executable}) cannot make virtual environments: '
            'sudo apt install python3-venv'
        )


def check_build_tools(which: Callable[[str], str | None] = shutil.which) -> None:
    """The messages are compiled: that takes CMake, make and a C++ compiler."""
    missing = [program for program in ('cmake', 'make') if which(program) is None]
    if not any(map(which, COMPILERS)):
        missing.append('g++')
    if missing:
        raise SetupError(
            f'no {" and no ".join(missing)} on the PATH, needed to compile the messages: '
            f'sudo apt install {" ".join(missing)}'
        )


def check_python_headers(include: Path | None = None) -> None:
    """The messages are Python extensions too: that takes Python.h."""
    header = (include or Path(sysconfig.get_path('include'))) / 'Python.h'
    if not header.is_file():
        raise SetupError(
            f'no {header}, needed to compile the messages for Python: sudo apt install python3-dev'
        )


def check_disk(folder: Path, free: int | None = None) -> None:
    """Raise when `free` bytes (default: what `folder` has) do not hold a new environment."""
    free = shutil.disk_usage(folder).free if free is None else free
    if free < DISK_NEEDED:
        raise SetupError(
            f'a new environment takes {DISK_NEEDED / GIGABYTE:.0f} GB while it is made, '
            f'but {folder} has {free / GIGABYTE:.1f} GB free'
        )


def check_wheels(
    system: str = platform.system(),
    machine: str = platform.machine(),
    python: tuple[int, int] = sys.version_info[:2],
) -> None:
    """ROS 2 comes as wheels for x86-64 Linux only; elsewhere a distribution must be sourced."""
    first, last = WHEELS_PYTHON
    if (system, machine) != ('Linux', 'x86_64'):
        found = f'{system} on {machine}'
    elif not first <= python <= last:
        found = f'Python {python[0]}.{python[1]}'
    else:
        return
    raise SetupError(
        f'no wheels of ROS 2 for {found} (only for x86_64 Linux, Python '
        f'{first[0]}.{first[1]} to {last[0]}.{last[1]}): source a ROS 2 distribution first'
    )
