"""The rows of Table 12: each strength evaluated once, in order, and printed by name."""

from __future__ import annotations

import json

import numpy as np

from link_hoi_core.evaluation.matching import match
from link_hoi_core.evaluation.outcome import Outcome
from link_hoi_core.evaluation.pairs import ScoredPairs, annotated_pairs
from link_hoi_core.evaluation.perturbation import Perturbation
from link_hoi_core.evaluation.robustness import (
    redundancy,
    robustness,
    robustness_json,
    robustness_table,
)


class Evaluation:
    """Falls by ten points from no to full shift, by five from no to full scale."""

    def __init__(self) -> None:
        self.asked: list[Perturbation] = []

    def __call__(self, perturbation: Perturbation) -> Outcome:
        self.asked.append(perturbation)
        full = 50 - 10 * perturbation.shift - 5 * perturbation.scale - perturbation.copies
        figures = {'full': full, 'non_rare': full + 1, 'mf1': full / 100, 'f1_threshold': 0.5}
        none = match(ScoredPairs.concatenate(()), annotated_pairs([]), 1)
        return Outcome(figures, ('ride bicycle',), np.zeros(1), {}, none)


def test_shift_and_scale_have_their_own_rows() -> None:
    shift, scale = robustness(Evaluation(), (0.0, 0.5, 1.0), 'perturbed')
    assert (shift.kind, scale.kind) == ('shift', 'scale')
    assert shift.strengths == scale.strengths == (0.0, 0.5, 1.0)
    assert shift.report == scale.report == 'perturbed'
    assert shift.figures['full'] == (50, 45, 40)
    assert scale.figures['full'] == (50, 47.5, 45)
    assert shift.figures['mf1'] == (0.5, 0.45, 0.4)


def test_boxes_as_they_are_are_evaluated_once() -> None:
    evaluation = Evaluation()
    robustness(evaluation)
    assert len(evaluation.asked) == 11  # six strengths twice, of which the first is shared
    assert evaluation.asked.count(Perturbation()) == 1
    assert {asked.report for asked in evaluation.asked} == {'original'}


def test_redundant_boxes_are_reported_where_they_are() -> None:
    evaluation = Evaluation()
    row = redundancy(evaluation, (0, 3))
    assert row.figures['full'] == (50, 47)
    assert evaluation.asked[-1] == Perturbation(copies=3, report='perturbed')


def test_the_table_has_a_column_for_each_strength() -> None:
    rows = [*robustness(Evaluation(), (0.0, 1.0)), redundancy(Evaluation(), (0, 1))]
    lines = [line.split() for line in robustness_table(rows).splitlines()]
    assert lines[0] == ['Box-shift,', 'original', 'boxes', 'reported', '0', '1']
    assert lines[1] == ['Full', '50.00', '40.00']
    assert lines[2] == ['Non-rare', '51.00', '41.00']
    assert lines[4] == ['Full', '50.00', '45.00']
    assert lines[6:8] == [['Redundant', 'boxes', '0', '1'], ['Full', '50.00', '49.00']]


def test_json_is_what_the_rows_hold() -> None:
    rows = robustness(Evaluation(), (0.0, 1.0))
    content = json.loads(json.dumps(robustness_json(rows)))
    assert content[0] == {
        'kind': 'shift',
        'report': 'original',
        'strengths': [0.0, 1.0],
        'figures': {name: list(values) for name, values in rows[0].figures.items()},
    }
