"""Figures on SWiG-HOI: `python -m link_hoi_core.evaluate swig-hoi --annotations FILE ...`."""

from __future__ import annotations

import argparse
from pathlib import Path

from link_hoi_core.data.annotations import read_annotations
from link_hoi_core.evaluation.commands.shared import add_options, check_options, run_benchmark
from link_hoi_core.evaluation.swig_hoi import SwigHoi


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command to those of `evaluate`."""
    parser = commands.add_parser('swig-hoi', help='mAP on SWiG-HOI', description=__doc__)
    parser.set_defaults(run=run)
    parser.add_argument('--annotations', type=Path, required=True, help='swig_test_1000.json')
    add_options(parser)


def run(options: argparse.Namespace) -> None:
    """Print the figures, and write them where that is asked for."""
    check_options(options)
    benchmark = SwigHoi(read_annotations(options.annotations, 'swig-hoi'))
    run_benchmark(options, benchmark, 'SWiG-HOI', {})
