"""Pictures of figures in one style, as PNG, SVG or PDF files that are never half written."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from link_hoi_core.data.json_files import write_whole
from link_hoi_core.optional import require

KINDS = ('.png', '.svg', '.pdf')
#: Told apart in print and by colour-blind eyes as well (Okabe and Ito, "Color Universal Design").
COLOURS = ('#0072B2', '#D55E00', '#009E73', '#CC79A7', '#E69F00', '#56B4E9', '#000000')
GREY = '#8a8a8a'
STYLE = {
    'axes.axisbelow': True,
    'axes.edgecolor': '#666666',
    'axes.grid': True,
    'axes.spines.right': False,
    'axes.spines.top': False,
    'axes.titlesize': 10,
    'font.size': 9,
    'grid.color': '#e4e4e4',
    'legend.frameon': False,
    'svg.hashsalt': 'link_hoi',  # the same file at every run
}


def check_picture(path: Path) -> None:
    """Refuse a path that no picture can be written to, before anything long is computed.

    Raises:
        ValueError: its name does not end in one of `KINDS`.
        FileNotFoundError: its folder is not there.
    """
    if path.suffix.lower() not in KINDS:
        raise ValueError(f'{path}: a picture is named *{", *".join(KINDS)}')
    if not path.parent.is_dir():
        raise FileNotFoundError(f'{path.parent}: no such folder to write the picture to')


@contextmanager
def picture(path: Path, width: float, height: float) -> Iterator[Any]:
    """A matplotlib Figure to draw on, which is written to `path` where nothing went wrong.

    Args:
        path: as `check_picture` takes it.
        width, height: inches; a PNG has 150 pixels each.

    Raises:
        ImportError: matplotlib is not installed.
    """
    matplotlib = require('matplotlib', 'pip install matplotlib', 'drawing a picture')
    figures = require('matplotlib.figure', 'pip install matplotlib', 'drawing a picture')
    check_picture(path)
    kind = path.suffix.lower().removeprefix('.')
    colours = {'axes.prop_cycle': matplotlib.cycler(color=COLOURS)}
    with matplotlib.rc_context(STYLE | colours):
        # Without pyplot, which would look for a display and keep every figure.
        figure = figures.Figure((width, height), layout='constrained')
        yield figure
        content = io.BytesIO()
        when = {'svg': {'Date': None}, 'pdf': {'CreationDate': None}}.get(kind)
        figure.savefig(content, format=kind, dpi=150, metadata=when)
    write_whole(path, content.getvalue())
