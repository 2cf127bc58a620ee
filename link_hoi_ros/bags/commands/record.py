"""What the node says of a bag, as a bag beside it: of every frame, none late and none dropped."""

from __future__ import annotations

import argparse
from pathlib import Path

from link_hoi_core.evaluation.remarks import Remarks
from link_hoi_ros.bags.commands.shared import add_options, cameras_of, given_by, print_remarks
from link_hoi_ros.bags.reading import Bag
from link_hoi_ros.bags.recording import record
from link_hoi_ros.bags.writing import STORAGES


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command to those of `bag`."""
    parser = commands.add_parser('record', help='triplets as a bag', description=__doc__)
    parser.set_defaults(run=run)
    add_options(parser)
    parser.add_argument(
        '--output', type=Path, metavar='DIR', help='a new bag (default: <bag>_hoi beside it)'
    )
    parser.add_argument('--storage', choices=STORAGES, default=STORAGES[0])


def run(options: argparse.Namespace) -> None:
    """Write the bag and say what is in it."""
    given = given_by(options)
    remarks = Remarks()
    with Bag(options.bag) as bag:
        path = options.output or bag.beside('hoi')
        cameras = cameras_of(bag, options, given)
        counts = record(bag, cameras, given, path, options.storage, remarks)
    print_remarks(remarks)
    for topic, count in counts.items():
        print(f'{count:8} messages on {topic}')
    print(f'in {path}')
