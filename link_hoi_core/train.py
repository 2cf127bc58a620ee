"""Train LINK: `python -m link_hoi_core.train --config FILE --output DIR`.

FILE is one of config/experiments. The run's folder then holds `checkpoint/` (the trained model, see
`link_hoi_core.checkpoint`), `last.ckpt` (from which `--resume` goes on after the last whole epoch)
and TensorBoard's and CSV logs.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from link_hoi_core.configuration import load_configuration
from link_hoi_core.optional import require


def main(arguments: list[str] | None = None) -> int:
    """Run the command; 0, or 2 after one sentence on what is wrong."""
    parser = argparse.ArgumentParser(prog='python -m link_hoi_core.train', description=__doc__)
    parser.add_argument('--config', type=Path, required=True, help='a file of config/experiments')
    parser.add_argument(
        '--set', action='append', default=[], metavar='KEY=VALUE', dest='assignments'
    )
    parser.add_argument('--output', type=Path, required=True, help="the run's folder")
    parser.add_argument('--resume', action='store_true', help='go on from the last whole epoch')
    parser.add_argument('--device', default='auto', help='auto, cpu or cuda')
    parser.add_argument('--seed', type=int, help="instead of the configuration's")
    options = parser.parse_args(arguments)
    try:
        require('lightning', "pip install 'lightning>=2.6' rich tensorboard", 'training')
        _run(options)
    except (ValueError, OSError, ImportError, FloatingPointError) as error:
        print(f'train: {error}', file=sys.stderr)
        return 2
    return 0


def _run(options: argparse.Namespace) -> None:
    from link_hoi_core.training.experiment import Experiment
    from link_hoi_core.training.run import train

    experiment = load_configuration(Experiment, options.config, options.assignments)
    if options.seed is not None:
        experiment = replace(experiment, seed=options.seed)
    train(experiment, options.output, options.device, options.resume)


if __name__ == '__main__':
    sys.exit(main())
