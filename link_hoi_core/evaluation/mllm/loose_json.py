"""The JSON object in an answer of a language model, whatever stands around it."""

from __future__ import annotations

import ast
import json
import re
import warnings
from bisect import bisect_left
from typing import Any

from link_hoi_core.evaluation.mllm.fault import Fault

KEY = 'interactions'  # what tells a result from other things in braces
_NAME = 'HOI_result'
_ATTEMPTS = 8  # pairs of braces that are tried: one is the rule, the others stand in prose
_PIECE = re.compile(r'\{[^{}]*\}')
_COMMENT = re.compile(r'//[^\n]*|/\*.*?\*/', re.DOTALL)
_FENCE = re.compile(r'```\w*')


def find_result(text: str) -> tuple[dict[str, Any], list[Fault]]:
    """The last object of a text that has a list 'interactions', and what is wrong about its form.

    JSON is wanted, alone, or as the value of HOI_result (`HOI_result = {...}`, or as a key). Python
    literals, comments and trailing commas are read as well, and of a broken text each interaction
    that is whole. Nothing is executed.

    Returns:
        the object, empty if there is none, and its faults.
    """
    if not text.strip():
        return {}, [Fault.NO_TEXT]
    mentions = [match.start() for match in re.finditer(KEY, text)]
    spans = [span for span in _braces(text) if _holds(span, mentions)]
    for start, end in spans[:_ATTEMPTS]:
        value, strict = _parse(text[start:end])
        result = _unwrapped(value)
        if result is not None:
            faults = [] if strict else [Fault.NOT_JSON]
            faults += _surroundings(text[:start], text[end:])
            if any(other_end <= start for _, other_end in spans):
                faults.append(Fault.SEVERAL_RESULTS)
            return result, faults
    pieces = [_parse(piece)[0] for piece in _PIECE.findall(text) if 'verb' in piece]
    pieces = [piece for piece in pieces if isinstance(piece, dict)]
    return ({KEY: pieces}, [Fault.PIECES]) if pieces else ({}, [Fault.NO_RESULT])


def _braces(text: str) -> list[tuple[int, int]]:
    """Start and end of what stands in matching braces: the last first, outer before inner."""
    opened: list[int] = []
    spans = []
    for brace in re.finditer('[{}]', text):
        if brace.group() == '{':
            opened.append(brace.start())
        elif opened:
            spans.append((opened.pop(), brace.end()))
    return spans[::-1]


def _holds(span: tuple[int, int], places: list[int]) -> bool:
    """Whether one of the (rising) places lies in the span."""
    first = bisect_left(places, span[0])
    return first < len(places) and places[first] < span[1]


def _unwrapped(value: Any) -> dict[str, Any] | None:
    if isinstance(value, dict) and isinstance(value.get(_NAME), dict):
        value = value[_NAME]
    is_result = isinstance(value, dict) and isinstance(value.get(KEY), list)
    return value if is_result else None


def _parse(text: str) -> tuple[Any, bool]:
    """The value of a text, None if it has none, and whether it was JSON."""
    try:
        return json.loads(text), True
    except (ValueError, RecursionError):
        pass
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # of escapes that Python does not know
            return ast.literal_eval(_COMMENT.sub('', text)), False
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None, False


def _surroundings(before: str, after: str) -> list[Fault]:
    """What should not stand beside the result; its name may."""
    around = re.sub(rf'{_NAME}\s*[=:]', '', before) + after.removesuffix(';')
    faults = [Fault.CODE_FENCE] if _FENCE.search(around) else []
    return faults + ([Fault.TEXT_AROUND] if _FENCE.sub('', around).strip() else [])
