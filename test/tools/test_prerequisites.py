"""A machine that lacks something is told what, in one sentence, before anything is done."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import prerequisites
import pytest
from prerequisites import SetupError

ROOT = Path(__file__).resolve().parents[2]
SETUP = ROOT / 'tools' / 'setup_env.py'


def test_an_old_python_is_told_so() -> None:
    pretend = f'import sys, runpy; sys.version_info = (3, 8, 1); runpy.run_path({str(SETUP)!r})'
    result = subprocess.run([sys.executable, '-c', pretend], capture_output=True, text=True)
    assert result.returncode == 1
    assert result.stderr.startswith('setup: link_hoi needs Python 3.10 or newer, not 3.8 (')
    assert len(result.stderr.splitlines()) == 1


def test_an_old_python_can_parse_the_script() -> None:
    ast.parse(SETUP.read_text(), feature_version=(3, 6))


@pytest.mark.parametrize('missing', ['venv', 'ensurepip'])
def test_a_python_without_venv(missing: str) -> None:
    with pytest.raises(SetupError, match='apt install python3-venv'):
        prerequisites.check_venv(lambda module: None if module == missing else object())


@pytest.mark.parametrize(
    ('there', 'expected'),
    [
        ({'make', 'cmake'}, 'no g[+][+] on the PATH.*apt install g[+][+]$'),
        ({'make', 'c++'}, 'no cmake on the PATH.*apt install cmake$'),
        (set(), 'no cmake and no make and no g[+][+] .*apt install cmake make g[+][+]$'),
    ],
)
def test_missing_build_tools_are_named(there: set[str], expected: str) -> None:
    with pytest.raises(SetupError, match=expected):
        prerequisites.check_build_tools(lambda program: program if program in there else None)


@pytest.mark.parametrize('compiler', ['c++', 'g++', 'clang++'])
def test_any_compiler_will_do(compiler: str) -> None:
    there = {'make', 'cmake', compiler}
    prerequisites.check_build_tools(lambda program: program if program in there else None)


def test_missing_python_headers(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match='no .*Python.h.*apt install python3-dev'):
        prerequisites.check_python_headers(tmp_path)


def test_a_full_disk_says_how_much_is_needed(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=f'takes 10 GB .*{tmp_path} has 1.5 GB free'):
        prerequisites.check_disk(tmp_path, free=1_500_000_000)
    prerequisites.check_disk(tmp_path, free=prerequisites.DISK_NEEDED)


@pytest.mark.parametrize(
    ('machine', 'found'),
    [
        (('Linux', 'aarch64', (3, 12)), 'Linux on aarch64'),
        (('Darwin', 'x86_64', (3, 12)), 'Darwin on x86_64'),
        (('Linux', 'x86_64', (3, 15)), 'Python 3.15'),
    ],
)
def test_no_wheels_for_other_machines(machine: tuple[str, str, tuple], found: str) -> None:
    with pytest.raises(SetupError, match=f'no wheels of ROS 2 for {found} .*source a ROS 2'):
        prerequisites.check_wheels(*machine)


@pytest.mark.parametrize('minor', range(10, 15))
def test_wheels_for_every_supported_python(minor: int) -> None:
    prerequisites.check_wheels('Linux', 'x86_64', (3, minor))
