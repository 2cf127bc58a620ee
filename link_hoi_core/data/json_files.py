"""JSON files, gzipped where the name ends in .gz: clear errors, and never half written."""

from __future__ import annotations

import gzip
import json
import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any


def read_json(path: str | Path, object_hook: Callable[[dict], Any] | None = None) -> Any:
    """Parse a .json or .json.gz file.

    Args:
        path: the file; gzipped exactly if its name ends in .gz.
        object_hook: as of `json.load`; lets a caller shrink each object while the file is parsed.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is truncated, not JSON, or not what its name says.
    """
    path = Path(path)
    try:
        # `name` alone decides: guessing from the content would hide a wrongly named file.
        content = gzip.decompress(path.read_bytes()) if path.suffix == '.gz' else path.read_bytes()
        return json.loads(content, object_hook=object_hook)
    except FileNotFoundError:
        raise FileNotFoundError(f'{path}: no such file') from None
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f'{path}: cannot be read ({error})') from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f'{path}: not valid JSON or truncated ({error})') from error


def write_json(path: str | Path, value: Any, indent: int | None = None) -> None:
    """Write `value` to a .json or .json.gz file under a temporary name, then rename it."""
    path = Path(path)
    content = (json.dumps(value, indent=indent) + '\n').encode()
    if path.suffix == '.gz':
        content = gzip.compress(content, compresslevel=6, mtime=0)  # the same bytes at any hour
    write_whole(path, content)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file under a temporary name, then rename it."""
    partial = path.with_name(f'{path.name}.{os.getpid()}.partial')
    try:
        partial.write_bytes(content)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
