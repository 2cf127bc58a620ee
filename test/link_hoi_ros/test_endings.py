"""How the node ends: each signal in each state of its lifecycle, and what its successor finds."""

from __future__ import annotations

import json
import signal
import time

import pytest

pytest.importorskip('link_hoi_msgs.msg', reason='needs ROS 2 and link_hoi_msgs')

RIDER = [
    ['person', 0.9, 20.0, 5.0, 30.0, 40.0, '1'],
    ['bicycle', 0.8, 15.0, 20.0, 38.0, 46.0, ''],
]
CONFIGURE, ACTIVATE = 1, 3
#: The transitions that lead to each state.
STATES = {'unconfigured': [], 'inactive': [CONFIGURE], 'active': [CONFIGURE, ACTIVATE]}


@pytest.mark.slow
@pytest.mark.parametrize('how', [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize('state', STATES)
def test_it_ends_by_every_signal_in_every_state_and_its_successor_works(make_bench, state, how):
    bench = make_bench(autostart=False, score_threshold=0.0)
    for transition in STATES[state]:
        changed = bench.recorder.ask('changed', 'change_state', transition=transition)
        assert changed['success']
    assert bench.recorder.ask('state', 'get_state')['label'] == state
    if state == 'active':
        bench.stream(RIDER, count=20, rate=30)
    end(bench.node, how)
    bench.node = bench.ros.node(score_threshold=0.0)
    bench.wait_active()


def test_a_killed_node_is_heard_again_when_it_was_started_within_two_seconds(make_bench):
    bench = make_bench(score_threshold=0.0)
    bench.wait_active()
    killed = time.monotonic()
    bench.node.kill()
    bench.node = bench.ros.node(score_threshold=0.0)
    assert time.monotonic() - killed < 2
    bench.wait_active()
    assert bench.frame(RIDER)['triplets']


@pytest.mark.parametrize('how', [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_it_ends_while_it_loads_the_model(ros, tmp_path, how):
    fault = tmp_path / 'fault.json'
    fault.write_text(json.dumps({'loading': 'goes on'}))
    node = ros.node(fault=fault)
    deadline = time.monotonic() + 30
    while not fault.with_suffix('.loading').exists():
        assert time.monotonic() < deadline, node.log()
        time.sleep(0.05)
    end(node, how)


def end(node, how: int) -> None:
    """Send the signal: the node ends within ten seconds, and well where it can."""
    started = time.monotonic()
    if how == signal.SIGKILL:
        node.kill()
    else:
        assert node.stop(how) == 0
    assert time.monotonic() < started + 10
    assert 'Traceback' not in node.log()
