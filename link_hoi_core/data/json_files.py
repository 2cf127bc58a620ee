"""JSON files, gzipped where the name ends in .gz: clear errors, and never half written."""

from __future__ import annotations

import gzip
import json
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def read_json(path: str | Path) -> Any:
    """Parse a .json or .json.gz file.

    Args:
        path: the file; gzipped exactly if its name ends in .gz.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is truncated, not JSON, or not what its name says.
    """
    path = Path(path)
    with one_sentence(path):
        # `name` alone decides: guessing from the content would hide a wrongly named file.
        content = gzip.decompress(path.read_bytes()) if path.suffix == '.gz' else path.read_bytes()
        return json.loads(content)


@contextmanager
def one_sentence(path: Path) -> Iterator[None]:
    """Turn what goes wrong with reading and parsing a file into one sentence that names it."""
    try:
        yield
    except FileNotFoundError:
        raise FileNotFoundError(f'{path}: no such file') from None
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f'{path}: cannot be read ({error})') from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f'{path}: not valid JSON or truncated ({error})') from error


def check_json(path: Path | None) -> None:
    """Refuse a path that no JSON can be written to, before anything long is computed.

    Args:
        path: None, where none is asked for.

    Raises:
        FileNotFoundError: its folder is not there.
    """
    if path is not None and not path.parent.is_dir():
        raise FileNotFoundError(f'{path.parent}: no such folder to write the JSON to')


def write_json(path: str | Path, value: Any, indent: int | None = None) -> None:
    """Write `value` to a .json or .json.gz file under a temporary name, then rename it."""
    write_json_text(path, json.dumps(value, indent=indent) + '\n')


def write_json_text(path: str | Path, text: str) -> None:
    """The same, of what is JSON already."""
    path = Path(path)
    content = text.encode()
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
