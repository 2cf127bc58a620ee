"""The published figures that stand beside ours, and whether the two may be compared."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from link_hoi_core.data.annotations import GROUND_TRUTH
from link_hoi_core.evaluation.outcome import Outcome
from link_hoi_core.evaluation.report import figure_label

_BOXES = {'detector': "a detector's boxes", GROUND_TRUTH: 'annotated boxes'}
_SETTINGS = {
    'default': 'Fully supervised',
    'known-object': 'Fully supervised, known object',
    'mF1': 'mF1, beside language models',
    'detectors': 'Other detectors',
    **{name: f'Zero-shot, {name}' for name in ('RF-UC', 'NF-UC', 'UO', 'UV')},
}
# A model with the classes of one benchmark on another: the settings of LINK's Table 10.
_CROSS_DOMAIN = {
    ('swig-hoi', 'hico-det'): 'SWiG-HOI → HICO-DET',
    ('swig-hoi', 'v-coco'): 'SWiG-HOI → V-COCO',
    ('hico-det', 'v-coco'): 'HICO-DET → V-COCO',
}


@dataclass(frozen=True)
class PublishedTable:
    """One setting of a published table, with this run's figures of the same names.

    Attributes:
        source: 'Table 4'.
        boxes: 'detector' or 'ground-truth': what the published models were given.
        columns: figures' names as of `Outcome.figures`.
        rows: a method and its figures, None where there is none.
        ours: this run's figures.
        caveats: why the rows are not to be compared with this run; empty where they may be.
    """

    source: str
    setting: str
    boxes: str
    columns: tuple[str, ...]
    rows: list[list[Any]]
    ours: list[float | None]
    caveats: list[str]

    @property
    def setting_in_words(self) -> str:
        """The setting as a headline."""
        return _SETTINGS.get(self.setting, self.setting)

    @property
    def boxes_in_words(self) -> str:
        """Of the published rows."""
        return _BOXES[self.boxes]

    @property
    def labels(self) -> list[str]:
        """The columns' names for people."""
        return [figure_label(name) for name in self.columns]


def published_tables(outcome: Outcome, facts: Mapping[str, Any]) -> list[PublishedTable]:
    """The tables that have to do with a run; for the keys of `facts` see `write_report`."""
    wanted = _settings(facts)
    tables = []
    for table in _content()['tables']:
        if table['benchmark'] != facts.get('benchmark') or table['setting'] not in wanted:
            continue
        columns = tuple(table['columns'])
        ours = [outcome.figures.get(name) for name in columns]
        if any(value is not None for value in ours):
            where = table['table'], table['setting'], table['boxes']
            tables.append(
                PublishedTable(*where, columns, table['rows'], ours, _caveats(table, facts))
            )
    return _comparable_first(tables, facts.get('boxes'))


def perturbed_by(facts: Mapping[str, Any]) -> str:
    """How the boxes of a run are perturbed, 'shift 0.5, copies 2'; '' where they are not."""
    strengths = facts.get('perturbation') or {}
    return ', '.join(
        f'{kind} {strengths[kind]:g}'
        for kind in ('shift', 'scale', 'copies')
        if strengths.get(kind)
    )


def published_robustness() -> dict[str, Any]:
    """LINK's Table 12: 'deltas', and by kind and figure the mAPs at them."""
    return _content()['robustness']


def _settings(facts: Mapping[str, Any]) -> set[str]:
    """The settings of the published tables that are those of a run."""
    classes_of = facts.get('classes_of') or facts.get('benchmark')
    if classes_of != facts.get('benchmark'):
        return {_CROSS_DOMAIN.get((classes_of, facts.get('benchmark')), '')}
    if facts.get('setting'):
        return {facts['setting']}
    protocol = facts.get('protocol') or 'default'
    if protocol == 'default' and facts.get('boxes') not in (None, GROUND_TRUTH):
        return {'default', 'mF1', 'detectors'}
    return {protocol, 'mF1'} if protocol == 'default' else {protocol}


def _comparable_first(tables: list[PublishedTable], boxes: str | None) -> list[PublishedTable]:
    """Without those of other boxes than the run's where their setting has one of the same."""

    def of_the_run(table: PublishedTable) -> bool:
        return boxes is not None and (boxes == GROUND_TRUTH) == (table.boxes == GROUND_TRUTH)

    settled = {(table.source, table.setting) for table in tables if of_the_run(table)}
    kept = [t for t in tables if of_the_run(t) or (t.source, t.setting) not in settled]
    return sorted(kept, key=lambda table: len(table.caveats))


def _caveats(table: Mapping[str, Any], facts: Mapping[str, Any]) -> list[str]:
    caveats = []
    ours = facts.get('boxes')
    if ours is None:
        caveats.append('Predictions do not say whose boxes they are: compare like with like.')
    elif (ours == GROUND_TRUTH) != (table['boxes'] == GROUND_TRUTH):
        this = _BOXES.get(ours, "a detector's boxes")
        caveats.append(
            f'The published rows are with {_BOXES[table["boxes"]]}, this run is with {this}: '
            'not to be compared.'
        )
    if perturbation := perturbed_by(facts):
        caveats.append(f'The published rows are without a perturbation ({perturbation}).')
    if facts.get('labels') == 'converted':
        caveats.append('Converted labels give another figure than the official ones.')
    if facts.get('pixels') is False:
        caveats.append("The published models look at the pictures, this run's sees boxes only.")
    return caveats


@cache
def _content() -> dict[str, Any]:
    text = resources.files(__package__).joinpath('published.json').read_text(encoding='utf-8')
    return json.loads(text)
