"""What all commands on a bag are told: which bag, which topics, which parameters of the node."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from link_hoi_core.evaluation.remarks import Remarks
from link_hoi_ros.bags.cameras import Camera, find_cameras
from link_hoi_ros.bags.reading import Bag
from link_hoi_ros.bags.settings import given_parameters


def add_options(parser: argparse.ArgumentParser) -> None:
    """The bag, its topics and the node's parameters."""
    parser.add_argument('bag', type=Path, metavar='BAG', help='its folder, or a .mcap or .db3 file')
    parser.add_argument(
        '--image',
        nargs='+',
        default=[],
        metavar='TOPIC',
        help='of each camera (default: all topics of images)',
    )
    parser.add_argument(
        '--detections',
        nargs='+',
        default=[],
        metavar='TOPIC',
        help='of each camera, in the same order (default: the one nearest to its images by name)',
    )
    parser.add_argument('--config', type=Path, metavar='FILE', help="the node's parameter file")
    parser.add_argument(
        '--set',
        action='append',
        default=[],
        metavar='NAME=VALUE',
        help='a parameter of the node: score_threshold=0.3, matching.policy=tolerance ...',
    )
    parser.add_argument('--model', help='short for --set model=NAME')
    parser.add_argument('--device', help='short for --set device=NAME: auto, cpu, cuda, cuda:1 ...')


def given_by(options: argparse.Namespace) -> dict[str, Any]:
    """The parameters that the options set; errors as of `given_parameters`."""
    given = given_parameters(options.config, options.set)
    named = {name: getattr(options, name) for name in ('model', 'device')}
    return given | {name: value for name, value in named.items() if value is not None}


def cameras_of(bag: Bag, options: argparse.Namespace, given: dict[str, Any]) -> list[Camera]:
    """The cameras that the options name, or all; errors as of `find_cameras`."""
    builtin = bool(given.get('detector'))
    return find_cameras(bag, options.image, options.detections, builtin)


def print_remarks(remarks: Remarks) -> None:
    """On stderr."""
    for sentence in remarks.sentences():
        print(f'bag: {sentence}', file=sys.stderr)
