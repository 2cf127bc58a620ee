"""Benchmark figures and what is behind them: `python -m link_hoi_core.evaluate COMMAND ...`."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence

from link_hoi_core.evaluation.commands import (
    curves,
    difference,
    features,
    few_shot,
    hico_det,
    layouts,
    mllm,
    statistics,
    swig_hoi,
    v_coco,
)

COMMANDS = (
    hico_det,
    v_coco,
    swig_hoi,
    few_shot,
    mllm,
    layouts,
    statistics,
    difference,
    features,
    curves,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0, or 2 after one sentence on what is wrong."""
    parser = argparse.ArgumentParser(prog='python -m link_hoi_core.evaluate', description=__doc__)
    commands = parser.add_subparsers(required=True, metavar='COMMAND')
    for command in COMMANDS:
        command.add(commands)
    arguments = sys.argv[1:] if arguments is None else arguments
    options = parser.parse_args(arguments)
    options.command = shlex.join([*parser.prog.split(), *arguments])
    try:
        options.run(options)
    except (ValueError, OSError, ImportError) as error:
        print(f'evaluate: {error}', file=sys.stderr)
        return 2
    return 0


if __name__ == '__main__':
    sys.exit(main())
