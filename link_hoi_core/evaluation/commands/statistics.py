"""What annotation files are made of: `python -m link_hoi_core.evaluate statistics --hico-det FILE`.

Several files, of different data sets too, stand side by side in one table and one picture.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from link_hoi_core.data.annotations import DATA_SETS, read_annotations
from link_hoi_core.data.json_files import write_json
from link_hoi_core.evaluation.commands.outputs import add_outputs, check_outputs
from link_hoi_core.evaluation.statistics import (
    draw_statistics,
    statistics,
    statistics_json,
    statistics_table,
)
from link_hoi_core.vocabulary import load_vocabulary


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command to those of `evaluate`."""
    parser = commands.add_parser(
        'statistics', help='what annotation files are made of', description=__doc__
    )
    parser.set_defaults(run=run)
    for name in DATA_SETS:
        parser.add_argument(f'--{name}', type=Path, nargs='+', default=[], metavar='FILE')
    add_outputs(parser)


def run(options: argparse.Namespace) -> None:
    """Print the table, and write JSON and picture where they are asked for."""
    check_outputs(options)
    given = {name: getattr(options, name.replace('-', '_')) for name in DATA_SETS}
    paths = [(name, path) for name in DATA_SETS for path in given[name]]
    if not paths:
        raise ValueError('no file to count: give --hico-det, --v-coco or --swig-hoi')
    files = [
        statistics(
            path.name.partition('.json')[0], read_annotations(path, name), load_vocabulary(name)
        )
        for name, path in paths
    ]
    print(statistics_table(files))
    if options.picture is not None:
        draw_statistics(options.picture, files)
    if options.json is not None:
        content = [
            {'benchmark': name} | statistics_json(found, load_vocabulary(name))
            for (name, _), found in zip(paths, files)
        ]
        write_json(options.json, content, indent=2)
