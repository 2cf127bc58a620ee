"""Processes that a command starts for itself: their logs, their failures and their end."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

KILL_SECONDS = 5.0
LAST_LINES = 12
# The domains whose ports are no ephemeral ones. Each participant of a domain has a port for
# discovery there, by the rule of RTPS (section 9.6.1), numbered in the order of their coming.
DOMAINS = range(1, 102)
MOST_PARTICIPANTS = 30


class ProcessError(Exception):
    """What went wrong with a process, in one sentence, with the last lines of its log."""


class Processes:
    """Running processes; each writes its output to a log in `folder`."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._folder = folder
        self._environment = environment
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, module: str, *arguments: str | Path) -> None:
        """Start `python -m module` with arguments."""
        command = [sys.executable, '-m', module, *map(str, arguments)]
        with _signals_later(), self._log(name).open('wb') as log:
            self._running[name] = subprocess.Popen(
                command, env=self._environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def wait(self, name: str, what: str, done: Callable[[], bool], seconds: float) -> None:
        """Wait until `done()`; process `name` is the one that brings it about.

        Raises:
            ProcessError: a process failed, or it takes longer than `seconds`.
        """
        deadline = time.monotonic() + seconds
        while not done():
            for other, process in self._running.items():
                if process.poll():
                    raise ProcessError(
                        f'the {other} ended with status {process.returncode}'
                        f'{self._last_lines(other)}'
                    )
            if time.monotonic() > deadline:
                raise ProcessError(f'{what} takes over {seconds:.0f} s{self._last_lines(name)}')
            time.sleep(0.05)

    def wait_for_end(self, name: str, what: str, seconds: float) -> None:
        """Wait until process `name` ended well; as `wait`."""
        self.wait(name, what, lambda: self._running[name].poll() == 0, seconds)

    def interrupt(self, name: str) -> None:
        """Ask a process to end."""
        self._running[name].send_signal(signal.SIGINT)

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *error: object) -> None:
        """End all that still run: SIGINT, a bounded wait, SIGKILL."""
        with _signals_later():
            running = [process for process in self._running.values() if process.poll() is None]
            for process in running:
                process.send_signal(signal.SIGINT)
            deadline = time.monotonic() + KILL_SECONDS
            for process in running:
                try:
                    process.wait(max(0.1, deadline - time.monotonic()))
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()

    def _last_lines(self, name: str) -> str:
        lines = self._log(name).read_text(errors='replace').splitlines()[-LAST_LINES:]
        return ''.join(f'\n  {name}: {line}' for line in lines)

    def _log(self, name: str) -> Path:
        return self._folder / f'{name}.log'


def environment() -> dict[str, str]:
    """Nothing leaves this machine and no other run is heard, unless the user set otherwise."""
    defaults = {
        'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST',
        'ROS_DOMAIN_ID': str(_free_domain()),
        'FASTDDS_DEFAULT_PROFILES_FILE': str(_profile()),
        'FASTRTPS_DEFAULT_PROFILES_FILE': str(_profile()),  # its name before ROS 2 Kilted
    }
    return {**defaults, **os.environ}


def _free_domain() -> int:
    """A domain in which no process of this machine is, as far as its ports tell."""
    for domain in random.sample(DOMAINS, len(DOMAINS)):
        ports = [7410 + 250 * domain + 2 * number for number in range(MOST_PARTICIPANTS)]
        if all(map(_is_free, ports)):
            return domain
    raise ProcessError('processes of this machine are in all domains from 1 to 101')


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(('', port))
        except OSError:
            return False
    return True


@contextlib.contextmanager
def _signals_later() -> Iterator[None]:
    """Hold SIGINT and SIGTERM back: in between, a process would be left behind."""
    came: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM)
    handlers = [signal.signal(number, lambda it, _: came.append(it)) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, handlers):
            signal.signal(number, handler)
    if came:
        raise KeyboardInterrupt


def _profile() -> Path:
    """config/fastdds.xml of the checkout, or where the package is installed."""
    checkout = Path(__file__).resolve().parents[1]
    if (checkout / 'package.xml').is_file():
        return checkout / 'config' / 'fastdds.xml'
    from ament_index_python.packages import get_package_share_directory

    return Path(get_package_share_directory('link_hoi_ros')) / 'config' / 'fastdds.xml'
