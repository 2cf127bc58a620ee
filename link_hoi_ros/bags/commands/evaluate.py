"""The figures of a bag by HICO-DET's rules: of every frame, and of what a running node answers.

A frame's name in the annotations is the stamp of its image, <sec>_<nanosec>.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from link_hoi_core.data.json_files import check_json, write_json
from link_hoi_core.evaluation.remarks import Remarks
from link_hoi_core.evaluation.report import F1_FIGURES, outcome_json, outcome_rows
from link_hoi_ros.bags.cameras import Camera
from link_hoi_ros.bags.commands.shared import add_options, cameras_of, given_by, print_remarks
from link_hoi_ros.bags.evaluating import Live, Offline, evaluate_live, evaluate_offline
from link_hoi_ros.bags.live import play
from link_hoi_ros.bags.reading import Bag
from link_hoi_ros.bags.scoring import Labels


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command to those of `bag`."""
    parser = commands.add_parser('evaluate', help='mAP, mF1, latency, drops', description=__doc__)
    parser.set_defaults(run=run)
    add_options(parser)
    parser.add_argument(
        '--annotations',
        type=Path,
        required=True,
        metavar='FILE',
        help='HICO-DET annotations of frames, as `bag export` prepares them',
    )
    parser.add_argument(
        '--live', action='store_true', help='also play it to a node that is started for it'
    )
    parser.add_argument(
        '--node',
        nargs='+',
        default=[],
        metavar='NAME',
        help='with --live: to this running node, one for each camera, such as /hoi/hoi_node; '
        'its parameters should be those that are given here',
    )
    parser.add_argument(
        '--rate', type=float, default=1.0, help='with --live: times as fast as recorded'
    )
    parser.add_argument('--loops', type=int, default=1, metavar='N', help='with --live: how often')
    parser.add_argument('--json', type=Path, metavar='FILE', help='write the figures there as well')


def run(options: argparse.Namespace) -> None:
    """Print the figures, and write them where that is asked for."""
    _check(options)
    given = given_by(options)
    labels = Labels(options.annotations)
    remarks = Remarks()
    with Bag(options.bag) as bag:
        cameras = cameras_of(bag, options, given)
        if options.node and len(set(options.node)) != len(cameras):
            raise ValueError(f'{len(set(options.node))} nodes for {len(cameras)} cameras')
        offline = evaluate_offline(bag, cameras, given, labels, remarks)
        live = _live(options, bag, cameras, given, labels, offline, remarks)
    print(f'{options.bag}: {_frames(offline)}')
    pairs = sum(len(image.hoi) for image in labels.images)
    print(f'{len(labels.images)} annotated frames, {pairs} pairs, HICO-DET, official convention\n')
    outcomes = {'every score': offline.every_score, 'as published': offline.as_published}
    if live is not None:
        outcomes['live'] = live.outcome
    print(outcome_rows(outcomes))
    if live is not None:
        print(f'\n{_account(live)}')
    print_remarks(remarks)
    if options.json is not None:
        content = _content(options, given, labels, offline, live)
        write_json(options.json, content | {'remarks': remarks.sentences()}, indent=2)


def _check(options: argparse.Namespace) -> None:
    check_json(options.json)
    if not options.live and (options.node or options.rate != 1 or options.loops != 1):
        raise ValueError('--node, --rate and --loops go with --live')
    if not 0 < options.rate < math.inf or options.loops < 1:
        raise ValueError(
            f'--rate is {options.rate:g} and --loops {options.loops}, expected more than 0'
        )


def _live(
    options: argparse.Namespace,
    bag: Bag,
    cameras: Sequence[Camera],
    given: Mapping[str, Any],
    labels: Labels,
    offline: Offline,
    remarks: Remarks,
) -> Live | None:
    """The bag through running nodes, where that is asked for."""
    if not options.live:
        return None
    with tempfile.TemporaryDirectory(prefix='link_hoi_bag-') as folder:
        played = play(bag, cameras, given, options.rate, options.loops, options.node, Path(folder))
    return evaluate_live(played, offline, labels, options.loops, remarks)


def _frames(offline: Offline) -> str:
    """What became of the images, in words."""
    counts = dict(offline.counts)
    received, processed = counts.pop('received'), counts.pop('processed')
    rest = [f'{count} {name.replace("_", " as ")}' for name, count in counts.items()]
    return ', '.join([f'{received} images', f'{processed} answered', *rest])


def _account(live: Live) -> str:
    """What became of the images that were played, and how far the answers differ."""
    facts = live.facts()
    fates = {'lost on the way': facts['lost_on_the_way']}
    fates |= {f'dropped as {name[8:]}': facts[name] for name in facts if name[:8] == 'dropped_'}
    played = [f'{facts["played"]} images played', f'{facts["answered"]} answered']
    played += [f'{count} {fate}' for fate, count in fates.items() if count]
    latency = [f'{name} {value:.1f}' for name, value in facts['latency_ms'].items()]
    stages = [f'{name} {value:.1f}' for name, value in facts['stages_ms'].items()]
    difference = [
        f'{name} {value:+.{4 if name in F1_FIGURES else 2}f}'
        for name, value in facts['difference'].items()
    ]
    return '\n'.join(
        [
            f'live: {", ".join(played)}',
            f'from image to triplets (ms): {", ".join(latency) or "none"}',
            f'in the node (ms, median): {", ".join(stages) or "none"}',
            f'against offline: {", ".join(difference)}; '
            f'{facts["differing_frames"]} answers with other triplets',
        ]
    )


def _content(
    options: argparse.Namespace,
    given: dict[str, Any],
    labels: Labels,
    offline: Offline,
    live: Live | None,
) -> dict[str, Any]:
    """The JSON; at its top the figures of every score, under the names of all evaluations."""
    facts = {
        'benchmark': 'hico-det',
        'bag': options.bag.resolve().name,
        'annotations': options.annotations.name,
        'images': len(labels.images),
        'model': offline.predictor.model_name,
        'checkpoint_sha256': offline.predictor.checkpoint_sha256,
        'classes_of': offline.predictor.vocabulary.id,
        'parameters': given,
        'frames': dict(offline.counts),
    }
    content = outcome_json(offline.every_score, facts)
    content['as_published'] = offline.as_published.figures
    if live is not None:
        run = {'rate': options.rate, 'loops': options.loops}
        content['live'] = {**run, **live.facts(), **live.outcome.figures}
    return content
