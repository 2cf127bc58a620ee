"""What a reader of predictions left out or noticed: counted, with examples, and said at the end."""

from __future__ import annotations

from collections.abc import Sequence

_EXAMPLES = 3


class Remarks:
    """Collects what is wrong with single entries of an input, or stops at the first if strict."""

    def __init__(self, strict: bool = False) -> None:
        self.strict = strict
        self._noted: dict[str, tuple[int, list[str]]] = {}  # how often, and some examples
        self._said: dict[str, None] = {}  # in the order in which they were said

    def note(self, what: str, example: str, count: int = 1) -> None:
        """Count what is wrong with an input.

        Args:
            what: in the plural and with what was done about it, 'images that are not in the
                annotations, left out'; the same words are counted together.
            example: which one it is.

        Raises:
            ValueError: the remarks are strict.
        """
        if self.strict:
            raise ValueError(f'{what}: {example} (strict: nothing of the kind is allowed)')
        so_far, examples = self._noted.get(what, (0, []))
        self._noted[what] = so_far + count, [*examples, example][:_EXAMPLES]

    def say(self, sentence: str) -> None:
        """Say, once, what is allowed but should be known; strict or not."""
        self._said[sentence] = None

    def sentences(self) -> list[str]:
        """A line for each kind of note, then what was said; both in the order of their coming."""
        noted = [counted(what, *found) for what, found in self._noted.items()]
        return noted + list(self._said)


def counted(what: str, count: int, examples: Sequence[str]) -> str:
    """'what: 5 (a, b, c ...)'."""
    shown = examples[:_EXAMPLES]
    more = ' ...' if count > len(shown) else ''
    return f'{what}: {count} ({", ".join(shown)}{more})'
