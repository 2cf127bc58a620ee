"""What a model costs: `python -m link_hoi_core.benchmark [complexity|latency] ...`.

Without arguments it times the embedded model against a ViT-B/16.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from link_hoi_core.benchmark import complexity, latency
from link_hoi_core.data.json_files import check_json, write_json
from link_hoi_core.device import PRECISIONS

PROGRAM = 'python -m link_hoi_core.benchmark'
PAIRS = (60, 435)  # 4 humans and 12 objects; 15 and 15, the most that are selected


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0, or 2 after one sentence on what is wrong."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    options = _parser().parse_args(arguments or ['latency'])
    try:
        check_json(options.json)
        figures, table = options.run(options)
        print(table)
        if options.json is not None:
            write_json(options.json, _with_origin(arguments, figures), indent=2)
    except (ValueError, OSError, ImportError) as error:
        print(f'benchmark: {error}', file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=PROGRAM, description=__doc__)
    commands = parser.add_subparsers(required=True, metavar='COMMAND')
    _add_complexity(commands.add_parser('complexity', help='parameters and MACs of each part'))
    _add_latency(commands.add_parser('latency', help='milliseconds of each stage'))
    return parser


def _add_complexity(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=complexity.run)
    parser.add_argument('--config', type=Path, required=True, help='an experiment, as of train')
    parser.add_argument('--detector', default='detr-r50', help="by name; 'none' leaves it out")
    parser.add_argument(
        '--image-size', type=int, default=800, metavar='SIDE', help="of the detector's square image"
    )
    _add_common(parser)


def _add_latency(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=latency.run)
    parser.add_argument(
        *('--model', '--checkpoint'),
        nargs='+',
        default=[],
        help='checkpoints: folders, hub repositories or embedded names (default: boxes)',
    )
    parser.add_argument(
        '--config', nargs='+', type=Path, default=[], help='experiments, timed with random weights'
    )
    parser.add_argument('--device', nargs='+', default=['auto'], help='auto, cpu, cuda, cuda:1 ...')
    parser.add_argument('--precision', nargs='+', choices=PRECISIONS, default=['fp32'])
    parser.add_argument('--mode', nargs='+', choices=latency.MODES, default=['eager'])
    parser.add_argument('--rounds', type=int, default=20)
    _add_common(parser)


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--set', action='append', default=[], metavar='KEY=VALUE', help='change a key of --config'
    )
    parser.add_argument('--pairs', nargs='+', type=int, default=list(PAIRS), help='of the scenes')
    parser.add_argument('--json', type=Path, metavar='FILE', help='write the figures there as well')


def _with_origin(arguments: Sequence[str], figures: dict[str, Any]) -> dict[str, Any]:
    return {
        'command': f'{PROGRAM} {shlex.join(arguments)}',
        'torch': torch.__version__,
        **figures,
    }


if __name__ == '__main__':
    sys.exit(main())
