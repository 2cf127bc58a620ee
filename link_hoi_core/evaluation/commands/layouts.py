"""Layouts and prompts for an image model: `python -m link_hoi_core.evaluate layouts ...`.

It writes what to draw, and the annotations of the pictures that are to be drawn.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from link_hoi_core.data.annotations import read_annotations
from link_hoi_core.data.json_files import write_json
from link_hoi_core.evaluation.layouts import MOST_PAIRS, hico_det_content, layouts, stretched
from link_hoi_core.vocabulary import load_vocabulary


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command to those of `evaluate`."""
    parser = commands.add_parser(
        'layouts', help='layouts for an image model, of HICO-DET', description=__doc__
    )
    parser.set_defaults(run=run)
    parser.add_argument('--annotations', type=Path, required=True, help='.json, .json.gz or .mat')
    parser.add_argument(
        '--output',
        type=Path,
        required=True,
        metavar='DIR',
        help='layouts.json and annotations.json are written there',
    )
    parser.add_argument(
        '--size', type=int, default=512, help='of the square pictures, pixels (default: 512)'
    )


def run(options: argparse.Namespace) -> None:
    """Write both files, and say what is in them."""
    if options.size < 1:
        raise ValueError(f'--size is {options.size}, expected at least 1 pixel')
    images = read_annotations(options.annotations, 'hico-det')
    vocabulary = load_vocabulary('hico-det')
    drawn = layouts(images, vocabulary)
    pictures = stretched(images, (options.size, options.size))
    options.output.mkdir(parents=True, exist_ok=True)
    write_json(options.output / 'layouts.json', drawn)
    write_json(options.output / 'annotations.json', hico_det_content(pictures, vocabulary))
    told = sum(len(layout['subject_phrases']) for layout in drawn)
    pairs = sum(len(image.hoi) for image in images)
    print(f'{len(drawn)} layouts of {told} pairs, {options.size} x {options.size} pixels')
    if told < pairs:
        print(f'{pairs - told} pairs are left to chance: a layout has at most {MOST_PAIRS}')
