"""Processes over real DDS: the node, a player and a recorder, each waited for with a limit."""

from __future__ import annotations

import fcntl
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SECOND = 1_000_000_000
# Generous: a loaded machine with two cores takes seconds to import torch.
LIMIT = 30.0

Event = dict[str, Any]


class Process:
    """A child process, its log, and its end."""

    def __init__(self, command: list[str], log: Path, environment: dict[str, str]) -> None:
        self._log = log
        with open(log, 'wb') as stderr:
            self.child = subprocess.Popen(
                [sys.executable, *command],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )

    def log(self) -> str:
        return self._log.read_text(errors='replace')

    def stop(self, how: int = signal.SIGINT, limit: float = 20.0) -> int:
        """Ask it to end and give the exit status; past the limit it is killed.

        To kill at once would leave Fast DDS's shared memory behind, some 35 MB a process.
        """
        self._ask_to_end(how)
        try:
            return self.child.wait(limit)
        except subprocess.TimeoutExpired:
            self.child.kill()
            return self.child.wait(limit)

    def kill(self) -> None:
        """End it as the kernel does when memory runs out, and clean up as `fastdds shm clean`."""
        maps = Path(f'/proc/{self.child.pid}/maps')
        lines = maps.read_text().splitlines() if maps.exists() else []
        segments = {Path(line.split()[-1]) for line in lines if '/dev/shm/fastdds_' in line}
        self.child.kill()
        self.child.wait()
        for segment in segments:
            _remove_if_dead(segment)

    def memory(self) -> float:
        """What it holds in memory, MB, as benchmarks/soak.py: without segments that are shared."""
        status = Path(f'/proc/{self.child.pid}/status').read_text()
        kinds = ('RssAnon', 'RssFile')
        return sum(int(status.split(f'{kind}:')[1].split()[0]) for kind in kinds) / 1024

    def _ask_to_end(self, how: int) -> None:
        if self.child.poll() is None:
            self.child.send_signal(how)


def _remove_if_dead(segment: Path) -> None:
    """Remove shared memory of Fast DDS whose owner, who held a lock beside it, is gone."""
    lock = segment.with_name(f'{segment.name}_el')
    if not lock.exists():
        return
    with lock.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
    segment.unlink(missing_ok=True)
    lock.unlink(missing_ok=True)


class Steered(Process):
    """A `ros_process.py`: takes commands, gives events, ends when its stdin is closed."""

    def __init__(self, role: str, log: Path, environment: dict[str, str]) -> None:
        super().__init__([str(Path(__file__).with_name('ros_process.py')), role], log, environment)
        self.events: list[Event] = []
        self._ended = False
        self._arrived = threading.Condition()
        threading.Thread(target=self._listen, daemon=True).start()
        self.wait('ready')

    def send(self, do: str, **arguments: Any) -> None:
        self.child.stdin.write(json.dumps({'do': do, **arguments}) + '\n')
        self.child.stdin.flush()

    def ask(self, answer: str, do: str, **arguments: Any) -> Event:
        """Send a command and wait for the event that answers it."""
        start = len(self.events)
        self.send(do, **arguments)
        return self.wait(answer, start=start)

    def wait(
        self,
        event: str,
        which: Callable[[Event], bool] = lambda _: True,
        start: int = 0,
        limit: float = LIMIT,
    ) -> Event:
        """The first such event at or after position `start`; fails after `limit` seconds."""

        def found() -> Event | None:
            wanted = (e for e in self.events[start:] if e['event'] == event and which(e))
            return next(wanted, None)

        with self._arrived:
            self._arrived.wait_for(lambda: found() or self._ended, limit)
            result = found()
        assert result, f'no {event} within {limit} s; last: {self.events[-3:]}\n{self.log()}'
        return result

    def seen(self, event: str, start: int = 0) -> list[Event]:
        return [e for e in self.events[start:] if e['event'] == event]

    def _ask_to_end(self, how: int) -> None:
        self.child.stdin.close()

    def _listen(self) -> None:
        for line in self.child.stdout:
            with self._arrived:
                self.events.append(json.loads(line))
                self._arrived.notify_all()
        with self._arrived:
            self._ended = True
            self._arrived.notify_all()


class Ros:
    """Starts processes in one DDS domain of their own and ends them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._processes: list[Process] = []
        domain, self._lock = _own_domain()
        self.environment = {
            **os.environ,
            'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST',
            'ROS_DOMAIN_ID': str(domain),
            'ROS_LOG_DIR': str(folder),
            # without it Fast DDS loses every third image of this size
            'FASTDDS_DEFAULT_PROFILES_FILE': str(ROOT / 'config' / 'fastdds.xml'),
        }

    def node(self, *arguments: str, fault: Path | None = None, **parameters: Any) -> Process:
        """hoi_node in namespace /hoi with our own detections messages and these parameters.

        Args:
            fault: a file that tells the model how to fail, see faulty_node.py.
        """
        parameters = {'detections_type': 'hoi', **parameters}
        values = [f'{name}:={json.dumps(value)}' for name, value in parameters.items()]
        program = ['-m', 'link_hoi_ros.hoi_node']
        if fault is not None:
            program = [str(Path(__file__).with_name('faulty_node.py')), str(fault)]
        command = [*program, '--ros-args', '-r', '__ns:=/hoi', *arguments]
        command += [part for value in values for part in ('-p', value)]
        return self._start(Process, command)

    def program(self, module: str, *arguments: str) -> Process:
        """`python -m module` with arguments."""
        return self._start(Process, ['-m', module, *arguments])

    def steered(self, role: str) -> Steered:
        return self._start(Steered, role)

    def stop(self) -> None:
        for process in self._processes:
            process.stop()
        self._lock.close()

    def _start(self, kind: type, what: Any) -> Any:
        log = self._folder / f'{len(self._processes)}.log'
        process = kind(what, log, self.environment)
        self._processes.append(process)
        return process


def _own_domain() -> tuple[int, IO[str]]:
    """A domain that no other test on this machine is in, until the lock is closed.

    Commands that choose one themselves take one up to 101, and benchmarks one from 228 on. The
    ports of those between are the kernel's to give away.
    """
    for domain in random.SystemRandom().sample(range(215, 228), 13) + list(range(1, 101)):
        lock = open(Path(tempfile.gettempdir()) / f'link_hoi_ros_domain_{domain}.lock', 'w')
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return domain, lock
        except BlockingIOError:
            lock.close()
    raise RuntimeError('all domains are in use by tests')


class Bench:
    """A node, a player and a recorder that have found each other.

    Stamps grow from image to image; a test may set `stamp` back.
    """

    PERIOD = SECOND // 30

    def __init__(self, ros: Ros, *arguments: str, **parameters: Any) -> None:
        """Start them; the arguments are those of `Ros.node`."""
        self.ros = ros
        self.node = ros.node(*arguments, **parameters)
        self.recorder = ros.steered('recorder')
        self.player = ros.steered('player')
        self.stamp = 1_700_000_000 * SECOND + 987_654_321

    def wait_active(self, send: Callable[[], int] | None = None) -> None:
        """Send images until one comes through: best-effort readers miss what comes too early.

        Args:
            send: publishes one image and gives its stamp; by default `image`.
        """
        deadline = time.monotonic() + LIMIT
        while time.monotonic() < deadline:
            assert self.node.child.poll() is None, self.node.log()
            stamp = (send or self.image)()
            self.detections(stamp, [])
            time.sleep(0.2)
            answers = [e['event'] for e in self.recorder.events if e.get('stamp') == stamp]
            if {'triplets', 'stats'} <= set(answers):
                self.recorder.wait('vocabulary')
                return
        pytest.fail(f'no image came through in {LIMIT} s\n{self.node.log()}')

    def image(self, stamp: int | None = None, data_length: int | None = None, **fields) -> int:
        """Publish a black image, 640 x 480 rgb8 unless told otherwise; gives its stamp."""
        if stamp is None:
            self.stamp += self.PERIOD
            stamp = self.stamp
        fields = {'width': 640, 'height': 480, 'encoding': 'rgb8', 'step': 1920, **fields}
        length = fields['step'] * fields['height'] if data_length is None else data_length
        self.player.send('image', stamp=stamp, fields=fields, data_length=length)
        return stamp

    def detections(self, stamp: int, rows: list[list[Any]], repeat: int = 1) -> None:
        """Publish rows of class, score, x1, y1, x2, y2, track id."""
        self.player.send('detections', stamp=stamp, rows=rows, repeat=repeat)

    def stream(
        self, rows: list[list[Any]], count: int, rate: float, every: int = 1, **fields: Any
    ) -> list[int]:
        """Publish images at a rate, and detections of every so many-th; gives the latter's stamps.

        Args:
            fields: of the image message, 64 x 48 rgb8 unless told otherwise.
        """
        fields = {'width': 64, 'height': 48, 'encoding': 'rgb8', 'step': 192, **fields}
        period, start, first = round(SECOND / rate), len(self.player.events), self.stamp
        arguments = {'count': count, 'rate': rate, 'every': every, 'fields': fields, 'rows': rows}
        self.player.send('stream', stamp=first, **arguments)
        limit = LIMIT + 3 * count / rate
        self.stamp = self.player.wait('streamed', start=start, limit=limit)['stamp']
        return [first + number * period for number in range(every, count + 1, every)]

    def told(self, state: str, rows: list[list[Any]] | None) -> Event:
        """The diagnosis of a state; images, with detections or None, come until it is told."""
        start, deadline = len(self.recorder.events), time.monotonic() + LIMIT
        while time.monotonic() < deadline:
            stamp = self.image()
            if rows is not None:
                self.detections(stamp, rows)
            time.sleep(0.1)
            for diagnosis in self.recorder.seen('diagnosis', start):
                if diagnosis['state'] == state:
                    return diagnosis
        pytest.fail(f'no diagnosis {state!r} in {LIMIT} s: {self.recorder.events[-3:]}')

    def settled(self) -> Event:
        """The counters when nothing is pending, after a frame of their own; their books balance."""
        stamp = self.frame([])['stamp']
        stats = self.stats(lambda stats: stats['stamp'] == stamp)
        dropped = sum(count for name, count in stats.items() if name.startswith('dropped_'))
        assert stats['received'] == stats['processed'] + dropped
        return stats

    def frame(self, rows: list[list[Any]]) -> Event:
        """Publish an image with its detections and wait for its triplets."""
        stamp = self.image()
        self.detections(stamp, rows)
        return self.triplets(stamp)

    def triplets(self, stamp: int) -> Event:
        return self.recorder.wait('triplets', lambda event: event['stamp'] == stamp)

    def stats(self, which: Callable[[Event], bool]) -> Event:
        """Wait until the counters are as `which` says."""
        return self.recorder.wait('stats', which)


@pytest.fixture
def ros(tmp_path: Path) -> Iterator[Ros]:
    """Processes of one test."""
    processes = Ros(tmp_path)
    yield processes
    processes.stop()


@pytest.fixture(scope='module')
def run_bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Bench]]:
    """Starts nodes that the tests of a file share, each in a domain of its own."""
    pytest.importorskip('link_hoi_msgs.msg', reason='needs ROS 2 and link_hoi_msgs')
    started: list[Ros] = []

    def start(*arguments: str, **parameters: Any) -> Bench:
        started.append(Ros(tmp_path_factory.mktemp('ros')))
        running = Bench(started[-1], *arguments, score_threshold=0.0, **parameters)
        running.wait_active()
        return running

    yield start
    for processes in started:
        processes.stop()


@pytest.fixture(scope='module')
def bench(run_bench: Callable[..., Bench]) -> Bench:
    """One running node for all tests of a file: it goes on after whatever it is sent."""
    config = ROOT / 'config' / 'hoi.yaml'
    return run_bench('--params-file', str(config), **{'matching.window': 1.0})


@pytest.fixture
def make_bench(ros: Ros) -> Callable[..., Bench]:
    """A node of the test's own, with parameters."""
    pytest.importorskip('link_hoi_msgs.msg', reason='needs ROS 2 and link_hoi_msgs')
    return lambda **parameters: Bench(ros, **parameters)


@pytest.fixture
def make_node(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Any]]:
    """Nodes in namespace /robot that are participants of their own, as processes would be."""
    rclpy = pytest.importorskip('rclpy', reason='needs ROS 2')
    monkeypatch.setenv('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    domain = random.SystemRandom().randint(1, 100)
    contexts = []

    def make(name: str) -> Any:
        contexts.append(rclpy.Context())
        rclpy.init(context=contexts[-1], domain_id=domain)
        return rclpy.create_node(name, namespace='/robot', context=contexts[-1])

    yield make
    for context in contexts:
        context.shutdown()
