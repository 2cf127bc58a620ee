"""The messages build in every way that the README names, and cross DDS from process to process."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

pytest.importorskip('rclpy', reason='ROS 2 is absent: make setup')

ROOT = Path(__file__).resolve().parents[2]
EXCHANGE = Path(__file__).with_name('exchange.py')
PROFILE = ROOT / 'config' / 'fastdds.xml'
NAMES = sorted(path.stem for path in (ROOT / 'link_hoi_msgs' / 'msg').glob('*.msg'))


def ros_environment() -> dict[str, str]:
    """For building and running: the sourced distribution, else the environment of this Python."""
    environ = {'AMENT_PREFIX_PATH': sys.prefix, **os.environ}
    environ['PATH'] = f'{Path(sys.executable).parent}:{environ["PATH"]}'
    environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
    environ['ROS_DOMAIN_ID'] = str(random.randrange(102))  # heard by no other test
    return environ


@contextmanager
def publishing(environ: Mapping[str, str]) -> Iterator[list[str]]:
    """A process that publishes; its diagnostics are appended to what is yielded when it ends."""
    diagnostics: list[str] = []
    process = subprocess.Popen(
        [sys.executable, EXCHANGE, 'publish'], env=environ, stderr=subprocess.PIPE, text=True
    )
    try:
        yield diagnostics
    finally:
        process.terminate()
        try:
            diagnostics.append(process.communicate(timeout=10)[1])
        except subprocess.TimeoutExpired:
            process.kill()
            diagnostics.append(process.communicate()[1])


def received(environ: Mapping[str, str]) -> list[str]:
    """Names of the messages that another process receives unchanged."""
    command = [sys.executable, EXCHANGE, 'receive']
    result = subprocess.run(command, env=environ, stdout=subprocess.PIPE, text=True, timeout=60)
    return result.stdout.split()


def exchange(environ: Mapping[str, str]) -> list[str]:
    """Names of the messages that cross from one process to another unchanged."""
    with publishing(environ):
        return received(environ)


def test_every_field_of_every_message_arrives_in_another_process() -> None:
    assert exchange(ros_environment()) == NAMES


def test_the_shipped_dds_profile_is_accepted_and_used() -> None:
    environ = ros_environment() | {'FASTDDS_DEFAULT_PROFILES_FILE': str(PROFILE)}
    before = large_segments()
    with publishing(environ) as diagnostics:
        assert received(environ) == NAMES
        assert large_segments() - before
    assert diagnostics == ['']


def large_segments() -> set[Path]:
    """Shared memory of Fast DDS of at least 32 MB."""
    segments = Path('/dev/shm').glob('fast*_*')  # fastrtps_ up to Fast DDS 2, fastdds_ since
    return {path for path in segments if path.exists() and path.stat().st_size >= 32 * 2**20}


@pytest.mark.slow
def test_plain_cmake_builds_the_messages(tmp_path: Path) -> None:
    environ = ros_environment()
    build, install = tmp_path / 'build', tmp_path / 'install'
    library = f'lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages'
    configure = ['cmake', '-S', ROOT / 'link_hoi_msgs', '-B', build]
    configure += [f'-DCMAKE_INSTALL_PREFIX={install}', f'-DPYTHON_INSTALL_DIR={library}']
    for command in (configure, ['cmake', '--build', build], ['cmake', '--install', build]):
        subprocess.run(command, env=environ, check=True, timeout=240)
    environ['PYTHONPATH'] = f'{install / library}:{environ.get("PYTHONPATH", "")}'
    environ['LD_LIBRARY_PATH'] = f'{install}/lib:{environ.get("LD_LIBRARY_PATH", "")}'
    assert origin('link_hoi_msgs.msg', environ).is_relative_to(install)
    assert exchange(environ) == NAMES


@pytest.mark.slow
def test_colcon_builds_both_packages_from_the_repository_root(tmp_path: Path) -> None:
    environ = ros_environment()
    if shutil.which('colcon', path=environ['PATH']) is None:
        pytest.skip('colcon is absent')
    install = tmp_path / 'install'
    bases = ['--build-base', tmp_path / 'build', '--install-base', install]
    command = ['colcon', '--log-base', tmp_path / 'log', 'build', *bases]
    subprocess.run(command, cwd=ROOT, env=environ, check=True, timeout=240)

    environ = sourced(install / 'setup.bash', environ)
    for module in ('link_hoi_msgs.msg', 'link_hoi_ros', 'link_hoi_core'):
        assert origin(module, environ).is_relative_to(install)
    package = install / 'link_hoi_ros'
    programs = package / 'lib' / 'link_hoi_ros'
    assert {path.name for path in programs.iterdir()} == {'bag', 'demo', 'hoi_node'}
    shared = package / 'share' / 'link_hoi_ros'
    for folder in ('config', 'launch'):
        files = [path.name for path in (ROOT / folder).glob('*.*')]
        assert {path.name for path in shared.joinpath(folder).glob('*.*')} == set(files)
    assert exchange(environ) == NAMES


def sourced(script: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """The environment after `. script`."""
    command = ['bash', '-c', '. "$0" && env -0', script]
    output = subprocess.run(command, env=environ, check=True, capture_output=True, text=True)
    return dict(line.split('=', 1) for line in output.stdout.split('\0') if line)


def origin(module: str, environ: Mapping[str, str]) -> Path:
    """The file that a Python with this environment imports a module from."""
    command = [sys.executable, '-c', f'import {module} as m; print(m.__file__)']
    result = subprocess.run(
        command, env=environ, cwd='/', check=True, capture_output=True, text=True
    )
    return Path(result.stdout.strip())
