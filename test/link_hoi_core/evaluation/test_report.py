"""Figures as a table and as JSON, for any benchmark."""

from __future__ import annotations

import json

import numpy as np

from link_hoi_core.evaluation.matching import RankedDetections
from link_hoi_core.evaluation.outcome import Outcome
from link_hoi_core.evaluation.report import outcome_json, outcome_table

NOTHING = RankedDetections(*(np.zeros(0, int) for _ in range(5)), np.zeros(2, int))
FIGURES = {'full': 46.937, 'rare': 32.47, 'non_rare': 51.26, 'unseen': 3.0}
F1 = {'mf1': 0.4121, 'mprec': 0.36991, 'mrec': 0.56404, 'f1_threshold': 0.32}


def outcome(figures: dict[str, float], beside: dict | None = None) -> Outcome:
    ap = np.array([12.5, np.nan])
    return Outcome(figures, ('ride bicycle', 'hold cup'), ap, {}, NOTHING, beside or {})


def test_table_has_three_figures_a_line_with_their_units() -> None:
    lines = outcome_table(outcome(FIGURES | F1)).splitlines()
    assert lines[0].split() == 'mAP (%) Full 46.94 Rare 32.47 Non-rare 51.26'.split()
    assert lines[1].split() == ['Unseen', '3.00']
    assert lines[2].split() == 'F1 mF1 0.4121 mPrec 0.3699 mRec 0.5640'.split()
    assert lines[3].strip() == 'of detections scored above 0.32'
    starts = [line.index(word) for line, word in zip(lines, ('Full', 'Unseen', 'mF1', 'of'))]
    assert len(set(starts)) == 1


def test_table_without_f1() -> None:
    table = outcome_table(outcome({'map': 81.0}))
    assert table.split() == 'mAP (%) 11-point mAP 81.00'.split()


def test_json_holds_facts_figures_and_classes_and_no_nan() -> None:
    beside = {'ap_role_s2': {'ride bicycle': 50.0, 'hold cup': float('nan')}}
    found = outcome_json(outcome(FIGURES | F1, beside), {'benchmark': 'hico-det', 'images': 3})
    assert json.loads(json.dumps(found, allow_nan=False)) == {
        'benchmark': 'hico-det',
        'images': 3,
        **FIGURES,
        **F1,
        'per_class_ap': {'ride bicycle': 12.5, 'hold cup': None},
        'per_class_ap_role_s2': {'ride bicycle': 50.0, 'hold cup': None},
    }
