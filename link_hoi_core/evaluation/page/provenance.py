"""When a page was made, and by which versions of what."""

from __future__ import annotations

import importlib.metadata
import platform
from datetime import datetime

PACKAGES = ('link_hoi_ros', 'numpy', 'torch')


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
