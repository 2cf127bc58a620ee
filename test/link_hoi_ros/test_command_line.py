"""The node through the tools of a distribution: `ros2 launch`, `topic`, `param` and others."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip('ros2launch', reason='needs ROS 2 with ros2 launch')
pytest.importorskip('ros2topic', reason='needs ROS 2 with ros2 topic')
pytest.importorskip('link_hoi_msgs.msg', reason='needs link_hoi_msgs')

from ament_index_python.packages import PackageNotFoundError, get_package_prefix

ROS2 = shutil.which('ros2')
LIMIT = 90
SECOND = 1_000_000_000
PICTURE = {'width': 64, 'height': 48, 'encoding': 'rgb8', 'step': 192}
RIDER = [
    ['person', 0.9, 5.0, 2.0, 30.0, 45.0, '7'],
    ['bicycle', 0.8, 4.0, 20.0, 40.0, 46.0, ''],
]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(ROS2 is None, reason='needs the command ros2'),
]


class Shell:
    """Runs `ros2` in the domain of the test, as somebody would type it."""

    def __init__(self, environment: dict[str, str], folder: Path) -> None:
        self._environment = environment | {'PYTHONUNBUFFERED': '1'}
        self._folder = folder
        self._running: list[subprocess.Popen] = []

    def run(self, command: str, *more: str) -> str:
        """What `ros2 command` prints; `more` are arguments with blanks."""
        done = subprocess.run(
            [ROS2, *command.split(), *more],
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LIMIT,
        )
        return done.stdout

    def wait(self, command: str, wanted: str) -> None:
        """Repeat a command until it prints what is wanted, a regular expression."""
        wait_until(lambda: re.search(wanted, self.run(command)), f'{wanted} of ros2 {command}')

    def start(self, command: str) -> tuple[subprocess.Popen, Path]:
        """`ros2 command`, which goes on, and its log."""
        log = self._folder / f'ros2_{len(self._running)}.log'
        with log.open('wb') as output:
            child = subprocess.Popen(
                [ROS2, *command.split()],
                env=self._environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self._running.append(child)
        return child, log

    def close(self) -> None:
        """Ctrl-C for what still runs, and the end of ros2's own daemon."""
        for child in self._running:
            if child.poll() is None:
                interrupt(child)
        self.run('daemon stop')


def interrupt(child: subprocess.Popen) -> int:
    """Ctrl-C, and the exit status; past a limit it is killed."""
    child.send_signal(signal.SIGINT)
    try:
        return child.wait(LIMIT)
    except subprocess.TimeoutExpired:
        child.kill()
        return child.wait()


def wait_until(true: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + LIMIT
    while not true():
        assert time.monotonic() < deadline, f'no {what}'
        time.sleep(0.2)


@pytest.fixture
def shell(ros, tmp_path: Path) -> Iterator[Shell]:
    try:
        get_package_prefix('link_hoi_ros')
    except PackageNotFoundError:
        pytest.skip('link_hoi_ros is not installed where ament looks (colcon build)')
    found = Shell(ros.environment, tmp_path)
    yield found
    found.close()


def test_a_session(shell: Shell, ros) -> None:
    """In one go, because starting the node and each of the tools takes seconds."""
    launch, log = shell.start('launch link_hoi_ros hoi.launch.py detections_type:=hoi')
    stream = {'count': 100_000, 'rate': 10, 'every': 1, 'fields': PICTURE, 'rows': RIDER}
    player = ros.steered('player')
    player.send('stream', stamp=time.time_ns(), **stream)
    shell.wait('lifecycle get /hoi/hoi_node', r'active \[3\]')

    shell.wait('topic echo --once /diagnostics', 'running: ')
    assert "verb='" in shell.run('topic echo --once /hoi/triplets --field triplets')
    assert re.search(r'sha256: \w{64}\n', shell.run('topic echo --once /hoi/vocabulary'))
    rate, printed = shell.start('topic hz /hoi/triplets')
    wait_until(lambda: 'average rate: ' in printed.read_text(), 'rate')
    interrupt(rate)

    name = '/hoi/hoi_node'
    assert '0.2' in shell.run(f'param get {name} score_threshold')
    assert 'successful' in shell.run(f'param set {name} score_threshold 0.1')
    assert 'out of range' in shell.run(f'param set {name} score_threshold 1.5')
    assert 'read-only' in shell.run(f'param set {name} model other')
    assert 'no higher than' in shell.run(f'param describe {name} event.end_score')
    assert 'successful' in shell.run(f'param set {name} verbs', '["ride"]')
    verbs = shell.run(
        f'service call {name}/set_verbs link_hoi_msgs/srv/SetVerbs', '{verbs: [hold]}'
    )
    assert 'success=True' in verbs
    assert 'success=True' in shell.run(f'service call {name}/snapshot std_srvs/srv/Trigger')

    for transition in ('deactivate', 'cleanup', 'configure', 'activate', 'shutdown'):
        assert 'successful' in shell.run(f'lifecycle set {name} {transition}')
    assert 'finalized' in shell.run(f'lifecycle get {name}')
    assert interrupt(launch) == 0
    assert 'process has finished cleanly' in log.read_text()
    player.kill()  # in the middle of its stream


@pytest.mark.parametrize('together', ['true', 'false'])
def test_two_cameras(shell: Shell, together: str) -> None:
    launch, log = shell.start(
        f'launch link_hoi_ros two_cameras.launch.py image:=image_raw one_process:={together} '
        'detections_type:=hoi'
    )
    for camera in ('front', 'rear'):
        shell.wait(f'lifecycle get /{camera}/hoi_node', r'active \[3\]')
        assert f'/{camera}/image_raw: ' in shell.run(f'node info /{camera}/hoi_node')
    assert interrupt(launch) == 0
    assert log.read_text().count('process has finished cleanly') == (1 if together == 'true' else 2)


def test_a_bag_is_played_and_ends_what_was_launched(shell: Shell, tmp_path: Path) -> None:
    pytest.importorskip('rosbag2_py', reason='needs ROS 2 with ros2 bag')
    write_bag(tmp_path / 'bag')
    launch, log = shell.start(
        f'launch link_hoi_ros bag.launch.py bag:={tmp_path / "bag"} detections_type:=hoi'
    )
    assert launch.wait(LIMIT) == 0
    assert log.read_text().count('process has finished cleanly') == 2  # player and node


def write_bag(path: Path) -> None:
    """A bag with one message."""
    rosbag2 = pytest.importorskip('rosbags.rosbag2')
    typesys = pytest.importorskip('rosbags.typesys')
    types = typesys.get_typestore(typesys.Stores.ROS2_HUMBLE)
    message = types.types['std_msgs/msg/String']('hello')
    with rosbag2.Writer(path, version=8) as bag:
        topic = bag.add_connection('/chatter', message.__msgtype__, typestore=types)
        bag.write(topic, SECOND, types.serialize_cdr(message, message.__msgtype__))
