"""Bags: score the model on one, record what it says of one, export one for labelling.

    python -m link_hoi_ros.bag evaluate BAG --annotations FILE [--live]
    python -m link_hoi_ros.bag record BAG
    python -m link_hoi_ros.bag export BAG

Needs no ROS distribution and reads what `ros2 bag record` writes: MCAP and sqlite3.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence

from link_hoi_ros.bags.commands import evaluate, export, record
from link_hoi_ros.processes import ProcessError

COMMANDS = (evaluate, record, export)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0, or 2 after one sentence on what is wrong."""
    parser = argparse.ArgumentParser(
        prog='python -m link_hoi_ros.bag', description=__doc__.split('\n\n')[0]
    )
    commands = parser.add_subparsers(required=True, metavar='COMMAND')
    for command in COMMANDS:
        command.add(commands)
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # it, too, ends the processes
    try:
        options.run(options)
    except (ProcessError, ValueError, OSError, ImportError) as error:
        print(f'bag: {error}', file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print('bag: interrupted', file=sys.stderr)
        return 130
    return 0


if __name__ == '__main__':
    sys.exit(main())
