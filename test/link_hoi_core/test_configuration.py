"""Typed configuration: what is refused says where and what was expected."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from link_hoi_core.configuration import from_dict, load_configuration, to_dict


@dataclass(frozen=True)
class Inner:
    width: int = 8
    rate: float = 0.1
    limit: int | None = None
    flag: bool = False
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outer:
    name: str
    inner: Inner = field(default_factory=Inner)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / 'some.yaml'
    path.write_text('name: first\ninner:\n  width: 16\n  rate: 1e-3\n')
    return path


def test_file_then_assignments(file: Path) -> None:
    found = load_configuration(Outer, file, ['inner.width=32', 'inner.flag=true', 'name=second'])
    assert found == Outer('second', Inner(width=32, rate=1e-3, flag=True))


def test_lists_of_words(file: Path) -> None:
    found = load_configuration(Outer, file, ['inner.names=[one, two]'])
    assert found.inner.names == ('one', 'two')
    assert from_dict(Outer, to_dict(found)) == found


def test_groups_that_the_file_lacks_may_be_assigned(tmp_path: Path) -> None:
    (tmp_path / 'a.yaml').write_text('name: x\n')
    found = load_configuration(Outer, tmp_path / 'a.yaml', ['inner.limit=3', 'inner.rate=2'])
    assert found.inner == Inner(limit=3, rate=2.0)
    assert isinstance(found.inner.rate, float)


def test_resolved_configuration_comes_back(file: Path) -> None:
    found = load_configuration(Outer, file)
    assert from_dict(Outer, to_dict(found)) == found


@pytest.mark.parametrize(
    ('assignment', 'words'),
    [
        ('inner.widht=3', ['unknown key inner.widht', 'inner.width']),
        ('nmae=x', ['unknown key nmae', 'did you mean name?']),
        ('zzzzzzzz=1', ['unknown key zzzzzzzz', 'name, inner']),
        ('inner.width=wide', ['inner.width', "'wide'", 'int']),
        ('inner.width=1.5', ['inner.width', '1.5', 'int']),
        ('inner.width=true', ['inner.width', 'True', 'int']),
        ('inner.rate=true', ['inner.rate', 'True', 'float']),
        ('inner.rate=fast', ['inner.rate', "'fast'", 'float']),
        ('inner.rate=', ['inner.rate', 'None', 'float']),
        ('inner.flag=1', ['inner.flag', '1', 'bool']),
        ('inner.limit=no', ['inner.limit', 'False', 'int']),
        ('inner.names=one', ['inner.names', "'one'", 'list']),
        ('inner.names=[one, 2]', ['inner.names[1]', '2', 'str']),
        ('name=3', ['name', '3', 'str']),
        ('inner=3', ['inner', '3', 'expected keys']),
        ('inner', ['--set inner', 'key=value']),
        ('=3', ['--set =3', 'key=value']),
        ('name.first=3', ['name is a value']),
        ('name=[1', ['YAML']),
    ],
)
def test_bad_assignment_is_one_sentence(file: Path, assignment: str, words: list[str]) -> None:
    with pytest.raises(ValueError) as error:
        load_configuration(Outer, file, [assignment])
    sentence = str(error.value)
    assert '\n' not in sentence
    assert [word for word in words if word not in sentence] == []


@pytest.mark.parametrize(
    ('content', 'words'),
    [
        (b'', ['name']),  # has no default
        (b'inner: {width: 3}', ['name']),
        (b'- a\n- b\n', ['expected keys']),
        (b'just text', ['expected keys']),
        (b'name: [1, 2', ['not valid YAML', 'some.yaml']),
        (b'\xff\xfe\x80\x81', ['some.yaml']),
        (b'name: x\n1: 2\n', ['unknown key 1']),
    ],
)
@pytest.mark.parametrize('assignments', [[], ['inner.width=3']])
def test_bad_file_is_one_sentence(
    file: Path, content: bytes, words: list[str], assignments: list[str]
) -> None:
    file.write_bytes(content)
    with pytest.raises(ValueError) as error:
        load_configuration(Outer, file, assignments)
    sentence = str(error.value)
    assert '\n' not in sentence
    assert [word for word in words if word not in sentence] == []


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match='absent.yaml'):
        load_configuration(Outer, tmp_path / 'absent.yaml')


def test_a_file_changes_its_base(file: Path, tmp_path: Path) -> None:
    """And the base of its base; what it does not name stays."""
    (tmp_path / 'second.yaml').write_text('base: some.yaml\ninner:\n  width: 24\n')
    third = tmp_path / 'third.yaml'
    third.write_text('base: second.yaml\nname: third\n')
    found = load_configuration(Outer, third, ['inner.flag=true'])
    assert found == Outer('third', Inner(width=24, rate=1e-3, flag=True))


def test_a_base_that_leads_back_is_refused(file: Path) -> None:
    file.write_text('base: some.yaml\n')
    with pytest.raises(ValueError, match='is its own base'):
        load_configuration(Outer, file)
