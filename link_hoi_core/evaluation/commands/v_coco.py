"""Figures on V-COCO: `python -m link_hoi_core.evaluate v-coco --annotations FILE ...`.

The annotations are a converted file (instances_vcoco_test.json), or an official one
(vcoco_test.json) with COCO's own, `--coco-boxes instances_val2014.json`. Only the latter know all
people, and give the official figure.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from link_hoi_core.data.annotated_image import unsized, with_needed_sizes, with_sizes
from link_hoi_core.data.annotations import read_annotations
from link_hoi_core.data.image_folder import ImageFolder
from link_hoi_core.data.v_coco import guess_sizes, read_coco_sizes
from link_hoi_core.data.v_coco_official import read_coco, read_v_coco_official
from link_hoi_core.data.v_coco_people import read_v_coco_people
from link_hoi_core.evaluation.commands.shared import add_options, check_options, run_benchmark
from link_hoi_core.evaluation.v_coco import VCoco

GUESS = 'guess'


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command to those of `evaluate`."""
    parser = commands.add_parser('v-coco', help='AP role on V-COCO', description=__doc__)
    parser.set_defaults(run=run)
    parser.add_argument('--annotations', type=Path, required=True, help='.json or .json.gz')
    parser.add_argument(
        '--coco-boxes', type=Path, metavar='FILE', help="COCO's instances_{train,val}2014.json"
    )
    parser.add_argument(
        '--sizes',
        metavar=f'FILE|{GUESS}',
        help='likewise, for the sizes of images, which a model on annotated boxes needs and a '
        'converted file lacks; guess: what boxes tell, for a model without pixels (default: those '
        'of the pictures in --images)',
    )
    add_options(parser)


def run(options: argparse.Namespace) -> None:
    """Print the figures, and write them where that is asked for."""
    check_options(options)
    people = None
    if options.coco_boxes is None:
        images = read_annotations(options.annotations, 'v-coco')
    else:
        coco = read_coco(options.coco_boxes)
        images = read_v_coco_official(options.annotations, coco)
        people = read_v_coco_people(options.annotations, images, coco)
    if options.sizes == GUESS:
        images = with_needed_sizes(images, guess_sizes(images))
    elif options.sizes is not None:
        images = with_sizes(images, read_coco_sizes(options.sizes))
    elif options.images:
        folder = ImageFolder(*options.images)
        images = with_needed_sizes(images, folder.sizes(i.file_name for i in unsized(images)))
    benchmark = VCoco(images, people)
    facts = {'labels': benchmark.labels, 'sizes': options.sizes and Path(options.sizes).name}
    run_benchmark(options, benchmark, f'V-COCO, {benchmark.labels} labels', facts)
