"""A bar for who looks at a terminal, and nothing in anybody's way elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from link_hoi_core.progress import progress, track


def counted() -> Iterator[int]:
    return track(iter(range(3)), 'reading [a] files', 3)


def test_a_terminal_shows_what_is_done_and_how_many_of_how_many(
    terminal: pytest.CaptureFixture[str],
) -> None:
    assert list(counted()) == [0, 1, 2]
    shown = terminal.readouterr()
    assert 'reading [a] files' in shown.err and '3/3' in shown.err and not shown.out


def test_an_item_counts_once_it_is_done(terminal: pytest.CaptureFixture[str]) -> None:
    items = counted()
    assert [next(items), next(items)] == [0, 1]
    items.close()  # the last frame of a bar is always shown
    assert '1/3' in terminal.readouterr().err


def test_what_does_not_come_one_by_one(terminal: pytest.CaptureFixture[str]) -> None:
    told: list[int] = []
    with progress('making maps', 40, told.append) as show:
        show(16)
        show(32)
    assert '32/40' in terminal.readouterr().err and told == []


def test_a_file_or_pipe_gets_nothing_unless_it_is_asked_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert list(counted()) == [0, 1, 2]
    told: list[int] = []
    with progress('making maps', 40, told.append) as show:
        show(16)
    assert capsys.readouterr() == ('', '') and told == [16]


def test_without_rich_there_is_silence(
    terminal: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, 'rich', None)
    assert list(counted()) == [0, 1, 2]
    assert terminal.readouterr() == ('', '')


def test_of_two_bars_at_once_the_outer_one_is_shown(terminal: pytest.CaptureFixture[str]) -> None:
    for _ in track(range(2), 'files', 2):
        assert list(counted()) == [0, 1, 2]
    shown = terminal.readouterr().err
    assert '2/2' in shown and 'reading' not in shown


def test_results_arrive_where_they_are_sent_to(terminal: pytest.CaptureFixture[str]) -> None:
    """Also those printed under a bar, when only stderr is a terminal: `command > file`."""
    for item in counted():
        print(f'result {item}')
    shown = terminal.readouterr()
    assert shown.out == 'result 0\nresult 1\nresult 2\n' and 'result' not in shown.err


def test_an_error_ends_the_bar_and_goes_on(terminal: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match='broken'), progress('making maps', 40) as show:
        show(16)
        raise ValueError('broken')
    assert '16/40' in terminal.readouterr().err
    assert list(counted()) == [0, 1, 2]  # is shown: the former bar is no longer there
    assert '3/3' in terminal.readouterr().err
