"""A bag as pictures with their detections and annotations to fill in."""

from __future__ import annotations

import argparse
from pathlib import Path

from link_hoi_core.evaluation.remarks import Remarks
from link_hoi_ros.bags.commands.shared import add_options, cameras_of, given_by, print_remarks
from link_hoi_ros.bags.exporting import ANNOTATIONS, DETECTIONS, PICTURES, export
from link_hoi_ros.bags.reading import Bag


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command to those of `bag`."""
    parser = commands.add_parser('export', help='a skeleton for labelling', description=__doc__)
    parser.set_defaults(run=run)
    add_options(parser)
    parser.add_argument(
        '--output', type=Path, metavar='DIR', help='a new folder (default: <bag>_frames beside it)'
    )
    parser.add_argument(
        '--every', type=int, default=1, metavar='N', help='only the first image of so many'
    )


def run(options: argparse.Namespace) -> None:
    """Write the folder and say what is in it."""
    if options.every < 1:
        raise ValueError(f'--every is {options.every}, expected at least 1')
    given = given_by(options)
    remarks = Remarks()
    with Bag(options.bag) as bag:
        folder = options.output or bag.beside('frames')
        cameras = cameras_of(bag, options, given)
        count = export(bag, cameras, given, folder, options.every, remarks)
    print_remarks(remarks)
    print(f'{count} pictures in {folder / PICTURES}, their boxes in {folder / DETECTIONS}')
    print(f'To fill in: {folder / ANNOTATIONS}')
