"""What a reader of predictions left out or noticed: counted, with examples, and said at the end."""

from __future__ import annotations

from dataclasses import dataclass, field

_EXAMPLES = 3


class Remarks:
    """Collects what is wrong with single entries of an input, or stops at the first if strict."""

    def __init__(self, strict: bool = False) -> None:
        self.strict = strict
        self._counted: dict[str, _Counted] = {}
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
        counted = self._counted.setdefault(what, _Counted())
        counted.count += count
        if len(counted.examples) < _EXAMPLES:
            counted.examples.append(example)

    def say(self, sentence: str) -> None:
        """Say, once, what is allowed but should be known; strict or not."""
        self._said[sentence] = None

    def sentences(self) -> list[str]:
        """One line for each kind of remark, in the order in which they first came."""
        counted = [f'{what}: {found}' for what, found in self._counted.items()]
        return counted + list(self._said)


@dataclass
class _Counted:
    count: int = 0
    examples: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        more = ' ...' if self.count > len(self.examples) else ''
        return f'{self.count} ({", ".join(self.examples)}{more})'
