"""JSON files, gzipped where the name ends in .gz: clear errors, and never half written."""

from __future__ import annotations

import gzip
import json
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import Any, TextIO


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
        IsADirectoryError: it is a folder.
    """
    if path is None:
        return
    if path.is_dir():
        raise IsADirectoryError(f'{path}: is a folder, expected a file to write the JSON to')
    if not path.parent.is_dir():
        raise FileNotFoundError(f'{path.parent}: no such folder to write the JSON to')


def write_json(path: str | Path, value: Any, indent: int | None = None) -> None:
    """Write `value` to a .json or .json.gz file under a temporary name, then rename it."""
    with open_whole(Path(path)) as file:
        file.write(json.dumps(value, indent=indent) + '\n')


@contextmanager
def open_whole(path: Path) -> Iterator[TextIO]:
    """A text to be written, gzipped where the name ends in .gz, as of `write_whole`."""
    with _renamed(path) as partial, partial.open('wb') as file:
        # Without name and time: the same bytes at any hour.
        packed = gzip.GzipFile('', 'wb', 6, file, mtime=0) if path.suffix == '.gz' else file
        with TextIOWrapper(packed, 'utf-8') as text:
            yield text


def write_whole(path: Path, content: bytes) -> None:
    """Write a file under a temporary name, then rename it."""
    with _renamed(path) as partial:
        partial.write_bytes(content)


@contextmanager
def _renamed(path: Path) -> Iterator[Path]:
    """A temporary name for what is to be `path` once it is written, and gone if it cannot be."""
    partial = path.with_name(f'{path.name}.{os.getpid()}.partial')
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
