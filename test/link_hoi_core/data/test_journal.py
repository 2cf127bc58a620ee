"""What a long run has done: kept line by line, read again, refused where it is another run's."""

from __future__ import annotations

from pathlib import Path

import pytest

from link_hoi_core.data.journal import Journal

SETTINGS = {'detector': 'a', 'threshold': None}


def test_what_was_appended_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / 'run.jsonl'
    journal = Journal(path, SETTINGS)
    assert journal.entries == [] and not path.exists()
    journal.append([{'n': 1}, {'n': 2}])
    journal.append([{'n': 3}])
    again = Journal(path, SETTINGS)
    assert again.entries == journal.entries == [{'n': 1}, {'n': 2}, {'n': 3}]
    again.remove()
    assert not path.exists()


def test_cut_at_any_byte_it_has_the_whole_lines_and_goes_on(tmp_path: Path) -> None:
    path = tmp_path / 'run.jsonl'
    Journal(path, SETTINGS).append([{'n': 1}, {'n': 2}])
    content = path.read_bytes()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        journal = Journal(path, SETTINGS)
        assert len(journal.entries) == max(0, content[:length].count(b'\n') - 1)
        journal.append([{'n': n} for n in (1, 2)][len(journal.entries) :])
        assert path.read_bytes() == content


def test_other_settings_and_damage_are_refused(tmp_path: Path) -> None:
    path = tmp_path / 'run.jsonl'
    Journal(path, SETTINGS).append([{'n': 1}])
    with pytest.raises(ValueError, match='run.jsonl was begun with threshold None, not 0.5'):
        Journal(path, {**SETTINGS, 'threshold': 0.5})
    path.write_bytes(path.read_bytes() + b'{"n": \n{"n": 3}\n')
    with pytest.raises(ValueError, match='run.jsonl is damaged'):
        Journal(path, SETTINGS)


def test_two_runs_do_not_share_it(tmp_path: Path) -> None:
    first, second = (Journal(tmp_path / 'run.jsonl', SETTINGS) for _ in range(2))
    first.append([{'n': 1}])
    with pytest.raises(FileExistsError, match='run.jsonl was begun by another run meanwhile'):
        second.append([{'n': 2}])
    assert Journal(tmp_path / 'run.jsonl', SETTINGS).entries == [{'n': 1}]
