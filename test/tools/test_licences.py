"""The table of licences is complete, and only who asks for ultralytics gets copyleft."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

import pytest

requirements = pytest.importorskip('packaging.requirements')

ROOT = Path(__file__).resolve().parents[2]
TABLE = (ROOT / 'docs' / 'licences.md').read_text()


@pytest.fixture(scope='module')
def extras(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Requirements of setup.py by extra; those of everybody under ''."""
    folder = tmp_path_factory.mktemp('egg')
    command = [sys.executable, 'setup.py', '-q', 'egg_info', '--egg-base', folder]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=60)
    found: dict[str, list[str]] = {'': []}
    extra = ''
    for line in (folder / 'link_hoi_ros.egg-info' / 'requires.txt').read_text().split():
        if line.startswith('['):
            extra = line.strip('[]')
            found[extra] = []
        else:
            found[extra].append(line)
    return found


def test_the_table_has_a_row_for_every_requirement(extras: dict[str, list[str]]) -> None:
    named = {requirements.Requirement(line).name for lines in extras.values() for line in lines}
    assert set(re.findall(r'^\| ([\w.-]+) \| .* \| .*\w', TABLE, re.MULTILINE)) == named | {
        'package'
    }
    for extra, lines in extras.items():
        for line in lines:
            row = re.search(rf'^\| {requirements.Requirement(line).name} \|.*', TABLE, re.MULTILINE)
            assert f'`{extra}`' in row[0] or not extra


def test_only_one_extra_brings_copyleft(extras: dict[str, list[str]]) -> None:
    for extra, lines in extras.items():
        copyleft = [name for name in installed(lines) if 'GPL' in licence(name).upper()]
        assert copyleft == [] or extra == 'ultralytics'


def installed(wanted: list[str]) -> set[str]:
    """What these requirements bring along, as far as it is installed here."""
    found: set[str] = set()
    waiting = list(wanted)
    while waiting:
        requirement = requirements.Requirement(waiting.pop())
        marker = requirement.marker
        if requirement.name in found or (marker and not marker.evaluate({'extra': ''})):
            continue
        try:
            waiting += importlib.metadata.requires(requirement.name) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        found.add(requirement.name)
    return found


def licence(name: str) -> str:
    """All that an installed package says of its licence."""
    about = importlib.metadata.metadata(name)
    classifiers = [text for text in about.get_all('Classifier', []) if text.startswith('License')]
    return ' '.join([about.get('License-Expression') or '', *classifiers])
