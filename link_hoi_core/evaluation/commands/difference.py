"""Images that two models see differently: `python -m link_hoi_core.evaluate difference ...`.

HICO-DET's test images by the difference of two models' APs on each, and the mAP of these and other
models in each group (appendix A.6).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from link_hoi_core.data.annotations import read_annotations
from link_hoi_core.data.json_files import write_json
from link_hoi_core.evaluation.commands.outputs import add_outputs, check_outputs
from link_hoi_core.evaluation.difference import (
    difference_json,
    difference_table,
    draw_difference,
    group_map,
    image_average_precision,
    split_images,
)
from link_hoi_core.evaluation.hico_det import HicoDet
from link_hoi_core.evaluation.matching import RankedDetections
from link_hoi_core.evaluation.outcome import evaluate
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
    add_outputs(parser)


def run(options: argparse.Namespace) -> None:
    """Print the table, and write JSON and picture where they are asked for."""
    check_outputs(options)
    benchmark = HicoDet(read_annotations(options.annotations, 'hico-det'))
    paths = _named([options.semantic, options.spatial, *options.others])
    ranked = {name: _rank(path, benchmark, options.strict) for name, path in paths.items()}
    images = benchmark.images
    aps = [image_average_precision(of, images) for of in list(ranked.values())[:2]]
    groups = split_images(*aps)
    every = {'all': np.ones(len(images), bool)} | groups
    figures = {
        name: {group: group_map(of, images, members) for group, members in every.items()}
        for name, of in ranked.items()
    }
    print(difference_table(groups, figures))
    if options.picture is not None:
        draw_difference(options.picture, list(paths)[:2], aps, groups, figures)
    if options.json is not None:
        content = {'annotations': options.annotations.name}
        content |= difference_json(images, aps, groups, figures)
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


def _rank(path: Path, benchmark: HicoDet, strict: bool) -> RankedDetections:
    """A model's detections, right or wrong; what is to be said of its file goes to stderr."""
    remarks = Remarks(strict)
    parts = read_predictions([path], benchmark.name, benchmark.images, remarks)
    ranked = evaluate(benchmark, parts, 0.0).ranked
    for sentence in remarks.sentences():
        print(f'evaluate: {path}: {sentence}', file=sys.stderr)
    return ranked
