"""JSON files: whole or not at all, and one sentence for a folder that is not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from link_hoi_core.data.json_files import check_json, open_whole, read_json, write_json


@pytest.mark.parametrize('name', ['a.json', 'a.json.gz'])
def test_what_is_written_reads_back_and_has_the_same_bytes(tmp_path: Path, name: str) -> None:
    one, other = tmp_path / name, tmp_path / f'other_{name}'
    for path in (one, other):
        write_json(path, {'café': [1, 0.1, None]})
    assert read_json(one) == {'café': [1, 0.1, None]}
    assert one.read_bytes() == other.read_bytes()


@pytest.mark.parametrize('name', ['a.json', 'a.json.gz'])
def test_a_file_is_never_half_written(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    write_json(path, 'before')
    with pytest.raises(ZeroDivisionError), open_whole(path) as file:
        file.write('"after')
        file.write(str(1 / 0))
    assert read_json(path) == 'before'
    assert list(tmp_path.iterdir()) == [path]


def test_a_path_without_a_folder_is_one_sentence(tmp_path: Path) -> None:
    check_json(None)
    check_json(tmp_path / 'a.json')
    with pytest.raises(FileNotFoundError, match=f'^{tmp_path}/none: no such folder to write'):
        check_json(tmp_path / 'none' / 'a.json')
    with pytest.raises(IsADirectoryError, match='is a folder'):
        check_json(tmp_path)
