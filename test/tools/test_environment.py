"""Setup does what is due and no more, repairs what was interrupted, and touches nothing foreign."""

from __future__ import annotations

from pathlib import Path

import environment
import pytest
from prerequisites import SetupError

DIGESTS = {'venv': 'a', 'packages': 'b', 'messages': 'c'}


@pytest.fixture
def venv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in the place of `.venv`, with a Python that is there."""
    folder = tmp_path / '.venv'
    python = folder / 'bin' / 'python'
    python.parent.mkdir(parents=True)
    python.touch()
    monkeypatch.setattr(environment, 'VENV', folder)
    monkeypatch.setattr(environment, 'PYTHON', python)
    monkeypatch.setattr(environment, 'STAMP', folder / 'stamp.json')
    monkeypatch.setattr(environment, 'LOG', folder / 'setup.log')
    return folder


@pytest.mark.parametrize(
    ('done', 'unfinished', 'due'),
    [
        (DIGESTS, None, []),
        ({}, None, ['venv', 'packages', 'messages']),
        (DIGESTS | {'messages': 'old'}, None, ['messages']),
        (DIGESTS | {'packages': 'old'}, None, ['packages', 'messages']),
        (DIGESTS | {'venv': 'another Python'}, None, ['venv', 'packages', 'messages']),
        ({}, 'venv', ['venv', 'packages', 'messages']),
        ({'venv': 'a'}, 'packages', ['packages', 'messages']),
        (DIGESTS, 'messages', ['messages']),
    ],
)
def test_due_steps(venv: Path, done: dict, unfinished: str | None, due: list[str]) -> None:
    assert environment.due_steps(done, unfinished, DIGESTS) == due


def test_all_is_due_where_the_python_is_gone(venv: Path) -> None:
    (venv / 'bin' / 'python').unlink()
    assert environment.due_steps(DIGESTS, None, DIGESTS) == list(DIGESTS)


def test_an_environment_of_someone_else_is_left_alone(venv: Path) -> None:
    with pytest.raises(SetupError, match='was not made by this script: move it away'):
        environment.set_up()
    assert (venv / 'bin' / 'python').exists()


def test_nothing_is_done_where_nothing_changed(
    venv: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    distribution = environment.sourced_ros(venv, environment.os.environ)
    environment.write_stamp(environment.wanted(distribution))
    before = sorted(venv.rglob('*'))
    environment.set_up()
    assert capsys.readouterr().out == 'setup: .venv is up to date\n'
    assert sorted(venv.rglob('*')) == before


def test_a_changed_message_leaves_venv_and_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = tmp_path / 'A.msg'
    monkeypatch.setattr(environment, 'MESSAGES', tmp_path)
    message.write_text('string a')
    before = environment.wanted(None)
    message.write_text('string b')
    after = environment.wanted(None)
    assert [step for step in after if after[step] != before[step]] == ['messages']


def test_wheels_and_a_distribution_need_different_environments() -> None:
    assert environment.wanted(None)['venv'] != environment.wanted(Path('/opt/ros/rclpy'))['venv']


def test_without_ament_prefix_no_distribution_is_sourced(venv: Path) -> None:
    assert environment.sourced_ros(venv, {}) is None


def package(site_packages: Path, name: str, content: str = 'pass') -> Path:
    """Install a package of one module; returns its metadata."""
    metadata = site_packages / f'{name}-1.0.dist-info'
    metadata.mkdir(parents=True)
    (site_packages / f'{name}.py').write_text(content)
    record = f'{name}.py,sha256=x,{len(content)}\n{metadata.name}/RECORD,,\n'
    (metadata / 'RECORD').write_text(record)
    return metadata


def test_half_installed_packages_are_forgotten_and_whole_ones_kept(tmp_path: Path) -> None:
    whole = package(tmp_path, 'whole')
    truncated = package(tmp_path, 'truncated')
    (tmp_path / 'truncated.py').write_text('')
    missing = package(tmp_path, 'missing')
    (tmp_path / 'missing.py').unlink()
    unrecorded = package(tmp_path, 'unrecorded')
    (unrecorded / 'RECORD').unlink()
    environment.forget_broken_packages(tmp_path)
    assert whole.exists()
    assert not any(path.exists() for path in (truncated, missing, unrecorded))


def test_a_failed_command_gives_its_error_and_names_the_log(venv: Path) -> None:
    with pytest.raises(SetupError) as failure:
        environment.call(['python3', '-c', 'raise SystemExit("ERROR: no such thing")'], None)
    assert str(failure.value).startswith('ERROR: no such thing (status 1 of "python3"; see ')
    assert 'ERROR: no such thing' in environment.LOG.read_text()


@pytest.mark.parametrize(
    ('output', 'expected'),
    [
        ('Collecting a\nERROR: No matching a\nmore\n', 'ERROR: No matching a'),
        (
            'CMake Error at x.cmake:3 (find_package):\n\n  Could not find "std_msgs"\n\n-- bye\n',
            'CMake Error at x.cmake:3 (find_package): Could not find "std_msgs"',
        ),
        ('one\nKilled\n', 'Killed'),
        ('', 'no output'),
    ],
)
def test_first_error(output: str, expected: str) -> None:
    assert environment.first_error(output) == expected


def test_commands_see_no_trace_of_another_ros_or_python(venv: Path) -> None:
    foreign = {
        'PATH': '/usr/bin',
        'PYTHONPATH': '/opt/other',
        'AMENT_PREFIX_PATH': '/opt/stale',
        'PIP_USER': '1',
        '_ROS_WHEELS_BOOTSTRAP_COMPLETE': '1',
    }
    child = environment.child_environment(foreign, None)
    assert child['AMENT_PREFIX_PATH'] == str(venv)
    assert child['PATH'] == f'{venv}/bin:/usr/bin'
    assert not {'PYTHONPATH', 'PIP_USER', '_ROS_WHEELS_BOOTSTRAP_COMPLETE'} & set(child)


def test_commands_see_the_sourced_distribution(venv: Path) -> None:
    sourced = {'PATH': '/usr/bin', 'PYTHONPATH': '/opt/ros', 'AMENT_PREFIX_PATH': '/opt/ros'}
    child = environment.child_environment(sourced, Path('/opt/ros/rclpy/__init__.py'))
    assert (child['PYTHONPATH'], child['AMENT_PREFIX_PATH']) == ('/opt/ros', '/opt/ros')


def test_foreign_include_folders_are_dropped_and_others_kept(tmp_path: Path) -> None:
    export = tmp_path / 'std_msgs' / 'cmake' / 'aExport.cmake'
    export.parent.mkdir(parents=True)
    foreign = 'INTERFACE_INCLUDE_DIRECTORIES "/opt/python/cp311/include;/opt/python/cp311/numpy"'
    own = 'INTERFACE_INCLUDE_DIRECTORIES "${_IMPORT_PREFIX}/include/std_msgs"'
    export.write_text(f'set({foreign})\nset({own})\n')
    environment.drop_foreign_includes(tmp_path)
    assert export.read_text() == f'set(INTERFACE_INCLUDE_DIRECTORIES "")\nset({own})\n'
