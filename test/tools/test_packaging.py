"""What setup.py, package.xml and colcon are told about the packages is true and complete."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).resolve().parents[2]
# Not released for every distribution; the code says what to install where one is asked for.
OPTIONAL = {'foxglove_msgs', 'rosbags', 'yolo_msgs'}
PRINT_DATA_FILES = """
import setuptools
setuptools.setup = lambda **about: print(*sum((files for _, files in about['data_files']), []))
import setup
"""


def test_every_file_of_the_python_packages_is_installed(tmp_path: Path) -> None:
    command = [sys.executable, 'setup.py', '-q', 'egg_info', '--egg-base', tmp_path]
    command += ['build_py', '--build-lib', tmp_path / 'lib']
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=60)
    for package in ('link_hoi_core', 'link_hoi_ros'):
        assert files_below(tmp_path / 'lib' / package) == files_below(ROOT / package)


def files_below(folder: Path) -> set[str]:
    """Paths in `folder`, without what Python compiled."""
    files = (path.relative_to(folder) for path in folder.rglob('*') if path.is_file())
    return {str(path) for path in files if '__pycache__' not in path.parts}


def test_versions_agree() -> None:
    version = re.search(r"version='([\d.]+)'", (ROOT / 'setup.py').read_text())
    assert version is not None
    for package in ('package.xml', 'link_hoi_msgs/package.xml'):
        assert ElementTree.parse(ROOT / package).findtext('version') == version[1], package


@pytest.mark.parametrize('kind', ['msg', 'srv'])
def test_all_messages_and_services_are_built(kind: str) -> None:
    messages = ROOT / 'link_hoi_msgs'
    listed = re.findall(rf'{kind}/(\w+)\.{kind}', (messages / 'CMakeLists.txt').read_text())
    assert listed == sorted(path.stem for path in (messages / kind).glob(f'*.{kind}'))


def test_package_xml_names_every_ros_package_that_is_imported() -> None:
    imported = {
        name
        for folder in ('link_hoi_ros', 'launch')
        for path in (ROOT / folder).rglob('*.py')
        for name in imports(ast.parse(path.read_text()))
    }
    others = {'link_hoi_core', 'link_hoi_ros', 'numpy', 'torch', 'yaml', *OPTIONAL}
    depends = {tag.text for tag in ElementTree.parse(ROOT / 'package.xml').iter('exec_depend')}
    assert imported - others - sys.stdlib_module_names <= depends


def imports(tree: ast.Module) -> Iterator[str]:
    """Names of the packages that a module imports, wherever it does."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split('.')[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module.split('.')[0]


def test_all_of_launch_and_config_is_installed() -> None:
    command = [sys.executable, '-c', PRINT_DATA_FILES]
    printed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=60)
    installed = set(printed.stdout.decode().split())
    for folder in ('launch', 'config'):
        assert {f'{folder}/{name}' for name in files_below(ROOT / folder)} <= installed
