"""How a benchmark's figures fall as boxes get worse: the rows of LINK's Table 12."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

from link_hoi_core.evaluation.outcome import Outcome
from link_hoi_core.evaluation.perturbation import Perturbation
from link_hoi_core.evaluation.report import F1_FIGURES, THRESHOLD, figure_label

DELTAS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
COPIES = (0, 1, 4)
_TITLES = {'shift': 'Box-shift', 'scale': 'Box-scale', 'copies': 'Redundant boxes'}


@dataclass(frozen=True)
class Row:
    """The figures under one kind of perturbation.

    Attributes:
        kind: 'shift', 'scale' or 'copies'.
        report: the boxes that interactions were reported with, 'original' or 'perturbed'.
        strengths: K values of the perturbation, from weak to strong.
        figures: by name, of each strength (K,).
    """

    kind: str
    report: str
    strengths: tuple[float, ...]
    figures: Mapping[str, tuple[float, ...]]

    @property
    def title(self) -> str:
        """As the paper calls it, 'Box-shift'."""
        return _TITLES[self.kind]


def robustness(
    predict: Callable[[Perturbation], Outcome],
    deltas: Sequence[float] = DELTAS,
    report: str = 'original',
) -> list[Row]:
    """Box-shift and box-scale (LINK A.12, Table 12).

    Args:
        predict: evaluates a model on boxes that are perturbed so (`perturbation.perturb_all`); what
            is the same in both rows is asked for once.
        deltas: from weak to strong, at least one.
        report: as of `Perturbation`.
    """
    figures = cache(lambda perturbation: predict(perturbation).figures)
    return [_row(figures, kind, deltas, report) for kind in ('shift', 'scale')]


def redundancy(predict: Callable[[Perturbation], Outcome], copies: Sequence[int] = COPIES) -> Row:
    """Redundant boxes, which NMS is to drop (LINK A.12, Figure 12).

    Args:
        predict: evaluates a predictor that selects its detections (`select=True`) on such boxes.
        copies: redundant boxes beside each box, at least one number.
    """
    return _row(lambda perturbation: predict(perturbation).figures, 'copies', copies, 'perturbed')


def robustness_table(rows: Sequence[Row]) -> str:
    """Mean APs in percent, a line each, a column for each strength."""
    lines = []
    for row in rows:
        title = row.title if row.kind == 'copies' else f'{row.title}, {row.report} boxes reported'
        lines.append(f'{title:38}' + ''.join(f'{value:8g}' for value in row.strengths))
        lines += [
            f'  {figure_label(name):36}' + ''.join(f'{value:8.2f}' for value in values)
            for name, values in row.figures.items()
            if name not in (*F1_FIGURES, THRESHOLD)
        ]
    return '\n'.join(lines)


def robustness_json(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """For each row `kind`, `report`, `strengths`, and `figures` of each strength by name."""
    return [asdict(row) for row in rows]


def _row(
    figures: Callable[[Perturbation], Mapping[str, float]],
    kind: str,
    strengths: Sequence[float],
    report: str,
) -> Row:
    found = [figures(Perturbation(**{kind: value}, report=report)) for value in strengths]
    by_name = {name: tuple(each[name] for each in found) for name in found[0]}
    return Row(kind, report, tuple(strengths), by_name)
