"""The classes of a benchmark one by one: their figures, groups and precision-recall curves."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from link_hoi_core.evaluation.outcome import Outcome
from link_hoi_core.evaluation.report import figure_label

MOST_POINTS = 40_000  # of all curves together, so that the page stays small
FEWEST, MOST = 12, 60  # points of one curve
# Groups that share the classes out among them, in the order of their colours.
_PARTITIONS = (('non_rare', 'rare', 'novel'), ('seen', 'unseen'))


@dataclass(frozen=True)
class ClassRow:
    """A row of the table of classes: APs in percent, numbers of pairs and detections.

    `beside` are APs by other rules, in the order of `other_rules`; None for a class that one leaves
    out.
    """

    index: int
    name: str
    groups: str
    ap: float
    beside: tuple[float | None, ...]
    annotated: int
    detected: int
    right: int
    trained: int | None


def class_rows(outcome: Outcome, train_counts: np.ndarray | None) -> list[ClassRow]:
    """All classes but those that the benchmark leaves out, in its order."""
    ranked = outcome.ranked
    count = len(outcome.class_names)
    detected = np.bincount(ranked.hoi, minlength=count)
    right = np.bincount(ranked.hoi[ranked.correct], minlength=count)
    parts = [group for partition in partitions(outcome) for group in partition.items()]
    return [
        ClassRow(
            index,
            name,
            ', '.join(figure_label(group) for group, members in parts if members[index]),
            float(outcome.per_class_ap[index]),
            tuple(_or_none(outcome.beside[rule][name]) for rule in other_rules(outcome)),
            int(ranked.num_annotated[index]),
            int(detected[index]),
            int(right[index]),
            None if train_counts is None else int(train_counts[index]),
        )
        for index, name in enumerate(outcome.class_names)
        if not math.isnan(outcome.per_class_ap[index])
    ]


def other_rules(outcome: Outcome) -> list[str]:
    """The figures in `Outcome.beside` that have an AP of the same classes."""
    classes = set(outcome.class_names)
    return [name for name, ap in outcome.beside.items() if classes <= ap.keys()]


def partitions(outcome: Outcome) -> list[dict[str, np.ndarray]]:
    """The groups that divide the classes, e.g. [{'non_rare': (C,) bool, 'rare': (C,) bool}]."""
    found = [
        {name: outcome.groups[name] for name in names if name in outcome.groups}
        for names in _PARTITIONS
    ]
    return [groups for groups in found if groups]


def curves(outcome: Outcome) -> dict[int, list[list[float]]]:
    """Precision-recall curves of the classes that have any right detection, thinned.

    Returns:
        by class, points in the order of the ranks: recall, precision, the best precision from
        there on (what AP averages), in per mille, and the score.
    """
    with_right = np.unique(outcome.ranked.hoi[outcome.ranked.correct])
    most = int(np.clip(MOST_POINTS // max(len(with_right), 1), FEWEST, MOST))
    return {label: _curve(*columns, most) for label, *columns in _ranked_classes(outcome)}


def _or_none(ap: float) -> float | None:
    return None if math.isnan(ap) else ap


def _ranked_classes(outcome: Outcome) -> Iterator[tuple[int, np.ndarray, np.ndarray, int]]:
    """Label, correctness and scores by falling score, and annotated pairs of each such class."""
    ranked = outcome.ranked
    bounds = np.searchsorted(ranked.hoi, np.arange(len(outcome.class_names) + 1))
    for label, (start, end) in enumerate(zip(bounds, bounds[1:])):
        if ranked.correct[start:end].any() and ranked.num_annotated[label]:
            part = slice(start, end)
            yield label, ranked.correct[part], ranked.score[part], int(ranked.num_annotated[label])


def _curve(correct: np.ndarray, score: np.ndarray, annotated: int, most: int) -> list[list[float]]:
    """At most `most` of the ranks at which recall grows, the first and the last among them."""
    ranks = np.flatnonzero(correct)
    precision = np.arange(1, len(ranks) + 1) / (ranks + 1)
    recall = np.arange(1, len(ranks) + 1) / annotated
    best = np.maximum.accumulate(precision[::-1])[::-1]
    kept = np.unique(np.linspace(0, len(ranks) - 1, most).round().astype(np.int64))
    columns = [(1000 * values[kept]).round().astype(int) for values in (recall, precision, best)]
    scores = [float(f'{value:.3g}') for value in score[ranks[kept]]]
    return [*(column.tolist() for column in columns), scores]
