"""Train LINK: `python -m link_hoi_core.train --config FILE --output DIR`.

FILE is one of config/experiments. The run's folder then holds `checkpoint/` (the trained model, see
`link_hoi_core.checkpoint`), `last.ckpt` (from which `--resume` goes on after the last whole epoch),
`best.ckpt` (the state of the epoch with the best figure) and TensorBoard's and CSV logs.

Several devices share each step: `--devices 4`, or `torchrun --nproc-per-node 4 -m
link_hoi_core.train ...`, which also does for several machines.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

from link_hoi_core.configuration import load_configuration
from link_hoi_core.optional import require


def main(arguments: list[str] | None = None) -> int:
    """Run the command.

    Returns:
        0; 2 after one sentence on what is wrong; 130 or 143 after SIGINT or SIGTERM.
    """
    options = _parse(arguments)
    try:
        require('lightning', "pip install 'lightning>=2.6' rich tensorboard", 'training')
        return _run(options)
    except (ValueError, OSError, ImportError, FloatingPointError) as error:
        # One of a process that prepares batches has that one's traceback before it.
        _say(str(error).strip().rpartition('\n')[2])
        return 2
    except KeyboardInterrupt:
        _say('SIGINT came while no step was running')
        return 128 + signal.SIGINT


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog='python -m link_hoi_core.train', description=__doc__)
    parser.add_argument('--config', type=Path, required=True, help='a file of config/experiments')
    parser.add_argument(
        '--set', action='append', default=[], metavar='KEY=VALUE', dest='assignments'
    )
    parser.add_argument('--output', type=Path, required=True, help="the run's folder")
    parser.add_argument('--resume', action='store_true', help='go on from the last whole epoch')
    parser.add_argument('--device', default='auto', help='auto, cpu, cuda or cuda:1')
    parser.add_argument('--devices', type=int, default=1, help='how many of a machine')
    parser.add_argument('--nodes', type=int, default=1, help='how many machines')
    parser.add_argument('--seed', type=int, help="instead of the configuration's")
    return parser.parse_args(arguments)


def _run(options: argparse.Namespace) -> int:
    from link_hoi_core.training.callbacks import Interrupted
    from link_hoi_core.training.experiment import Experiment
    from link_hoi_core.training.run import train
    from link_hoi_core.training.state import kept

    experiment = load_configuration(Experiment, options.config, options.assignments)
    if options.seed is not None:
        experiment = replace(experiment, seed=options.seed)
    where = (options.device, options.devices, options.nodes)
    try:
        train(experiment, options.output, options.resume, *where)
    except Interrupted as stop:
        if not stop.first:  # Lightning kills rank 0 when another one ends with anything but 0
            return 0
        _say(f'{stop}; {kept(options.output)}')
        return 128 + stop.number
    return 0


def _say(sentence: str) -> None:
    """Print it, and whose it is where rank 0 need not know of it."""
    rank = os.environ.get('RANK', os.environ.get('LOCAL_RANK', '0'))
    print(f'train{"" if rank == "0" else f" (process {rank})"}: {sentence}', file=sys.stderr)


if __name__ == '__main__':
    sys.exit(main())
