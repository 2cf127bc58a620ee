"""Which published rows stand beside a run, and what is said where they cannot be compared."""

from __future__ import annotations

import numpy as np
import pytest

from link_hoi_core.evaluation.matching import RankedDetections
from link_hoi_core.evaluation.outcome import Outcome
from link_hoi_core.evaluation.page.published import (
    PublishedTable,
    published_robustness,
    published_tables,
)

FIGURES = {
    name: 1.0
    for name in (
        *('full', 'rare', 'non_rare', 'novel', 'unseen', 'seen', 'hm'),
        *('mf1', 'mprec', 'mrec', 'f1_threshold', 'ap_role_s1', 'ap_role_s2'),
    )
}


def tables(**facts: object) -> list[PublishedTable]:
    nothing = RankedDetections(*(np.zeros(0, int) for _ in range(5)), np.zeros(0, int))
    outcome = Outcome(FIGURES, (), np.zeros(0), {}, nothing)
    return published_tables(outcome, {'benchmark': 'hico-det', 'protocol': 'default'} | facts)


def row(table: PublishedTable, method: str) -> list[float | None]:
    """The last row of that name."""
    return next(values for name, *values in table.rows[::-1] if name == method)


@pytest.mark.parametrize(
    ('facts', 'source', 'method', 'values'),
    [
        ({}, 'Table 4', 'LINK, R50 / CLIP-L', [42.92, 45.03, 42.20]),
        ({'protocol': 'known-object'}, 'Table 4', 'LINK, R50 / CLIP-L', [45.79, 47.00, 45.67]),
        ({'setting': 'RF-UC'}, 'Table 1', 'LINK †', [39.40, 38.51, 40.33, 39.97]),
        ({'setting': 'UV'}, 'Table 2', 'LINK', [29.29, 27.01, 32.00, 31.30]),
        ({'benchmark': 'v-coco'}, 'Table 4', 'LINK, Swin-L / CLIP-L', [69.2]),
        ({'benchmark': 'swig-hoi'}, 'Table 5', 'LINK', [17.97, 24.37, 17.88, 12.15]),
        ({'benchmark': 'v-coco', 'classes_of': 'hico-det'}, 'Table 10', 'LINK', [52.8]),
        ({'classes_of': 'swig-hoi'}, 'Table 10', 'LINK', [26.64, 30.95]),
        ({'boxes': 'yolo.json'}, 'Table 8', 'LINK, YOLOv11-X', [30.62, 28.46, 31.13]),
        ({'boxes': 'yolo.json'}, 'Table 11', 'LINK, YOLO-world-x', [33.73, 37.30, 32.66]),
    ],
)
def test_rows_of_a_setting(facts: dict, source: str, method: str, values: list) -> None:
    found = {table.source: table for table in tables(**facts)}
    assert row(found[source], method) == values
    assert found[source].ours == [1.0] * len(values)


def test_mf1_is_shown_with_the_boxes_of_the_run() -> None:
    def mf1(boxes: str) -> PublishedTable:
        return next(table for table in tables(boxes=boxes) if table.source == 'Table 9')

    assert row(mf1('ground-truth'), 'LINK (0.52B)') == [0.5009, 0.4667, 0.6443]
    assert row(mf1('yolo.json'), 'LINK (0.52B)') == [0.3671, 0.3351, 0.4982]


def test_what_cannot_be_compared_says_so() -> None:
    mf1, fully = tables(boxes='ground-truth')
    assert (mf1.source, mf1.caveats) == ('Table 9', [])
    assert fully.source == 'Table 4'
    assert 'not to be compared' in fully.caveats[0]
    assert any('sees boxes only' in caveat for caveat in tables(pixels=False)[0].caveats)
    assert all(table.caveats == [] for table in tables(boxes='yolo.json', pixels=True))
    (converted,) = tables(benchmark='v-coco', labels='converted', boxes='yolo.json')
    assert 'Converted labels' in converted.caveats[0]


def test_a_run_with_perturbed_boxes_is_told_from_the_published_ones() -> None:
    nothing = {'shift': 0.0, 'scale': 0.0, 'copies': 0, 'report': 'original'}
    (plain,) = tables(setting='RF-UC', boxes='yolo.json', perturbation=nothing)
    assert plain.caveats == []
    perturbed = nothing | {'shift': 0.5, 'copies': 2}
    (table,) = tables(setting='RF-UC', boxes='yolo.json', perturbation=perturbed)
    assert 'without a perturbation (shift 0.5, copies 2)' in table.caveats[0]


def test_predictions_of_unknown_boxes_stand_beside_those_of_either() -> None:
    assert {t.boxes for t in tables() if t.source == 'Table 9'} == {'ground-truth', 'detector'}


def test_another_training_set_without_published_rows_has_none() -> None:
    assert tables(classes_of='v-coco') == []


def test_every_row_has_a_figure_for_each_column() -> None:
    for facts in ({}, {'boxes': 'ground-truth'}, {'boxes': 'yolo.json'}, {'setting': 'UO'}):
        for table in tables(**facts):
            assert {len(values) for values in table.rows} == {1 + len(table.columns)}
    known = published_robustness()
    for kind in ('shift', 'scale'):
        assert {len(values) for values in known[kind].values()} == {len(known['deltas'])}
