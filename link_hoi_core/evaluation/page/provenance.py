"""Where a page comes from: the command, the versions of what ran it, and when."""

from __future__ import annotations

import importlib.metadata
import platform
import shlex
import sys
from datetime import datetime
from pathlib import Path

PACKAGES = ('link_hoi_ros', 'numpy', 'torch')


def command() -> str:
    """The command that this Python was started with, to be pasted into a shell."""
    program, *arguments = sys.orig_argv
    return shlex.join([Path(program).name, *arguments])


def versions() -> dict[str, str]:
    """Of Python, its machine and the packages that figures depend on, as far as installed."""
    found = {'Python': platform.python_version(), 'platform': platform.platform()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:  # run from a checkout
            found[package] = 'not installed as a package'
    return found


def now() -> str:
    """Date and time of day with the time zone."""
    return datetime.now().astimezone().strftime('%Y-%m-%d %H:%M %Z')
