"""A figure per epoch and hour of training, and against the cost of a model (Figures 8 and 9)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from link_hoi_core.data.json_files import read_json
from link_hoi_core.evaluation.plots import picture
from link_hoi_core.optional import require


@dataclass(frozen=True)
class Progress:
    """What a training run logged of one figure, for each of its E epochs.

    Attributes:
        name: of the run's folder.
        epochs: (E,) how many are done, rising, from 1.
        hours: (E,) since its start, with the time that its evaluations took, without the pauses
            between an interruption and the resumption, and without what was then done again.
        values: (E,)
    """

    name: str
    epochs: np.ndarray
    hours: np.ndarray
    values: np.ndarray


@dataclass(frozen=True)
class Cost:
    """A model's figure, and what an image costs it.

    Attributes:
        pairs: human-object pairs of the image that the cost is of.
        gmacs: 10^9 multiply-accumulates, detector included; the paper calls these GFLOPs.
    """

    name: str
    pairs: int
    gmacs: float
    value: float


def read_progress(run: Path, figure: str) -> Progress:
    """What a run's logs say of a figure, of a resumed run as one.

    From its TensorBoard logs: they hold what its CSV files hold, and the time of every entry.

    Args:
        run: the folder that training wrote to.
        figure: as it is logged, 'full' or 'map'.

    Raises:
        FileNotFoundError: there are no logs.
        ValueError: they do not have the figure.
        ImportError: tensorboard is not installed.
    """
    every = (run / 'tensorboard').glob('version_*')
    folders = [folder for folder in every if re.fullmatch(r'version_\d+', folder.name)]
    folders.sort(key=lambda path: int(path.name.split('_')[1]))
    if not folders:
        raise FileNotFoundError(f'{run}: no training run: it has no folder tensorboard/version_0')
    parts, known = [], set()
    for folder in folders:
        part, names = _read_part(folder, figure)
        known |= names
        if len(part):
            parts.append(part)
    if not parts:
        raise ValueError(
            f'{run}: no {figure!r} is logged, only {", ".join(sorted(known - {figure}))}'
        )
    rows = parts[0]
    for part in parts[1:]:
        # It began after an epoch that was whole; what was done beyond that was done again.
        rows = rows[rows[:, 0] < part[0, 0]]
        before = rows[-1, 1] if len(rows) else 0.0
        rows = np.concatenate([rows, part + [0, before, 0]])
    return Progress(run.resolve().name, rows[:, 0].astype(int) + 1, rows[:, 1] / 3600, rows[:, 2])


def read_cost(complexity: Path, result: Path, figure: str) -> Cost:
    """Pair what `benchmark complexity --json` wrote with what `evaluate ... --json` wrote.

    The cost is that of an image with the fewest pairs that was counted.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: one is another kind of file, or has no such figure.
    """
    cost, figures = read_json(complexity), read_json(result)
    macs = cost.get('macs') if isinstance(cost, dict) else None
    if not isinstance(macs, dict) or not macs or not all(map(str.isdigit, macs)):
        raise ValueError(f"{complexity}: not a file of `benchmark complexity`: it has no 'macs'")
    value = figures.get(figure) if isinstance(figures, dict) else None
    if not isinstance(value, (int, float)):
        raise ValueError(f'{result}: it has no figure {figure!r}')
    pairs = min(map(int, macs))
    return Cost(str(cost.get('config', complexity.stem)), pairs, macs[str(pairs)] / 1e9, value)


def draw_curves(path: Path, figure: str, runs: Sequence[Progress], costs: Sequence[Cost]) -> None:
    """The figure per epoch and per hour of all runs, and against the cost of all models."""
    panels = 2 * bool(runs) + bool(costs)
    with picture(path, 3.6 * panels + 1, 3.6) as drawing:
        axes = list(drawing.subplots(1, panels, squeeze=False)[0])
        for what in ('epochs', 'hours') if runs else ():
            panel = axes.pop(0)
            for run in runs:
                panel.plot(getattr(run, what), run.values, marker='.', label=run.name)
            panel.set(xlabel=f'{what} of training', ylabel=figure)
        if runs:
            panel.set_xlim(0, None)
            lines = panel.get_legend_handles_labels()
            drawing.legend(*lines, loc='outside upper center', ncols=panels)
        if costs:
            _draw_costs(axes.pop(), figure, costs)


def curves_table(figure: str, runs: Sequence[Progress], costs: Sequence[Cost]) -> str:
    """A line for each run and each model."""
    lines = [
        f'{run.name}: {figure} {run.values[-1]:.2f} after {run.epochs[-1]} epochs and '
        f'{run.hours[-1]:.2f} h, best {run.values.max():.2f} after '
        f'{run.epochs[run.values.argmax()]}'
        for run in runs
    ]
    lines += [
        f'{cost.name}: {figure} {cost.value:.2f} at {cost.gmacs:.1f} GMACs ({cost.pairs} pairs)'
        for cost in costs
    ]
    return '\n'.join(lines)


def curves_json(figure: str, runs: Sequence[Progress], costs: Sequence[Cost]) -> dict[str, Any]:
    """The numbers behind the picture."""
    return {
        'figure': figure,
        'runs': [
            {
                'name': run.name,
                'epochs': run.epochs.tolist(),
                'hours': run.hours.tolist(),
                figure: run.values.tolist(),
            }
            for run in runs
        ],
        'models': [
            {'name': cost.name, 'pairs': cost.pairs, 'gmacs': cost.gmacs, figure: cost.value}
            for cost in costs
        ],
    }


def _read_part(folder: Path, figure: str) -> tuple[np.ndarray, set[str]]:
    """What one start of a run logged: rows of epoch, seconds, value; and all that is logged."""
    tensorboard = require(
        'tensorboard.backend.event_processing.event_accumulator',
        'pip install tensorboard',
        'reading the logs of training',
    )
    log = tensorboard.EventAccumulator(str(folder), size_guidance={tensorboard.SCALARS: 0})
    log.Reload()
    names = set(log.Tags()[tensorboard.SCALARS])
    if not {figure, 'epoch'} <= names:
        return np.zeros((0, 3)), names
    start = log.FirstEventTimestamp()
    # Lightning writes the epoch at each step at which it writes anything, but behind the rest: the
    # log of a run that was killed may lack the last one.
    epochs = {event.step: event.value for event in log.Scalars('epoch')}
    rows = {
        epochs[event.step]: (event.wall_time - start, event.value)
        for event in log.Scalars(figure)
        if event.step in epochs
    }
    return np.array([(epoch, *row) for epoch, row in sorted(rows.items())]), names


def _draw_costs(panel: Any, figure: str, costs: Sequence[Cost]) -> None:
    """Points by name, on a logarithmic axis of costs as in the paper."""
    panel.plot([cost.gmacs for cost in costs], [cost.value for cost in costs], 'o')
    for cost in costs:
        where = {'xytext': (0, 7), 'textcoords': 'offset points', 'ha': 'center'}
        panel.annotate(cost.name, (cost.gmacs, cost.value), **where)
    panel.set(xscale='log', xlabel='GMACs an image', ylabel=figure)
    panel.margins(0.25)
    low, high = panel.get_xlim()
    digits = (1, 2, 3, 5, 7) if high < 20 * low else (1,)
    ticks = sorted(digit * 10.0**power for digit in digits for power in range(-3, 7))
    shown = [tick for tick in ticks if low <= tick <= high]
    panel.set_xticks(shown, [f'{tick:g}' for tick in shown])
    panel.minorticks_off()
