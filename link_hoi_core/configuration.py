"""Typed configuration: frozen dataclasses filled from YAML and `--set a.b=c`.

A file may name another one as its `base`, whose values it changes. An unknown key is an error that
names the nearest known one; a value of the wrong type says which type was expected.
"""

from __future__ import annotations

import difflib
import types
from collections.abc import Sequence
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from link_hoi_core.optional import require

T = TypeVar('T')


def load_configuration(cls: type[T], path: Path | str | None, assignments: Sequence[str] = ()) -> T:
    """Read a YAML file into the dataclass `cls`, then apply assignments such as 'model.width=128'.

    Without a file what is not assigned takes its default.

    Raises:
        ValueError: an unknown key or a wrong value, in one sentence.
        OSError: the file cannot be read.
    """
    yaml = require('yaml', 'pip install pyyaml', 'reading a configuration')
    values = {} if path is None else _read(Path(path), yaml, ())
    for assignment in assignments:
        _assign(values, assignment, yaml)
    return from_dict(cls, values)


def from_dict(cls: type[T], values: Any, prefix: str = '') -> T:
    """Build the dataclass `cls` from nested dictionaries; missing keys take their defaults.

    Raises:
        ValueError: an unknown key, a missing value that has no default, or a wrong type.
    """
    if not isinstance(values, dict):
        raise ValueError(f'{prefix.rstrip(".") or "configuration"} is {values!r}, expected keys')
    hints = get_type_hints(cls)
    for key in values:
        if key not in hints:
            raise ValueError(f'unknown key {prefix}{key}{_nearest(key, list(hints), prefix)}')
    filled = {key: _convert(hints[key], value, f'{prefix}{key}') for key, value in values.items()}
    try:
        return cls(**filled)
    except TypeError as error:
        raise ValueError(f'{prefix.rstrip(".") or "configuration"}: {error}') from error


def to_dict(configuration: Any) -> dict[str, Any]:
    """The resolved configuration as nested dictionaries, as stored in a checkpoint."""
    return asdict(configuration)


def _read(path: Path, yaml: types.ModuleType, seen: tuple[Path, ...]) -> dict[str, Any]:
    """The values of a YAML file over those of its base, and of the base's base."""
    if path.resolve() in seen:
        raise ValueError(f'{path} is its own base')
    try:
        values = yaml.safe_load(path.read_bytes()) or {}
    except yaml.YAMLError as error:
        raise ValueError(f'{path} is not valid YAML: {_one_line(error)}') from error
    if not isinstance(values, dict):
        raise ValueError(f'{path} holds {values!r}, expected keys')
    base = values.pop('base', None)
    if base is None:
        return values
    return _merge(_read(path.parent / str(base), yaml, (*seen, path.resolve())), values)


def _merge(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in changes.items():
        nested = isinstance(value, dict) and isinstance(base.get(key), dict)
        merged[key] = _merge(base[key], value) if nested else value
    return merged


def _one_line(error: Exception) -> str:
    return ' '.join(str(error).split())


def _assign(values: dict[str, Any], assignment: str, yaml: types.ModuleType) -> None:
    path, separator, text = assignment.partition('=')
    if not separator or not path:
        raise ValueError(f'--set {assignment}: expected key=value')
    *parents, last = path.split('.')
    for parent in parents:
        values = values.setdefault(parent, {})
        if not isinstance(values, dict):
            raise ValueError(f'--set {assignment}: {parent} is a value, not a group of keys')
    try:
        values[last] = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f'--set {assignment}: not valid YAML: {_one_line(error)}') from error


def _convert(expected: Any, value: Any, name: str) -> Any:
    if is_dataclass(expected):
        return from_dict(expected, value, f'{name}.')
    if get_origin(expected) in (Union, types.UnionType):
        if value is None:
            return None
        expected = next(kind for kind in get_args(expected) if kind is not type(None))
    if get_origin(expected) is tuple:  # of any length, as in tuple[str, ...]
        if not isinstance(value, (list, tuple)):
            raise ValueError(f'{name} is {value!r}, expected a list')
        kind = get_args(expected)[0]
        return tuple(_convert(kind, item, f'{name}[{i}]') for i, item in enumerate(value))
    if expected is float and isinstance(value, (int, str)) and not isinstance(value, bool):
        try:
            return float(value)  # YAML reads 1e-3, without a point, as text
        except ValueError:
            pass
    if not isinstance(value, expected) or (expected is int and isinstance(value, bool)):
        raise ValueError(f'{name} is {value!r}, expected {expected.__name__}')
    return value


def _nearest(key: str, known: list[str], prefix: str) -> str:
    near = difflib.get_close_matches(str(key), known, n=1, cutoff=0.5)
    if near:
        return f', did you mean {prefix}{near[0]}?'
    return f', expected one of: {", ".join(known)}'
