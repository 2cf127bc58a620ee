"""Mean and spread of runs with several seeds: `python -m link_hoi_core.evaluate few-shot FILE ...`.

The files are results of `evaluate ... --json`, or the `figures.json` of training runs.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from link_hoi_core.data.json_files import check_json, write_json
from link_hoi_core.evaluation.few_shot import few_shot, few_shot_json, few_shot_table


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command to those of `evaluate`."""
    parser = commands.add_parser(
        'few-shot', help='mean and standard deviation over several seeds', description=__doc__
    )
    parser.set_defaults(run=run)
    parser.add_argument('results', type=Path, nargs='+', metavar='FILE', help='.json, one a seed')
    parser.add_argument('--json', type=Path, metavar='FILE', help='write the figures there as well')


def run(options: argparse.Namespace) -> None:
    """Print the table, and write it where that is asked for."""
    check_json(options.json)
    spreads = few_shot(options.results)
    print(f'mean and standard deviation of {len(options.results)} runs')
    print(few_shot_table(spreads))
    if options.json is not None:
        runs = [path.name for path in options.results]
        write_json(options.json, {'results': runs, **few_shot_json(spreads)}, indent=2)
