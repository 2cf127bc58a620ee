"""A figure over training, and against cost: `python -m link_hoi_core.evaluate curves --runs DIR`.

Of training runs, per epoch and per hour; of models, against the multiply-accumulates an image.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from link_hoi_core.data.json_files import write_json
from link_hoi_core.evaluation.commands.outputs import add_outputs, check_outputs
from link_hoi_core.evaluation.curves import (
    curves_json,
    curves_table,
    draw_curves,
    read_cost,
    read_progress,
)


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command to those of `evaluate`."""
    parser = commands.add_parser(
        'curves', help='a figure over training and against cost', description=__doc__
    )
    parser.set_defaults(run=run)
    parser.add_argument(
        '--runs', type=Path, nargs='+', default=[], metavar='DIR', help='folders of training runs'
    )
    parser.add_argument(
        '--cost',
        type=Path,
        nargs=2,
        action='append',
        default=[],
        metavar=('COMPLEXITY', 'RESULT'),
        help='of one model: what `benchmark complexity --json` and `evaluate ... --json` wrote',
    )
    parser.add_argument('--figure', default='full', help='as logs and results name it (full)')
    add_outputs(parser)


def run(options: argparse.Namespace) -> None:
    """Print the last and best figures, and write numbers and picture where they are asked for."""
    if not options.runs and not options.cost:
        raise ValueError('nothing to show: give --runs or --cost')
    check_outputs(options)
    runs = [read_progress(path, options.figure) for path in options.runs]
    costs = [read_cost(*paths, options.figure) for paths in options.cost]
    found = options.figure, runs, costs
    print(curves_table(*found))
    if options.picture is not None:
        draw_curves(options.picture, *found)
    if options.json is not None:
        write_json(options.json, curves_json(*found), indent=2)
