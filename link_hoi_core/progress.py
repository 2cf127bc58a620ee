"""How far a long loop has come: a bar on a terminal where Rich is installed, otherwise silence."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, TypeVar

Item = TypeVar('Item')


def track(items: Iterable[Item], what: str, total: int) -> Iterator[Item]:
    """The same items, each of which is counted on a bar when the next one is asked for.

    So a `zip` takes them first: otherwise it does not ask once more after the last one.

    Args:
        items: files, images ...
        what: stands before the bar, e.g. 'reading images'.
        total: how many there are.
    """
    with progress(what, total) as show:
        for through, item in enumerate(items, start=1):
            yield item
            show(through)


@contextmanager
def progress(
    what: str, total: int, otherwise: Callable[[int], Any] = lambda through: None
) -> Iterator[Callable[[int], Any]]:
    """A function that is told how many are through, for what `track` does not fit.

    Args:
        what: stands before the bar, which is on stderr.
        total: how many there are.
        otherwise: is told instead where there is no bar.
    """
    if not _can_show():
        yield otherwise
        return
    rich, console = (importlib.import_module(f'rich.{name}') for name in ('progress', 'console'))
    columns = (
        rich.TextColumn('{task.description}', markup=False),  # a file's name may hold brackets
        rich.BarColumn(),
        rich.TaskProgressColumn(),
        rich.TimeRemainingColumn(elapsed_when_finished=True),
        rich.MofNCompleteColumn(),
    )
    with rich.Progress(
        *columns,
        console=console.Console(stderr=True),
        redirect_stdout=sys.stdout.isatty(),  # what goes to a file or pipe is to arrive there
    ) as bar:
        task = bar.add_task(what, total=total)
        yield lambda through: bar.update(task, completed=through)


def _can_show() -> bool:
    """Also not inside another bar, the training's for instance: they would overwrite each other."""
    inside_another = hasattr(sys.stderr, 'rich_proxied_file')
    return sys.stderr.isatty() and not inside_another and find_spec('rich') is not None
