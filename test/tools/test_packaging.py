"""What setup.py, package.xml and colcon are told about the packages is true and complete."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[2]


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


def test_all_messages_are_built() -> None:
    messages = ROOT / 'link_hoi_msgs'
    listed = re.findall(r'msg/(\w+)\.msg', (messages / 'CMakeLists.txt').read_text())
    assert listed == sorted(path.stem for path in (messages / 'msg').glob('*.msg'))
