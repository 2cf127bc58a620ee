"""Pictures are written whole, as what their names say, or refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from link_hoi_core.evaluation.plots import check_picture, picture

pytest.importorskip('matplotlib')

STARTS = {'.png': b'\x89PNG', '.svg': b'<?xml', '.pdf': b'%PDF'}


def draw(path: Path) -> bytes:
    with picture(path, 2, 1) as figure:
        figure.subplots().plot([1, 2, 3], label='a line')
    return path.read_bytes()


@pytest.mark.parametrize('kind', STARTS)
def test_each_kind_is_the_same_at_every_run(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f'line{kind}'
    content = draw(path)
    assert content.startswith(STARTS[kind])
    assert draw(path) == content
    assert list(tmp_path.iterdir()) == [path]


def test_what_goes_wrong_while_drawing_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), picture(tmp_path / 'line.png', 2, 1):
        1 / 0
    assert list(tmp_path.iterdir()) == []


def test_impossible_paths_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r'line\.gif: a picture is named \*\.png, \*\.svg'):
        check_picture(tmp_path / 'line.gif')
    with pytest.raises(FileNotFoundError, match='nowhere: no such folder'):
        check_picture(tmp_path / 'nowhere' / 'line.png')
