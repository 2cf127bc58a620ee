"""The files that an analysis writes where they are asked for: its numbers and a picture."""

from __future__ import annotations

import argparse
from pathlib import Path

from link_hoi_core.data.json_files import check_json
from link_hoi_core.evaluation.plots import KINDS, check_picture


def add_outputs(parser: argparse.ArgumentParser) -> None:
    """Add --json and --picture."""
    parser.add_argument('--json', type=Path, metavar='FILE', help='write the numbers there as well')
    parser.add_argument('--picture', type=Path, metavar='FILE', help=f'*{", *".join(KINDS)}')


def check_outputs(options: argparse.Namespace) -> None:
    """Refuse paths that cannot be written to, before anything long is computed.

    Raises:
        ValueError, FileNotFoundError: one sentence.
    """
    if options.picture is not None:
        check_picture(options.picture)
    check_json(options.json)
