"""What the commands of all benchmarks share: their options, and what is done with the figures."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from link_hoi_core.configuration import load_configuration
from link_hoi_core.data.annotations import DATA_SETS, GROUND_TRUTH, read_annotations
from link_hoi_core.data.image_folder import ImageFolder
from link_hoi_core.data.json_files import check_json, write_json
from link_hoi_core.evaluation.export import write_matlab, write_vsrl
from link_hoi_core.evaluation.outcome import Benchmark, Outcome, evaluate
from link_hoi_core.evaluation.page import write_report
from link_hoi_core.evaluation.pairs import ScoredPairs
from link_hoi_core.evaluation.perturbation import Perturbation
from link_hoi_core.evaluation.prediction_files import write_predictions
from link_hoi_core.evaluation.remarks import Remarks
from link_hoi_core.evaluation.report import (
    outcome_json,
    outcome_rows,
    outcome_table,
)
from link_hoi_core.evaluation.robustness import (
    Row,
    redundancy,
    robustness,
    robustness_json,
    robustness_table,
)
from link_hoi_core.evaluation.sources import (
    EvaluationConfig,
    ModelOnBoxes,
    PredictionFiles,
    open_predictor,
)
from link_hoi_core.optional import require

DEFAULT_F1_THRESHOLD = 0.5


def add_options(parser: argparse.ArgumentParser) -> None:
    """What is evaluated, and where the figures go."""
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        '--model',
        '--checkpoint',
        help='checkpoint folder, hub repository or embedded name; or clip_zero_shot... (README)',
    )
    source.add_argument(
        '--predictions', type=Path, nargs='+', metavar='FILE', help='.json or .json.gz; or shards'
    )
    parser.add_argument(
        '--boxes',
        nargs='+',
        metavar=f'{GROUND_TRUTH}|FILE',
        help='the boxes that the model is given: the annotated ones, or recorded detections '
        '(python -m link_hoi_core.detect); several give a table with a row for each',
    )
    parser.add_argument(
        '--images',
        type=Path,
        nargs='+',
        default=[],
        metavar='DIR',
        help='the pictures: for a model that looks at them, and to show the worst mistakes',
    )
    parser.add_argument(
        '--classes-of',
        choices=DATA_SETS,
        help='whose classes the predictions have, if they are those of another data set',
    )
    parser.add_argument(
        '--strict', action='store_true', help='stop at the first entry that is to be left out'
    )
    parser.add_argument(
        '--f1-threshold',
        type=_threshold,
        metavar='SCORE|best',
        help='mF1 counts what is scored above it; best: the best one for these annotations, which '
        f"should then be training data (default: the checkpoint's, else {DEFAULT_F1_THRESHOLD})",
    )
    parser.add_argument(
        '--robustness',
        action='store_true',
        help='also with shifted, scaled and redundant boxes (A.12)',
    )
    parser.add_argument('--config', type=Path, metavar='FILE', help='how the model is run, as YAML')
    parser.add_argument(
        '--set',
        action='append',
        default=[],
        metavar='KEY=VALUE',
        help='likewise: score_exponent=2.8, select=false, perturbation.shift=0.2 ...',
    )
    parser.add_argument('--backbone-weights', metavar='PATH', help='default: the published ones')
    parser.add_argument('--seed', type=int, default=0, help='of the perturbed boxes (default: 0)')
    parser.add_argument('--device', default='auto', help='auto, cpu, cuda, cuda:1 ...')
    parser.add_argument('--json', type=Path, metavar='FILE', help='write the figures there as well')
    parser.add_argument(
        '--output',
        type=Path,
        metavar='DIR',
        help="write the predictions there, and in the form of the benchmark's own evaluator",
    )
    parser.add_argument('--report', type=Path, metavar='DIR', help='write a page to look at')
    parser.add_argument(
        '--train-annotations', type=Path, metavar='FILE', help='for the page: AP by frequency'
    )


def check_options(options: argparse.Namespace) -> None:
    """What can be known to be wrong before anything is read.

    Raises:
        ValueError, OSError: one sentence.
    """
    check_json(options.json)
    for name in ('output', 'report'):
        folder = getattr(options, name)
        if folder is not None and folder.exists() and not folder.is_dir():
            raise NotADirectoryError(f'--{name} is {folder}, which is no folder')
    if options.model is None:
        for name in ('boxes', 'robustness', 'config', 'set', 'backbone-weights'):
            if getattr(options, name.replace('-', '_')):
                raise ValueError(f'--{name} goes with --model: a prediction file has its own boxes')
    elif not options.boxes:
        raise ValueError(f'--model also needs --boxes {GROUND_TRUTH}, or a file of detections')
    elif options.classes_of is not None:
        raise ValueError('--classes-of goes with --predictions: a model knows its own classes')
    if len(options.boxes or ()) > 1 and (options.output or options.report or options.robustness):
        raise ValueError('--output, --report and --robustness go with one value of --boxes')
    if options.report is not None:
        require('jinja2', 'pip install jinja2', 'the report page')
    elif options.train_annotations is not None:
        raise ValueError('--train-annotations goes with --report')


def run_benchmark(
    options: argparse.Namespace,
    benchmark: Benchmark,
    title: str,
    facts: dict[str, Any],
) -> None:
    """Evaluate what the options name; print the figures, and write what is asked for.

    Args:
        title: of what is printed.
        facts: what stands in the JSON beside what all benchmarks tell.
    """
    remarks = Remarks(options.strict)
    facts = {
        'benchmark': benchmark.name,
        'annotations': options.annotations.name,
        **facts,
        'images': len(benchmark.images),
    }
    pairs = sum(len(image.hoi) for image in benchmark.images)
    train_counts = _train_counts(options, benchmark)
    results = []
    found: list[ScoredPairs] = []
    for source in _sources(options, benchmark, remarks):
        threshold = _threshold_of(options, source)
        parts = source.parts()
        if options.output or options.report:
            parts = _kept(parts, found)
        outcome = evaluate(benchmark, parts, threshold)
        counted = {'detections': len(outcome.ranked.hoi)}
        results.append((facts | source.facts | counted, outcome))
    print(f'{title}\n{len(benchmark.images)} images, {pairs} pairs\n{_table(results)}')

    rows = _robustness(benchmark, source, threshold) if options.robustness else []
    for sentence in remarks.sentences():
        print(f'evaluate: {sentence}', file=sys.stderr)
    content = [outcome_json(outcome, known) for known, outcome in results]
    content = content[0] if len(content) == 1 else {'rows': content}
    if rows:
        content['robustness'] = robustness_json(rows)
    if options.json is not None:
        write_json(options.json, content | {'remarks': remarks.sentences()}, indent=2)
    predictions = ScoredPairs.concatenate(found)
    if options.output is not None:
        _write_predictions(options.output, benchmark, predictions)
    if options.report is not None:
        known, outcome = results[0]
        page = write_report(
            options.report,
            outcome,
            {'command': options.command} | known,
            benchmark.images,
            predictions,
            benchmark,
            pictures=_folder(options),
            train_counts=train_counts,
            robustness=rows,
            remarks=remarks.sentences(),
        )
        print(f'Report: {page}')


def _write_predictions(folder: Path, benchmark: Benchmark, predictions: ScoredPairs) -> None:
    """Ours, and the form of the benchmark's own evaluator, where it is another one."""
    folder.mkdir(parents=True, exist_ok=True)
    images = benchmark.images
    write_predictions(folder / 'predictions.json.gz', benchmark.name, images, predictions)
    if benchmark.name == 'hico-det':
        write_matlab(folder / 'matlab', images, predictions, benchmark.vocabulary)
    elif benchmark.name == 'v-coco':
        write_vsrl(folder / 'vsrl.pkl', images, predictions)


def _sources(
    options: argparse.Namespace, benchmark: Benchmark, remarks: Remarks
) -> Iterator[PredictionFiles | ModelOnBoxes]:
    """What the options name; a model once for the boxes of each detector."""
    if options.model is None:
        yield PredictionFiles(options.predictions, benchmark, options.classes_of, remarks)
        return
    config = load_configuration(EvaluationConfig, options.config, options.set)
    predictor = open_predictor(options.model, options.device, options.backbone_weights, config)
    folder = _folder(options)
    for boxes in options.boxes:
        yield ModelOnBoxes(predictor, boxes, benchmark, config, folder, remarks, options.seed)


def _folder(options: argparse.Namespace) -> ImageFolder | None:
    return ImageFolder(*options.images) if options.images else None


def _threshold(text: str) -> float | str:
    return text if text == 'best' else float(text)


def _threshold_of(
    options: argparse.Namespace, source: PredictionFiles | ModelOnBoxes
) -> float | None:
    """Of mF1; None is the best one."""
    if options.f1_threshold is not None:
        return None if options.f1_threshold == 'best' else options.f1_threshold
    known = source.predictor.config if isinstance(source, ModelOnBoxes) else {}
    return known.get('f1_threshold', DEFAULT_F1_THRESHOLD)


def _kept(parts: Iterator[ScoredPairs], found: list[ScoredPairs]) -> Iterator[ScoredPairs]:
    """The same parts, which are put by."""
    for part in parts:
        found.append(part)
        yield part


def _table(results: list[tuple[dict[str, Any], Outcome]]) -> str:
    """The figures of one evaluation, or a row for the boxes of each."""
    if len(results) == 1:
        known, outcome = results[0]
        return f'{known["detections"]} detections\n{outcome_table(outcome)}'
    return outcome_rows({known['boxes']: outcome for known, outcome in results})


def _robustness(benchmark: Benchmark, source: ModelOnBoxes, threshold: float | None) -> list[Row]:
    """The rows of Table 12, and one of redundant boxes, printed."""

    def outcome(of: ModelOnBoxes, perturbation: Perturbation) -> Outcome:
        return evaluate(benchmark, of.parts(perturbation), threshold)

    rows = robustness(partial(outcome, source), report=source.config.perturbation.report)
    selecting = replace(source, config=replace(source.config, select=True))
    rows.append(redundancy(partial(outcome, selecting)))
    print(robustness_table(rows))
    return rows


def _train_counts(options: argparse.Namespace, benchmark: Benchmark) -> np.ndarray | None:
    """Annotated pairs (C,) of each class in the training annotations, if they are named."""
    if options.train_annotations is None:
        return None
    images = read_annotations(options.train_annotations, benchmark.name, 'train')
    if benchmark.name == 'v-coco':
        classes, of_images = benchmark.vocabulary.verbs, [image.verb for image in images]
    else:
        classes, of_images = benchmark.vocabulary.hois, [image.hoi for image in images]
    return np.bincount(np.concatenate(of_images), minlength=len(classes))
