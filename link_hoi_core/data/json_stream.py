"""JSON files that are too large to hold at once: one entry of a list after the other."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn, TextIO

from link_hoi_core.data.json_files import one_sentence

_CHARACTERS = 1 << 22  # held at once, and as many as one entry needs
_DECODER = json.JSONDecoder()


def stream_json(path: str | Path, list_key: str) -> Iterator[tuple[str, Any]]:
    """The keys and values of the object that a .json or .json.gz file is, as they come.

    The list at `list_key` comes in entries: `(list_key, entry)` for each.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is truncated, not JSON, or has no list at `list_key`; what came before
            is yielded first.
    """
    path = Path(path)
    with one_sentence(path), _open(path) as file:
        text = _Text(path, file)
        listed = False
        for key in text.keys():
            if key != list_key:
                yield key, text.value()
            elif text.next() == '[':
                listed = True
                yield from ((key, entry) for entry in text.entries())
            else:
                text.value()  # it may be no JSON at all
    if not listed:
        raise ValueError(f'{path}: expected an object with a list {list_key!r}')


def _open(path: Path) -> TextIO:
    open_ = gzip.open if path.suffix == '.gz' else open
    return open_(path, 'rt', encoding='utf-8')


class _Text:
    """The text of a file from the first character that is not yet parsed."""

    def __init__(self, path: Path, file: TextIO) -> None:
        self._path = path
        self._file = file
        self._before = 0  # characters that are no longer held
        self._held = ''
        self._at = 0

    def keys(self) -> Iterator[str]:
        """The keys of the object that the whole text is; the caller takes each one's value.

        Text that is something else, such as a list, has no keys.
        """
        if self.next() != '{':
            self.value()  # it may be no JSON at all
        else:
            for _ in self._separated('}'):
                key = self.value()
                if not isinstance(key, str):
                    self._fail('a key is no string', self._at)
                self._take(':')
                yield key
        if self.next():
            self._fail('extra data', self._at)

    def entries(self) -> Iterator[Any]:
        """The entries of the list that begins here."""
        for _ in self._separated(']'):
            yield self.value()

    def next(self) -> str:
        """The next character that is no space; '' at the end."""
        while True:
            while self._at < len(self._held):
                if not self._held[self._at].isspace():
                    return self._held[self._at]
                self._at += 1
            if not self._read():
                return ''

    def value(self) -> Any:
        """The value that begins here, whole."""
        self.next()
        while True:
            try:
                value, end = _DECODER.raw_decode(self._held, self._at)
            except json.JSONDecodeError as error:
                if not self._read():
                    self._fail(error.msg, error.pos)
            else:
                if end < len(self._held) or not self._read():  # a number may go on
                    self._at = end
                    return value

    def _separated(self, closing: str) -> Iterator[None]:
        """Stand before each part of what a bracket opens, until the `closing` one is taken."""
        self._at += 1
        if self.next() == closing:
            self._at += 1
            return
        while True:
            yield
            if self._take(f',{closing}') == closing:
                return

    def _take(self, allowed: str) -> str:
        found = self.next()
        if not found or found not in allowed:
            self._fail(f'expected {" or ".join(map(repr, allowed))}', self._at)
        self._at += 1
        return found

    def _read(self) -> bool:
        """Hold more of the file: twice as much, should an entry be that long."""
        more = self._file.read(max(_CHARACTERS, len(self._held) - self._at))
        if more:
            self._before += self._at
            self._held = self._held[self._at :] + more
            self._at = 0
        return bool(more)

    def _fail(self, what: str, at: int) -> NoReturn:
        where = f'character {self._before + at}'
        raise ValueError(f'{self._path}: not valid JSON or truncated ({what}: {where})')
