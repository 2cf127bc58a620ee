"""What a long run has done so far: lines of JSON that a killed run leaves and the next reads."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any


class Journal:
    """A file whose first line has the run's settings, and each other line something that is done.

    It is made with the first entries, so that a run which fails before leaves nothing behind.

    Attributes:
        entries: what is done, in the order in which it was appended.
    """

    def __init__(self, path: Path, settings: dict[str, Any]) -> None:
        """Read what an earlier run left, if any; a last line that was cut short is dropped.

        Raises:
            ValueError: it was begun with other settings, or is damaged; one sentence.
        """
        self._path, self._settings = path, settings
        self.entries: list[dict[str, Any]] = []
        if path.is_file():
            self._read()
        self._begun = path.is_file()

    def append(self, entries: Sequence[dict[str, Any]]) -> None:
        """Keep what is done; once this returns, a kill does not lose it.

        Raises:
            FileExistsError: another run has begun the same file since this one looked for it.
        """
        lines = entries if self._begun else [self._settings, *entries]
        content = ''.join(f'{json.dumps(line)}\n' for line in lines)
        try:
            with self._path.open('ab' if self._begun else 'xb') as file:
                file.write(content.encode())
        except FileExistsError:
            raise FileExistsError(f'{self._path} was begun by another run meanwhile') from None
        self._begun = True
        self.entries += entries

    def remove(self) -> None:
        """Delete the file."""
        self._path.unlink(missing_ok=True)

    def _read(self) -> None:
        content = self._path.read_bytes()
        whole = content[: content.rfind(b'\n') + 1]
        if not whole:  # killed within its first line
            return self.remove()
        os.truncate(self._path, len(whole))
        try:
            settings, *self.entries = [json.loads(line) for line in whole.splitlines()]
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise ValueError(f'{self._path} is damaged ({error}): delete it') from error
        for key, value in self._settings.items():
            if settings.get(key) != value:
                raise ValueError(
                    f'{self._path} was begun with {key} {settings.get(key)!r}, not {value!r}: '
                    f'finish it so, or delete it'
                )
