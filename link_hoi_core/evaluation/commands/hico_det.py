"""Figures on HICO-DET: `python -m link_hoi_core.evaluate hico-det --annotations FILE ...`.

What is evaluated is a checkpoint on the annotated boxes (`--model NAME --boxes ground-truth`) or a
file of predictions (`--predictions FILE`).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from link_hoi_core.data.hico_det import AnnotatedImage, read_hico_det
from link_hoi_core.data.json_files import write_json
from link_hoi_core.evaluation.average_precision import best_f1_threshold
from link_hoi_core.evaluation.boxes import predict_ground_truth_boxes
from link_hoi_core.evaluation.hico_det import CONVENTIONS, hico_det_figures, rank_hico_det
from link_hoi_core.evaluation.image_labels import read_known_objects
from link_hoi_core.evaluation.pairs import ScoredPairs
from link_hoi_core.evaluation.prediction_files import read_predictions
from link_hoi_core.evaluation.remarks import Remarks
from link_hoi_core.evaluation.report import hico_det_json, hico_det_table
from link_hoi_core.predictor import HoiPredictor
from link_hoi_core.vocabulary import load_vocabulary

DEFAULT_F1_THRESHOLD = 0.5
PROTOCOLS = ('default', 'known-object')


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command to those of `evaluate`."""
    hico = commands.add_parser('hico-det', help='mAP and mF1 on HICO-DET', description=__doc__)
    hico.set_defaults(run=run)
    hico.add_argument('--annotations', type=Path, required=True, help='.json or .json.gz')
    source = hico.add_mutually_exclusive_group(required=True)
    source.add_argument(
        '--model', '--checkpoint', help="a checkpoint's folder, or the name of an embedded one"
    )
    source.add_argument('--predictions', type=Path, help='.json or .json.gz')
    hico.add_argument('--boxes', choices=['ground-truth'], help='the boxes that the model is given')
    hico.add_argument('--protocol', choices=PROTOCOLS, default='default')
    hico.add_argument(
        '--image-labels', type=Path, help='known-object: anno.mat (default: beside annotations)'
    )
    hico.add_argument('--convention', choices=CONVENTIONS, default='official')
    hico.add_argument(
        '--f1-threshold',
        type=_threshold,
        metavar='SCORE|best',
        help='mF1 counts what is scored above it; best: the best one for these annotations, which '
        f"should then be training data (default: the checkpoint's, else {DEFAULT_F1_THRESHOLD})",
    )
    hico.add_argument('--device', default='auto', help='auto, cpu, cuda, cuda:1 ...')
    hico.add_argument('--json', type=Path, metavar='FILE', help='write the figures there as well')


def run(options: argparse.Namespace) -> None:
    """Print the figures, and write them where that is asked for."""
    if options.json is not None and not options.json.parent.is_dir():
        raise FileNotFoundError(f'{options.json.parent}: no such folder to write the JSON to')
    images = read_hico_det(options.annotations)
    vocabulary = load_vocabulary('hico-det')
    known = _known_objects(options, images, vocabulary.hois[:, 1])
    predictions, threshold = _predictions(options, images)
    ranked = rank_hico_det(images, predictions, vocabulary, options.convention, known)
    if options.f1_threshold == 'best':
        threshold = best_f1_threshold(ranked).threshold
    figures = hico_det_figures(ranked, vocabulary, threshold)

    print(f'HICO-DET, {options.protocol} protocol, {options.convention} convention')
    print(f'{len(images)} images, {ranked.num_annotated.sum()} pairs, {len(ranked.hoi)} detections')
    print(hico_det_table(figures))
    if options.json is not None:
        what = {
            'benchmark': 'hico-det',
            'annotations': options.annotations.name,
            'model': options.model,
            'boxes': options.boxes,
            'predictions': options.predictions and options.predictions.name,
            'protocol': options.protocol,
            'convention': options.convention,
            'images': len(images),
            'detections': len(ranked.hoi),
        }
        write_json(options.json, what | hico_det_json(figures, vocabulary), indent=2)


def _predictions(
    options: argparse.Namespace, images: Sequence[AnnotatedImage]
) -> tuple[ScoredPairs, float]:
    """What is to be evaluated, and the threshold of its mF1."""
    if options.predictions is not None:
        if options.boxes is not None:
            raise ValueError('--boxes goes with --model: a prediction file has its own boxes')
        remarks = Remarks()
        parts = read_predictions([options.predictions], 'hico-det', images, remarks)
        found = ScoredPairs.concatenate(parts)
        for sentence in remarks.sentences():
            print(sentence, file=sys.stderr)
        threshold = DEFAULT_F1_THRESHOLD
    else:
        if options.boxes is None:
            raise ValueError('--model also needs --boxes ground-truth')
        predictor = HoiPredictor.from_checkpoint(options.model, device=options.device, select=False)
        if predictor.vocabulary.id != 'hico-det':
            raise ValueError(
                f'{options.model} is a model of {predictor.vocabulary.id}, expected hico-det'
            )
        found = predict_ground_truth_boxes(predictor, images)
        threshold = predictor.config.get('f1_threshold', DEFAULT_F1_THRESHOLD)
    given = options.f1_threshold
    return found, threshold if given in (None, 'best') else given


def _known_objects(
    options: argparse.Namespace, images: Sequence[AnnotatedImage], hoi_objects: np.ndarray
) -> np.ndarray | None:
    if options.protocol == 'default':
        return None
    path = options.image_labels or options.annotations.parent / 'anno.mat'
    return read_known_objects(path, [image.file_name for image in images], hoi_objects)


def _threshold(text: str) -> float | str:
    return text if text == 'best' else float(text)
