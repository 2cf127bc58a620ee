"""The report page: one HTML file that shows what an evaluation found, and where it went wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from link_hoi_core.data.annotated_image import AnnotatedImage
from link_hoi_core.data.annotations import GROUND_TRUTH
from link_hoi_core.data.image_folder import ImageFolder
from link_hoi_core.data.json_files import write_whole
from link_hoi_core.evaluation.outcome import Benchmark, Outcome
from link_hoi_core.evaluation.page import charts, provenance
from link_hoi_core.evaluation.page.calibration import calibrate
from link_hoi_core.evaluation.page.cards import (
    FALSE_POSITIVES,
    Gallery,
    make_gallery,
    misses_above,
)
from link_hoi_core.evaluation.page.classes import class_rows, curves, other_rules, partitions
from link_hoi_core.evaluation.page.false_positives import false_positives
from link_hoi_core.evaluation.page.misses import misses
from link_hoi_core.evaluation.page.published import (
    perturbed_by,
    published_robustness,
    published_tables,
)
from link_hoi_core.evaluation.pairs import ScoredPairs
from link_hoi_core.evaluation.report import F1_FIGURES, THRESHOLD, figure_label
from link_hoi_core.optional import require

if TYPE_CHECKING:
    from link_hoi_core.evaluation.robustness import Row

TITLES = {'hico-det': 'HICO-DET', 'v-coco': 'V-COCO', 'swig-hoi': 'SWiG-HOI'}
DEFAULT_THRESHOLD = 0.5  # of misses, where the benchmark has none of its own
_LISTED = 20  # values of one fact that are shown


def write_report(
    folder: Path,
    outcome: Outcome,
    facts: Mapping[str, Any],
    images: Sequence[AnnotatedImage],
    predictions: ScoredPairs,
    benchmark: Benchmark,
    *,
    pictures: ImageFolder | None = None,
    train_counts: np.ndarray | None = None,
    robustness: Sequence[Row] | None = None,
    remarks: Sequence[str] = (),
) -> Path:
    """Write `index.html` into `folder`, which is made where it is not there; the file's path.

    The page holds everything that it shows: it works from disk and asks the network for nothing.

    Args:
        outcome: `outcome.ranked.row` counts in `predictions`.
        facts: what was evaluated and how, as in the JSON of the figures; all that is not None is
            shown. Which published rows stand beside depends on 'benchmark', 'protocol', 'boxes'
            ('ground-truth', a file of recorded ones, or None for a file of predictions),
            'setting' ('RF-UC' ... or None), 'classes_of' (the benchmark whose classes the model
            was trained on, where it is another one) and 'pixels' (whether the model sees any).
            'command' stands at the end.
        images: those that `predictions.image` counts in.
        pictures: the images, as far as they are at hand; the worst mistakes are shown on them.
        train_counts: (C,) annotated pairs of each class in the training annotations.
        robustness: rows of the robustness protocol.
        remarks: sentences on what was found wrong or left out in the input.

    Raises:
        ImportError: jinja2 is missing, or Pillow for pictures.
        OSError: the page cannot be written.
    """
    jinja2 = require('jinja2', "pip install 'jinja2>=3'", 'the report page')
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(_resource('template.html.j2'))
    page = template.render(
        title=TITLES.get(benchmark.name, benchmark.name),
        facts=_shown(facts),
        remarks=list(remarks),
        style=_resource('style.css'),
        script=_resource('page.js'),
        summary=_summary(outcome, facts, images),
        command=facts.get('command'),
        versions=provenance.versions(),
        date=provenance.now(),
        **_figures(outcome, facts, train_counts),
        **_charts(outcome, train_counts),
        robustness=_robustness(robustness or [], benchmark),
        galleries=_galleries(outcome, predictions, benchmark, pictures),
    )
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / 'index.html'
    write_whole(path, page.encode())
    return path


def _figures(
    outcome: Outcome, facts: Mapping[str, Any], train_counts: np.ndarray | None
) -> dict[str, Any]:
    """The tables of the page, and the curves of the chosen class."""
    return {
        'figures': [
            (figure_label(name), f'{value:.4f}' if name in F1_FIGURES else f'{value:.2f}')
            for name, value in outcome.figures.items()
            if name != THRESHOLD
        ],
        'has_f1': THRESHOLD in outcome.figures,
        'threshold': _threshold(outcome),
        'published': published_tables(outcome, facts),
        'fractions': F1_FIGURES,
        'classes': class_rows(outcome, train_counts),
        'has_train_counts': train_counts is not None,
        'headline': 'AP' if not outcome.beside else figure_label(next(iter(outcome.figures))),
        'other_rules': [figure_label(name) for name in other_rules(outcome)],
        'groups': [figure_label(name) for part in partitions(outcome) for name in part],
        'curve_data': {'curves': curves(outcome), 'threshold': _threshold(outcome)},
    }


def _charts(outcome: Outcome, train_counts: np.ndarray | None) -> dict[str, Any]:
    divisions = partitions(outcome) or [{'all': np.ones(len(outcome.class_names), bool)}]
    calibration = calibrate(outcome.ranked)
    distributions = [charts.histogram(outcome.per_class_ap, groups) for groups in divisions]
    if train_counts is not None:
        distributions.append(charts.frequency(outcome, train_counts, divisions[-1]))
    return {
        'width': charts.WIDTH,
        'height': charts.HEIGHT,
        'curve_chart': charts.precision_recall_axes(),
        'distributions': distributions,
        'calibration': calibration,
        'reliability': [charts.reliability(calibration), charts.score_counts(calibration)],
    }


def _robustness(rows: Sequence[Row], benchmark: Benchmark) -> list[tuple[Row, charts.Chart]]:
    published = published_robustness() if benchmark.name == 'hico-det' else None
    return [(row, charts.perturbed(row, published)) for row in rows]


def _galleries(
    outcome: Outcome, predictions: ScoredPairs, benchmark: Benchmark, pictures: ImageFolder | None
) -> list[Gallery]:
    threshold = _threshold(outcome)
    wrong = false_positives(outcome.ranked, predictions, benchmark)
    missed = misses(outcome, predictions, benchmark, threshold)
    return [
        make_gallery(FALSE_POSITIVES, wrong, outcome, benchmark, pictures),
        make_gallery(misses_above(threshold), missed, outcome, benchmark, pictures),
    ]


def _threshold(outcome: Outcome) -> float:
    return outcome.figures.get(THRESHOLD, DEFAULT_THRESHOLD)


def _summary(outcome: Outcome, facts: Mapping[str, Any], images: Sequence[AnnotatedImage]) -> str:
    """One sentence on what was held against what."""
    if facts.get('model') is None:
        what = ', '.join(facts.get('predictions') or []) or 'Predictions'
    else:
        boxes = 'annotated boxes' if facts.get('boxes') == GROUND_TRUTH else facts.get('boxes')
        what = f'Model “{facts["model"]}” on {boxes}'
    ranked = outcome.ranked
    return (
        f'{what}: {len(ranked.hoi):,} detections against {ranked.num_annotated.sum():,} '
        f'annotated interactions of {len(images):,} images.'
    )


def _shown(facts: Mapping[str, Any]) -> dict[str, str]:
    """Facts as words, without those that are None, and the command, which has its own place."""

    def words(value: Any) -> str:
        if isinstance(value, bool):
            return 'yes' if value else 'no'
        if not isinstance(value, (list, tuple)):
            return str(value)
        more = f' and {len(value) - _LISTED:,} more' if len(value) > _LISTED else ''
        return (', '.join(map(str, value[:_LISTED])) or 'none') + more

    known = {**facts, 'command': None, 'perturbation': perturbed_by(facts) or None}
    return {
        name.replace('_', ' '): words(value) for name, value in known.items() if value is not None
    }


def _resource(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding='utf-8')
