"""Figures for people (a small table) and for programs (a JSON object)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from link_hoi_core.evaluation.outcome import Outcome

F1_FIGURES = ('mf1', 'mprec', 'mrec')  # fractions; all others but the threshold are percent
THRESHOLD = 'f1_threshold'
LABELS = {
    'full': 'Full',
    'rare': 'Rare',
    'non_rare': 'Non-rare',
    'novel': 'Novel',
    'unseen': 'Unseen',
    'seen': 'Seen',
    'hm': 'HM',
    'ap_role_s1': 'AP role S1',
    'ap_role_s2': 'AP role S2',
    'ap_role_s1_25': 'AP role S1, 25 roles',
    'ap_role_s2_25': 'AP role S2, 25 roles',
    'ap_agent': 'AP agent',
    'map': '11-point mAP',
    'mf1': 'mF1',
    'mprec': 'mPrec',
    'mrec': 'mRec',
    THRESHOLD: 'F1 threshold',
}
_IN_A_LINE = 3


def figure_label(name: str) -> str:
    """What a figure is called in tables: 'Non-rare' for 'non_rare'."""
    return LABELS.get(name, name.replace('_', ' '))


def outcome_table(outcome: Outcome) -> str:
    """All figures, three in a line; AP in percent, F1 figures as fractions."""
    figures = outcome.figures
    aps = [name for name in figures if name not in (*F1_FIGURES, THRESHOLD)]
    lines = _lines('mAP (%)', [f'{figure_label(name)} {figures[name]:6.2f}' for name in aps])
    if THRESHOLD in figures:
        lines += _lines('F1', [f'{figure_label(name)} {figures[name]:6.4f}' for name in F1_FIGURES])
        lines += _lines('', [f'of detections scored above {figures[THRESHOLD]:g}'])
    return '\n'.join(lines)


def outcome_rows(outcomes: Mapping[str, Outcome]) -> str:
    """The figures of several evaluations of one benchmark, a row each, by their names."""
    figures = next(iter(outcomes.values())).figures
    names = [name for name in figures if name != THRESHOLD]
    rows = [['', *map(figure_label, names)]]
    for title, outcome in outcomes.items():
        digits = (4 if name in F1_FIGURES else 2 for name in names)
        rows.append(
            [title, *(f'{outcome.figures[name]:.{most}f}' for name, most in zip(names, digits))]
        )
    widths = [max(map(len, column)) for column in zip(*rows)]
    return '\n'.join(
        first.ljust(widths[0]) + ''.join(f'  {cell:>{w}}' for cell, w in zip(rest, widths[1:]))
        for first, *rest in rows
    )


def outcome_json(outcome: Outcome, facts: Mapping[str, Any]) -> dict[str, Any]:
    """What was evaluated, its figures, and the AP of each class by its name (None: left out).

    APs by other rules than the headline's stand beside it, as 'per_class_ap_role_s2'.
    """
    headline = dict(zip(outcome.class_names, outcome.per_class_ap.tolist()))
    per_class = {'per_class_ap': headline}
    per_class |= {f'per_class_{name}': values for name, values in outcome.beside.items()}
    return {**facts, **outcome.figures} | {
        name: {label: None if math.isnan(ap) else ap for label, ap in values.items()}
        for name, values in per_class.items()
    }


def _lines(title: str, cells: list[str]) -> list[str]:
    width = max(map(len, cells))
    rows = [cells[i : i + _IN_A_LINE] for i in range(0, len(cells), _IN_A_LINE)]
    joined = ['   '.join(cell.ljust(width) for cell in row).rstrip() for row in rows]
    return [f'{title if i == 0 else "":10} {row}' for i, row in enumerate(joined)]
