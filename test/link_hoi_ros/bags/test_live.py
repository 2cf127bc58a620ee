"""A bag through running nodes over DDS: every image is accounted for."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from bag_files import START, annotate, jpeg, key, street, write_bag

LIMIT = 240.0


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, '-m', 'link_hoi_ros.bag', 'evaluate', *map(str, arguments), '--live']


def environment() -> dict[str, str]:
    """Without a domain, so that the command takes its own."""
    return {name: value for name, value in os.environ.items() if name != 'ROS_DOMAIN_ID'}


def live(folder: Path, *arguments: str | Path, env: dict[str, str] | None = None) -> dict:
    file = folder / 'figures.json'
    done = subprocess.run(
        command(*arguments, '--json', file),
        env=env or environment(),
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )
    assert done.returncode == 0, done.stderr
    assert 'live: ' in done.stdout
    return json.loads(file.read_text())['live']


def refused(*arguments: str | Path, env: dict[str, str]) -> str:
    """What is said instead of figures."""
    done = subprocess.run(
        command(*arguments), env=env, capture_output=True, text=True, timeout=LIMIT
    )
    assert done.returncode == 2
    assert 'Traceback' not in done.stderr
    return done.stderr


def check_account(found: dict, played: int) -> None:
    """Each image is answered, dropped for a reason, or lost on the way."""
    drops = sum(count for name, count in found.items() if name.startswith('dropped_'))
    assert found['played'] == played
    assert found['received'] == found['processed'] + drops
    assert found['received'] + found['lost_on_the_way'] == played
    assert found['answered'] <= found['processed']


def test_a_node_with_time_enough_answers_all_as_offline(tmp_path):
    path = write_bag(tmp_path / 'bag', street(4))
    labels = annotate(tmp_path / 'labels.json', [key(number) for number in range(4)])
    found = live(tmp_path, path, '--annotations', labels, '--rate', '0.25')
    check_account(found, 4)
    assert found['answered'] == 4
    assert found['differing_frames'] == 0
    assert set(found['difference'].values()) == {0.0}
    latency = found['latency_ms']
    # the detections come 40 ms after their image, at this rate 160
    assert 160 < latency['p50'] <= latency['p95'] <= latency['p99'] <= latency['max']
    assert found['stages_ms']['interaction'] > 0


@pytest.mark.slow
def test_two_cameras_in_loops(tmp_path):
    later = START + 3_000_000
    messages = street(4, '/front') + street(4, '/rear', jpeg, first=later)
    path = write_bag(tmp_path / 'bag', messages, 'sqlite3')
    names = [f'front/{key(n)}' for n in range(4)] + [f'rear/{key(n, later)}' for n in range(4)]
    labels = annotate(tmp_path / 'labels.json', names)
    found = live(tmp_path, path, '--annotations', labels, '--rate', '0.25', '--loops', '3')
    check_account(found, 24)
    assert found['answered'] == 24
    assert found['differing_frames'] == 0
    assert found['difference']['annotated'] == 0


@pytest.mark.slow
def test_a_bag_that_is_too_fast_for_the_node_is_accounted_for_all_the_same(tmp_path):
    path = write_bag(tmp_path / 'bag', street(200))
    labels = annotate(tmp_path / 'labels.json', [key(number) for number in range(20)])
    found = live(tmp_path, path, '--annotations', labels, '--rate', '100')
    check_account(found, 200)
    assert 0 < found['answered'] < 200
    assert found['dropped_busy'] + found['dropped_unmatched'] + found['lost_on_the_way'] > 0
    assert found['differing_frames'] == 0


@pytest.mark.slow
def test_stamps_since_boot_and_a_repeated_image(tmp_path):
    """As of drivers that do not know what time it is, and of cameras that stutter."""
    messages = street(4, first=20_000_000)
    messages.append((messages[4][0], messages[4][1] + 50_000_000, messages[4][2]))
    path = write_bag(tmp_path / 'bag', messages)
    labels = annotate(tmp_path / 'labels.json', [key(n, 20_000_000) for n in range(4)])
    found = live(tmp_path, path, '--annotations', labels, '--rate', '0.25')
    check_account(found, 5)
    assert (found['answered'], found['dropped_stale']) == (4, 1)
    assert found['differing_frames'] == 0


@pytest.mark.slow
def test_a_node_that_runs_already_is_played_to(tmp_path, ros):
    ros.node(score_threshold=0.3)
    path = write_bag(tmp_path / 'bag', street(3))
    labels = annotate(tmp_path / 'labels.json', [key(number) for number in range(3)])
    arguments = [path, '--annotations', labels, '--rate', '0.25', '--node', '/hoi/hoi_node']
    arguments += ['--set', 'score_threshold=0.3']
    for _ in range(2):  # the second time the counters do not begin at 0
        found = live(tmp_path, *arguments, env=ros.environment)
        check_account(found, 3)
        assert found['answered'] == 3
        assert found['differing_frames'] == 0


@pytest.mark.slow
def test_a_node_that_wants_other_messages_is_told_apart(tmp_path, ros):
    ros.node(image_transport='compressed')
    path = write_bag(tmp_path / 'bag', street(3))
    labels = annotate(tmp_path / 'labels.json', [key(number) for number in range(3)])
    said = refused(path, '--annotations', labels, '--node', '/hoi/hoi_node', env=ros.environment)
    assert '/camera/image_raw is sensor_msgs/msg/Image, but /hoi/hoi_node listens to' in said


@pytest.mark.slow
def test_two_nodes_of_one_name_are_not_taken_for_one(tmp_path, ros):
    ros.node()
    ros.node()
    path = write_bag(tmp_path / 'bag', street(20))
    labels = annotate(tmp_path / 'labels.json', [key(0)])
    said = refused(path, '--annotations', labels, '--node', '/hoi/hoi_node', env=ros.environment)
    assert '2 nodes publish /hoi/stats, expected one' in said


@pytest.mark.slow
@pytest.mark.parametrize('how', [signal.SIGINT, signal.SIGTERM])
def test_when_it_is_interrupted_all_its_processes_end(tmp_path, how):
    path = write_bag(tmp_path / 'bag', street(600))
    labels = annotate(tmp_path / 'labels.json', [key(0)])
    process = subprocess.Popen(
        command(path, '--annotations', labels),
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # a shell lets what it runs in the background ignore it
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    group = process.pid
    deadline = time.monotonic() + LIMIT
    try:
        while members(group) < 3 and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.1)
        assert members(group) == 3, process.communicate()[1]  # it, the node and the player
        process.send_signal(how)
        assert process.wait(60) == 130
        assert members(group) == 0
        assert process.stderr.read().strip().endswith('bag: interrupted')
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)


def members(group: int) -> int:
    """How many processes a group has."""
    count = 0
    for stat in Path('/proc').glob('[0-9]*/stat'):
        try:
            fields = stat.read_text().rpartition(')')[2].split()
        except OSError:  # it has just ended
            continue
        count += int(fields[2]) == group and fields[0] != 'Z'
    return count
