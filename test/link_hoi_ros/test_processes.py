"""Processes that a command starts are alone, are waited for, and end with it."""

from __future__ import annotations

import socket
import time

import pytest

from link_hoi_ros import processes
from link_hoi_ros.processes import ProcessError, Processes, environment


@pytest.fixture
def running(tmp_path):
    with Processes(tmp_path, environment()) as started:
        yield started


@pytest.fixture(autouse=True)
def module(tmp_path, monkeypatch) -> None:
    """A module `sleeper` that the processes run."""
    (tmp_path / 'sleeper.py').write_text(
        'import sys, time\nprint(sys.argv[1])\ntime.sleep(float(sys.argv[2]))\n'
        'sys.exit(int(sys.argv[3]))\n'
    )
    monkeypatch.setenv('PYTHONPATH', str(tmp_path))


def test_a_failed_process_is_told_with_the_end_of_its_log(running):
    running.start('bad', 'sleeper', 'last words', '0', '3')
    with pytest.raises(ProcessError, match='the bad ended with status 3\n  bad: last words'):
        running.wait('bad', 'waiting', lambda: False, 60)


def test_it_waits_for_an_end_and_no_longer_than_it_is_told_to(running):
    running.start('short', 'sleeper', '', '0', '0')
    running.wait_for_end('short', 'the short one', 60)
    running.start('long', 'sleeper', '', '60', '0')
    with pytest.raises(ProcessError, match='the long one takes over 0 s'):
        running.wait_for_end('long', 'the long one', 0.2)


def test_what_still_runs_is_ended(tmp_path):
    started = time.monotonic()
    with Processes(tmp_path, environment()) as running:
        running.start('long', 'sleeper', '', '600', '0')
        child = running._running['long']
    assert child.poll() is not None
    assert time.monotonic() < started + 60


def test_a_domain_is_taken_in_which_nobody_is(monkeypatch):
    """Or else two runs at a time would hear each other."""
    monkeypatch.delenv('ROS_DOMAIN_ID', raising=False)
    monkeypatch.setattr(processes, 'DOMAINS', range(95, 97))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(('', 7410 + 250 * 95 + 2 * 3))  # a fourth participant of domain 95
        assert {environment()['ROS_DOMAIN_ID'] for _ in range(10)} == {'96'}
    monkeypatch.setenv('ROS_DOMAIN_ID', '95')
    assert environment()['ROS_DOMAIN_ID'] == '95'
