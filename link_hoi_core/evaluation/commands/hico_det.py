"""Figures on HICO-DET: `python -m link_hoi_core.evaluate hico-det --annotations FILE ...`.

What is evaluated is a model on boxes (`--model NAME --boxes ground-truth`) or a file of predictions
(`--predictions FILE`).
"""

from __future__ import annotations

import argparse
from pathlib import Path

from link_hoi_core.data.annotations import read_annotations
from link_hoi_core.evaluation.commands.shared import add_options, check_options, run_benchmark
from link_hoi_core.evaluation.hico_det import CONVENTIONS, HicoDet
from link_hoi_core.evaluation.image_labels import read_known_objects
from link_hoi_core.vocabulary import ZERO_SHOT_SPLITS, load_vocabulary, zero_shot_split

PROTOCOLS = ('default', 'known-object')


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command to those of `evaluate`."""
    parser = commands.add_parser('hico-det', help='mAP and mF1 on HICO-DET', description=__doc__)
    parser.set_defaults(run=run)
    parser.add_argument(
        '--annotations', type=Path, required=True, help='.json, .json.gz or anno_bbox.mat'
    )
    add_options(parser)
    parser.add_argument('--protocol', choices=PROTOCOLS, default='default')
    parser.add_argument(
        '--image-labels', type=Path, help='known-object: anno.mat (default: beside annotations)'
    )
    parser.add_argument('--convention', choices=CONVENTIONS, default='official')
    parser.add_argument(
        '--setting', choices=ZERO_SHOT_SPLITS, help='zero-shot: unseen and seen classes as well'
    )


def run(options: argparse.Namespace) -> None:
    """Print the figures, and write them where that is asked for."""
    check_options(options)
    images = read_annotations(options.annotations, 'hico-det')
    known = None
    if options.protocol == 'known-object':
        path = options.image_labels or options.annotations.parent / 'anno.mat'
        objects = load_vocabulary('hico-det').hois[:, 1]
        known = read_known_objects(path, [image.file_name for image in images], objects)
    unseen = () if options.setting is None else zero_shot_split(options.setting)
    benchmark = HicoDet(images, options.convention, known, unseen)
    title = f'HICO-DET, {options.protocol} protocol, {options.convention} convention'
    facts = {
        'protocol': options.protocol,
        'convention': options.convention,
        'setting': options.setting,
    }
    run_benchmark(options, benchmark, title, facts)
