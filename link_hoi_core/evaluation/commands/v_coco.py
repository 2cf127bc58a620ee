"""Figures on V-COCO: `python -m link_hoi_core.evaluate v-coco --annotations FILE ...`.

The annotations are a converted file (instances_vcoco_test.json), or an official one
(vcoco_test.json) with COCO's own, `--coco-boxes instances_val2014.json`. Only the latter know all
people, and give the official figure.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from link_hoi_core.data.annotated_image import AnnotatedImage, unsized, where_needed, with_sizes
from link_hoi_core.data.annotations import read_annotations
from link_hoi_core.data.image_folder import ImageFolder
from link_hoi_core.data.v_coco import guess_sizes, read_coco_sizes
from link_hoi_core.data.v_coco_official import read_coco_boxes, read_v_coco_official
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
        help="likewise, for the images' sizes, which a model on annotated boxes needs, and to "
        'which the official evaluation clips boxes; guess: what boxes tell, for a model without '
        'pixels (default: those of the pictures in --images)',
    )
    add_options(parser)


def run(options: argparse.Namespace) -> None:
    """Print the figures, and write them where that is asked for."""
    check_options(options)
    if options.coco_boxes is None:
        images = _with_sizes(read_annotations(options.annotations, 'v-coco'), options)
        benchmark = VCoco(images)
    else:
        boxes = read_coco_boxes(options.coco_boxes)
        part = 'val2014' if 'test' in options.annotations.name else 'train2014'
        images = read_v_coco_official(options.annotations, boxes, part)
        images = _with_sizes(images, options)
        benchmark = VCoco(images, read_v_coco_people(options.annotations, images, boxes))
    facts = {'labels': benchmark.labels, 'sizes': options.sizes and Path(options.sizes).name}
    run_benchmark(options, benchmark, f'V-COCO, {benchmark.labels} labels', facts)


def _with_sizes(images: list[AnnotatedImage], options: argparse.Namespace) -> list[AnnotatedImage]:
    """The images, with their sizes if the options say where these are."""
    if options.sizes == GUESS:
        return where_needed(images, guess_sizes(images))
    if options.sizes is not None:
        return with_sizes(images, read_coco_sizes(options.sizes))
    if options.images:
        folder = ImageFolder(*options.images)
        return where_needed(images, folder.sizes(image.file_name for image in unsized(images)))
    return images
