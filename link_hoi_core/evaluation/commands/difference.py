"""Images that two models see differently: `python -m link_hoi_core.evaluate difference ...`.

HICO-DET's test images by the difference of two models' APs on each, and the mAP of these and other
models in each group (appendix A.6).
"""

from __future__ import annotations

import argparse
import sys
from math import isnan
from pathlib import Path

from link_hoi_core.data.annotations import read_annotations
from link_hoi_core.data.json_files import write_json
from link_hoi_core.evaluation.difference import (
    difference_table,
    draw_difference,
    group_map,
    image_average_precision,
    split_images,
)
from link_hoi_core.evaluation.hico_det import HicoDet
from link_hoi_core.evaluation.matching import RankedDetections
from link_hoi_core.evaluation.outcome import evaluate
from link_hoi_core.evaluation.plots import check_picture
from link_hoi_core.evaluation.prediction_files import read_predictions
from link_hoi_core.evaluation.remarks import Remarks


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command to those of `evaluate`."""
    parser = commands.add_parser(
        'difference', help='images by what two models make of them', description=__doc__
    )
    parser.set_defaults(run=run)
    parser.add_argument(
        '--annotations', type=Path, required=True, help='.json, .json.gz or anno_bbox.mat'
    )
    for name, example in (('semantic', 'CLIP'), ('spatial', 'DINOv2')):
        parser.add_argument(
            f'--{name}',
            type=Path,
            required=True,
            metavar='FILE',
            help=f'predictions of the model that is held to be {name}, as with {example}',
        )
    parser.add_argument(
        '--others', type=Path, nargs='+', default=[], metavar='FILE', help='of more models'
    )
    parser.add_argument('--strict', action='store_true', help='stop at the first bad entry')
    parser.add_argument('--json', type=Path, metavar='FILE', help='write all numbers there')
    parser.add_argument('--picture', type=Path, metavar='FILE', help='.png, .svg or .pdf')


def run(options: argparse.Namespace) -> None:
    """Print the table, and write JSON and picture where they are asked for."""
    if options.picture is not None:
        check_picture(options.picture)
    if options.json is not None and not options.json.parent.is_dir():
        raise FileNotFoundError(f'{options.json.parent}: no such folder to write the JSON to')
    benchmark = HicoDet(read_annotations(options.annotations, 'hico-det'))
    paths = _named([options.semantic, options.spatial, *options.others])
    ranked = {name: _rank(path, benchmark, options.strict) for name, path in paths.items()}
    images = benchmark.images
    aps = [image_average_precision(of, images) for of in list(ranked.values())[:2]]
    groups = split_images(*aps)
    every = {'all': sum(groups.values()) > 0} | groups
    figures = {
        name: {group: group_map(of, images, members) for group, members in every.items()}
        for name, of in ranked.items()
    }
    print(difference_table(groups, figures))
    if options.picture is not None:
        draw_difference(options.picture, list(paths)[:2], aps, groups, figures)
    if options.json is not None:
        group_of = {
            int(index): name for name, members in groups.items() for index in members.nonzero()[0]
        }
        content = {
            'annotations': options.annotations.name,
            'groups': {name: int(members.sum()) for name, members in groups.items()},
            'map': {name: _without_nan(of) for name, of in figures.items()},
            'images': [
                {
                    'file_name': images[index].file_name,
                    'group': group_of[index],
                    'ap': [float(ap[index]) for ap in aps],
                }
                for index in sorted(group_of)
            ],
        }
        write_json(options.json, content, indent=2)


def _named(paths: list[Path]) -> dict[str, Path]:
    """By their names without endings, or by their whole paths where two of them are alike.

    Raises:
        ValueError: a file is given twice.
    """
    short = [path.name.partition('.json')[0] for path in paths]
    names = short if len(set(short)) == len(short) else [str(path) for path in paths]
    if len(set(names)) < len(names):
        raise ValueError('a file of predictions is given twice: each model needs its own')
    return dict(zip(names, paths))


def _without_nan(figures: dict[str, float]) -> dict[str, float | None]:
    """For JSON, which has no NaN: a group without pairs has no mAP."""
    return {name: None if isnan(figure) else figure for name, figure in figures.items()}


def _rank(path: Path, benchmark: HicoDet, strict: bool) -> RankedDetections:
    """A model's detections, right or wrong; what is to be said of its file goes to stderr."""
    remarks = Remarks(strict)
    parts = read_predictions([path], benchmark.name, benchmark.images, remarks)
    ranked = evaluate(benchmark, parts, 0.0).ranked
    for sentence in remarks.sentences():
        print(f'evaluate: {path}: {sentence}', file=sys.stderr)
    return ranked
