"""Charts as marks in a picture of fixed size, which the page's template turns into SVG."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from link_hoi_core.evaluation.outcome import Outcome
from link_hoi_core.evaluation.page.calibration import Calibration
from link_hoi_core.evaluation.report import F1_FIGURES, THRESHOLD, figure_label

if TYPE_CHECKING:
    from link_hoi_core.evaluation.robustness import Row

WIDTH, HEIGHT = 460, 300
LEFT, RIGHT, TOP, BOTTOM = 54, 20, 12, 42  # margins
_GAP = 2  # between two bars
_MOST_TICKS = 6
_MOST_LINES = 3
_NO_AP = (*F1_FIGURES, THRESHOLD)
# One colour a group wherever it is drawn; what is of all classes has the colour of the text.
_SERIES = {'full': 'all', 'non_rare': 1, 'seen': 1, 'rare': 2, 'unseen': 2, 'novel': 3}


@dataclass(frozen=True)
class Axis:
    """Values from `low` to `high`, at the pixels `start` to `end`; `ticks` are (value, text)."""

    label: str
    low: float
    high: float
    ticks: Sequence[tuple[float, str]]
    start: float
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        """The pixel of a value, to a tenth."""
        low, high, value = (
            (math.log(v) for v in (self.low, self.high, value))
            if self.log
            else (self.low, self.high, value)
        )
        return round(self.start + (value - low) / (high - low) * (self.end - self.start), 1)


@dataclass(frozen=True)
class Chart:
    """What is drawn within two axes; `series` is the number of a colour, or a name of the style.

    Attributes:
        bars: (x, y, width, height, series, tip).
        dots: (x, y, radius, series, tip).
        lines: (points, series): 'x,y x,y ...'.
        legend: (series, text).
    """

    title: str
    x: Axis
    y: Axis
    bars: list[tuple] = field(default_factory=list)
    dots: list[tuple] = field(default_factory=list)
    lines: list[tuple] = field(default_factory=list)
    legend: list[tuple] = field(default_factory=list)


def precision_recall_axes() -> Chart:
    """An empty chart: the page draws the curve of the class that is chosen."""
    percent = [(value / 100, f'{value}') for value in range(0, 101, 20)]
    return Chart(
        'Precision and recall',
        _x('recall (%)', 0, 1, percent),
        _y('precision (%)', 0, 1, percent),
    )


def histogram(ap: np.ndarray, groups: Mapping[str, np.ndarray]) -> Chart:
    """What share of each group's classes has which AP, in steps of ten."""
    edges = np.arange(0, 101, 10)
    shares = {}
    for name, members in groups.items():
        values = ap[members & ~np.isnan(ap)]
        counts = np.histogram(values, edges)[0]
        shares[name] = counts, 100 * counts / max(len(values), 1), len(values)
    most = max(share.max() for _, share, _ in shares.values())
    chart = Chart(
        'Classes by their AP',
        _x('AP of a class (%)', 0, 100, [(v, f'{v}') for v in edges[::2]]),
        _y('share of the group (%)', 0, *_ticks_to(most)),
    )
    step = chart.x.at(10) - chart.x.at(0)
    width = (step - 3 * _GAP) / len(shares)
    for place, (name, (counts, share, total)) in enumerate(shares.items()):
        series = _SERIES.get(name, 1)
        chart.legend.append((series, f'{figure_label(name)} ({total} classes)'))
        for i, (count, height) in enumerate(zip(counts, share)):
            x = chart.x.at(edges[i]) + 1.5 * _GAP + place * width
            y = chart.y.at(height)
            tip = (
                f'{figure_label(name)}: {count} of {total} classes have an AP of '
                f'{edges[i]} to {edges[i + 1]}'
            )
            chart.bars.append((round(x, 1), y, round(width - 1, 1), chart.y.start - y, series, tip))
    return chart


def frequency(
    outcome: Outcome, train_counts: np.ndarray, groups: Mapping[str, np.ndarray]
) -> Chart:
    """The AP of each class against its pairs in the training annotations; 0 pairs stand at 0.5."""
    ap = outcome.per_class_ap
    rows = np.flatnonzero(~np.isnan(ap))
    least = 0.5 if (train_counts[rows] == 0).any() else 1
    high = max(10.0, float(train_counts[rows].max()) * 1.2)
    ticks = [(10.0**k, f'{10**k:,}') for k in range(int(math.log10(high)) + 1)]
    chart = Chart(
        'AP and training pairs',
        _x('pairs in training', least, high, [(0.5, '0')] * (least < 1) + ticks, log=True),
        _y('AP of a class (%)', 0, 100, [(v, f'{v}') for v in range(0, 101, 20)]),
    )
    series = np.ones(len(ap), int)
    for name, members in groups.items():
        series[members] = _SERIES.get(name, 1)
        chart.legend.append((_SERIES.get(name, 1), figure_label(name)))
    for row in rows:
        x, y = chart.x.at(max(float(train_counts[row]), 0.5)), chart.y.at(float(ap[row]))
        tip = f'{outcome.class_names[row]}: AP {ap[row]:.1f}, {train_counts[row]:,} training pairs'
        chart.dots.append((x, y, 3, int(series[row]), tip))
    chart.lines.append((_mean_line(chart, train_counts[rows], ap[rows]), 'mean'))
    chart.legend.append(('mean', 'mean, by doublings of the pairs'))
    return chart


def reliability(calibration: Calibration) -> Chart:
    """How many detections of a score are right; dashed, the line of scores that are honest."""
    percent = [(value / 100, f'{value / 100:g}') for value in range(0, 101, 20)]
    chart = Chart(
        'Share of right detections by score',
        _x('score', 0, 1, percent),
        _y('right', 0, 1, percent),
        legend=[(1, 'detections that are right'), ('reference', 'an honest score')],
    )
    for i, (count, score, right) in enumerate(_bins(calibration)):
        if count:
            tip = f'{count:,} detections, mean score {score:.3f}: {100 * right:.1f} % are right'
            chart.bars.append(_bin_bar(chart, i, len(calibration.count), right, tip))
    chart.lines.append((_points(chart, [(0, 0), (1, 1)]), 'reference'))
    return chart


def score_counts(calibration: Calibration) -> Chart:
    """How many detections have which score; a logarithmic axis."""
    most = max(10.0, float(calibration.count.max()))
    decades = range(0, math.ceil(math.log10(most)) + 1)
    step = math.ceil(len(decades) / _MOST_TICKS)
    chart = Chart(
        'Detections by score',
        _x('score', 0, 1, [(value / 10, f'{value / 10:g}') for value in range(0, 11, 2)]),
        _y(
            'detections',
            0.5,
            10.0 ** decades[-1],
            [(10.0**k, _short(10**k)) for k in decades[::step]],
            log=True,
        ),
    )
    for i, (count, score, _) in enumerate(_bins(calibration)):
        if count:
            tip = f'{count:,} detections, mean score {score:.3f}'
            chart.bars.append(_bin_bar(chart, i, len(calibration.count), count, tip))
    return chart


def perturbed(row: Row, published: Mapping[str, Any] | None) -> Chart:
    """mAP against the strength of a perturbation, LINK's own (Table 12) as dashed lines.

    Args:
        published: 'deltas', and by kind and figure the mAPs at them.
    """
    ours = dict([item for item in row.figures.items() if item[0] not in _NO_AP][:_MOST_LINES])
    theirs = (published or {}).get(row.kind, {})
    theirs = {name: values for name, values in theirs.items() if name in ours}
    most = max(value for values in (*ours.values(), *theirs.values()) for value in values)
    span = max(row.strengths) or 1
    label = 'copies of a box' if row.kind == 'copies' else 'strength δ'
    chart = Chart(
        row.title,
        _x(label, 0, span, [(strength, f'{strength:g}') for strength in row.strengths]),
        _y('mAP (%)', 0, *_ticks_to(most)),
    )
    for place, (name, values) in enumerate(ours.items(), 1):
        series = _SERIES.get(name, place)
        chart.legend.append((series, figure_label(name)))
        chart.lines.append((_points(chart, zip(row.strengths, values)), series))
        for strength, value in zip(row.strengths, values):
            tip = f'{figure_label(name)} at {strength:g}: {value:.2f}'
            chart.dots.append((chart.x.at(strength), chart.y.at(value), 3.5, series, tip))
        if name in theirs:
            known = [p for p in zip(published['deltas'], theirs[name]) if p[0] <= span]
            chart.lines.append((_points(chart, known), f'{series} published'))
    if theirs:
        chart.legend.append(('published', 'LINK, with a detector and pixels (Table 12)'))
    return chart


def _x(label: str, low: float, high: float, ticks: Sequence, log: bool = False) -> Axis:
    return Axis(label, low, high, ticks, LEFT, WIDTH - RIGHT, log)


def _y(label: str, low: float, high: float, ticks: Sequence, log: bool = False) -> Axis:
    return Axis(label, low, high, ticks, HEIGHT - BOTTOM, TOP, log)


def _ticks_to(most: float) -> tuple[float, list[tuple[float, str]]]:
    """The end of an axis from 0 that holds `most`, and its ticks."""
    step = next(s for s in (1, 2, 5, 10, 20, 50) if most <= s * _MOST_TICKS or s == 50)
    count = max(1, math.ceil(most / step))
    return count * step, [(step * k, f'{step * k}') for k in range(count + 1)]


def _points(chart: Chart, values: Sequence[tuple[float, float]]) -> str:
    return ' '.join(f'{chart.x.at(x)},{chart.y.at(y)}' for x, y in values)


def _mean_line(chart: Chart, counts: np.ndarray, ap: np.ndarray) -> str:
    """Mean AP of the classes with 1, 2 to 3, 4 to 7 ... pairs, each at the middle."""
    bucket = np.floor(np.log2(np.maximum(counts, 0.5)))
    values = [
        (np.exp2(b + 0.5) if b >= 0 else 0.5, ap[bucket == b].mean()) for b in np.unique(bucket)
    ]
    return _points(chart, [(min(x, chart.x.high), y) for x, y in values])


def _bins(calibration: Calibration) -> zip:
    return zip(calibration.count.tolist(), calibration.score, calibration.right)


def _bin_bar(chart: Chart, i: int, bins: int, value: float, tip: str) -> tuple:
    """The bar of bin `i` of scores."""
    x, end, y = chart.x.at(i / bins), chart.x.at((i + 1) / bins), chart.y.at(value)
    width, height = end - x - 2 * _GAP, chart.y.start - y
    return round(x + _GAP, 1), y, round(width, 1), round(height, 1), 1, tip


def _short(count: int) -> str:
    """'10k' for 10000."""
    for size, letter in ((10**9, 'G'), (10**6, 'M'), (10**3, 'k')):
        if count >= size:
            return f'{count // size}{letter}'
    return f'{count}'
