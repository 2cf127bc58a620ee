"""Few-shot figures: mean and standard deviation over runs with several seeds (spec section 13)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from link_hoi_core.data.json_files import read_json
from link_hoi_core.evaluation.report import F1_FIGURES, LABELS, THRESHOLD, figure_label

_ALIKE = (
    *('benchmark', 'annotations', 'images', 'labels', 'protocol', 'convention', 'setting'),
    *('classes_of', 'boxes', 'select', 'score_exponent', 'zero_shot_filter', 'perturbation'),
)


@dataclass(frozen=True)
class Spread:
    """Of one figure over some runs; `sd` is the sample's, divided by their number less one."""

    mean: float
    sd: float


def few_shot(paths: Sequence[str | Path]) -> dict[str, Spread]:
    """Mean and standard deviation of every figure but the F1 threshold, by name.

    Args:
        paths: results of runs that differ in their seed, as written by `evaluate ... --json` or as
            a training run's `figures.json`; at least two.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: there is one file only, one stands twice, one has no figures, or they are not of
            the same evaluation; one sentence.
    """
    if len(paths) < 2:
        raise ValueError('a mean needs the results of at least two runs')
    if len({Path(path).resolve() for path in paths}) < len(paths):
        raise ValueError('a result stands twice among the files')
    results = [read_json(path) for path in paths]
    figures = [_figures(path, result) for path, result in zip(paths, results)]
    for path, result, own in zip(paths, results, figures):
        for key in _ALIKE:
            if result.get(key) != results[0].get(key):
                found, expected = result.get(key), results[0].get(key)
                raise ValueError(f'{path}: {key} is {found!r}, but {expected!r} in {paths[0]}')
        if own.keys() != figures[0].keys():
            raise ValueError(
                f'{path} has the figures {", ".join(own)}, but {paths[0]} {", ".join(figures[0])}'
            )
    of_each = {name: np.array([own[name] for own in figures]) for name in figures[0]}
    return {
        name: Spread(float(values.mean()), float(values.std(ddof=1)))
        for name, values in of_each.items()
    }


def few_shot_table(spreads: Mapping[str, Spread]) -> str:
    """A line each; AP in percent, F1 figures as fractions."""
    lines = []
    for name, spread in spreads.items():
        digits = 4 if name in F1_FIGURES else 2
        lines.append(f'{figure_label(name):24} {spread.mean:8.{digits}f} ± {spread.sd:.{digits}f}')
    return '\n'.join(lines)


def few_shot_json(spreads: Mapping[str, Spread]) -> dict[str, Any]:
    """`mean` and `sd` of each figure by name."""
    return {name: asdict(spread) for name, spread in spreads.items()}


def _figures(path: str | Path, result: Any) -> dict[str, float]:
    """The figures of a result, without the other things that it says."""
    names = [name for name in result if name in LABELS] if isinstance(result, dict) else []
    figures = {name: result[name] for name in names if name != THRESHOLD}
    if not figures or not all(isinstance(value, (int, float)) for value in figures.values()):
        raise ValueError(f'{path}: expected a result of `evaluate ... --json`, found no figures')
    return figures
