"""What only shows after long: leaks, floods and damaged messages."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip('link_hoi_msgs.msg', reason='needs ROS 2 and link_hoi_msgs')

ROOT = Path(__file__).resolve().parents[2]
RIDER = [
    ['person', 0.9, 20.0, 5.0, 30.0, 40.0, '1'],
    ['bicycle', 0.8, 15.0, 20.0, 38.0, 46.0, ''],
]
GROWTH = 1.01


def send_damaged(bench, pairs: int, seed: int) -> int:
    """Send pairs of messages of which one or both are damaged; gives how many messages are."""
    start = len(bench.player.events)
    bench.player.send('mutate', stamp=bench.stamp, count=pairs, seed=seed, rows=RIDER)
    mutated = bench.player.wait('mutated', start=start, limit=250)
    bench.stamp = mutated['stamp']
    assert bench.node.child.poll() is None, bench.node.log()[-2000:]
    return mutated['damaged']


def test_damaged_messages_are_survived(bench):
    assert send_damaged(bench, pairs=500, seed=0) > 500
    bench.wait_active()
    assert bench.frame(RIDER)['triplets']


@pytest.mark.slow
def test_ten_thousand_damaged_messages_leave_nothing_behind(bench):
    send_damaged(bench, pairs=1500, seed=1)
    before = bench.node.memory()
    assert sum(send_damaged(bench, pairs=1500, seed=seed) for seed in range(2, 7)) >= 10_000
    assert bench.node.memory() < GROWTH * before
    bench.wait_active()
    assert bench.frame(RIDER)['triplets']


@pytest.mark.slow
def test_a_flood_of_a_minute_is_counted_in_order_and_not_remembered(bench):
    """A thousand images a second: what waits is bounded, and soon as much as it will ever be."""
    bench.stream(RIDER, count=20_000, rate=1000)
    before, start = bench.node.memory(), len(bench.recorder.events)
    sent = bench.stream(RIDER, count=60_000, rate=1000)
    dropped = bench.settled()['dropped_busy']
    published = [event['stamp'] for event in bench.recorder.seen('triplets', start)]
    assert published == sorted(set(published))
    assert len(set(published) & set(sent)) > 100
    assert dropped > 1000
    assert bench.node.memory() < GROWTH * before


@pytest.mark.slow
def test_two_minutes_of_the_soak_break_no_rule(ros, tmp_path):
    """The rules are those of benchmarks/soak.py, which takes half an hour by itself."""
    result = tmp_path / 'soak.json'
    command = ['benchmarks/soak.py', '--minutes', '2', '--json', str(result)]
    run = subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=ros.environment, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stdout + run.stderr
    figures = json.loads(result.read_text())
    assert figures['sent'] > 2000
    assert figures['events'] > 0 and figures['overlays'] > 0
