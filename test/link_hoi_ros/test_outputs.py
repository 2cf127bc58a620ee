"""What the node publishes besides triplets: events that start and end, and pictures on demand."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip('link_hoi_msgs.msg', reason='needs ROS 2 and link_hoi_msgs')

PERSON = ['person', 0.9, 200.0, 50.0, 300.0, 400.0, '']
BICYCLE = ['bicycle', 0.9, 150.0, 200.0, 380.0, 460.0, '7']
RIDER = [PERSON, BICYCLE]
STARTED, ENDED = 0, 1
ACTIVATE, DEACTIVATE = 3, 4  # of lifecycle_msgs/Transition
Event = dict[str, Any]
Undo = Callable[[], Any]
START, END = 300_000_000, 500_000_000  # the times that must pass, by default


@pytest.fixture(autouse=True)
def _nobody_in_view(bench) -> None:
    """What a test before has left behind is over."""
    frames(bench, [], 0.7)


def set_parameter(bench, name: str, value: Any) -> None:
    assert bench.recorder.ask('parameter', 'set_parameter', name=name, value=value)['success']


def frames(bench, rows: list[Any], seconds: float) -> int:
    """Images at 30 Hz; the stamp of the last one."""
    for _ in range(round(30 * seconds)):
        bench.frame(rows)
    return bench.stamp


def events(bench, start: int) -> tuple[list[Event], list[Event]]:
    """What started and what ended from position `start` on, once everything has ended."""
    deadline = time.monotonic() + 30
    while True:
        told = bench.recorder.seen('hoi_event', start)
        started, ended = ([e for e in told if e['kind'] == kind] for kind in (STARTED, ENDED))
        if started and len(started) == len(ended):
            return started, ended
        assert time.monotonic() < deadline, told
        time.sleep(0.05)


def test_starts_are_told_when_they_have_lasted_and_ends_when_all_is_over(bench):
    begin = len(bench.recorder.events)
    first = bench.stamp + bench.PERIOD
    frames(bench, RIDER, 0.25)
    assert bench.recorder.seen('hoi_event', begin) == []
    last = frames(bench, RIDER, 0.5)
    frames(bench, [], 0.8)
    started, ended = events(bench, begin)
    assert 'ride' in {event['verb'] for event in started}
    assert sorted(e['verb'] for e in started) == sorted(e['verb'] for e in ended)
    for event in started:
        assert event['object_id'] == '7' and event['human_id'].startswith('person#')
        assert START <= event['stamp'] - first < START + 2 * bench.PERIOD
    for event in ended:
        assert END <= event['stamp'] - last < END + 2 * bench.PERIOD


def deactivate(bench) -> Undo:
    bench.recorder.ask('changed', 'change_state', transition=DEACTIVATE)
    return lambda: bench.recorder.ask('changed', 'change_state', transition=ACTIVATE)


def other_verbs(bench) -> Undo:
    bench.recorder.ask('verbs', 'set_verbs', verbs=['sit on'])
    bench.frame([])
    return lambda: bench.recorder.ask('verbs', 'set_verbs', verbs=[])


def no_events(bench) -> Undo:
    set_parameter(bench, 'publish.events', False)
    bench.frame([])
    return lambda: set_parameter(bench, 'publish.events', True)


def no_camera(bench) -> Undo:
    """Ten seconds of nothing."""
    return lambda: None


def nothing_to_see(bench) -> Undo:
    """Images that cannot be read, for longer than that."""
    for _ in range(60):
        bench.detections(bench.image(encoding='nonsense'), RIDER)
        time.sleep(0.2)
    return lambda: None


@pytest.mark.parametrize(
    'leave',
    [
        deactivate,
        other_verbs,
        no_events,
        pytest.param(no_camera, marks=pytest.mark.slow),
        pytest.param(nothing_to_see, marks=pytest.mark.slow),
    ],
)
def test_what_is_followed_no_longer_has_ended(bench, leave):
    begin = len(bench.recorder.events)
    last = frames(bench, RIDER, 0.5)
    undo = leave(bench)
    _, ended = events(bench, begin)
    assert {event['stamp'] for event in ended} == {last}
    undo()
    bench.wait_active()


def test_an_end_above_the_start_is_refused_and_the_old_rules_stay(bench):
    asked = bench.recorder.ask('parameter', 'set_parameter', name='event.end_score', value=0.9)
    assert not asked['success'] and 'event.start_score' in asked['reason']
    begin = len(bench.recorder.events)
    frames(bench, RIDER, 0.5)
    bench.recorder.wait('hoi_event', start=begin)


def test_markers_are_published_while_someone_looks_and_the_operator_wants_them(bench):
    bench.recorder.send('show_markers')
    deadline = time.monotonic() + 20
    while not bench.recorder.seen('markers') and time.monotonic() < deadline:
        bench.frame(RIDER)
    seen = bench.recorder.wait('markers')
    assert seen['segments'] == 4 + 4 + 1

    set_parameter(bench, 'publish.markers', False)
    bench.frame(RIDER)
    begin = len(bench.recorder.events)
    frames(bench, RIDER, 0.2)
    assert bench.recorder.seen('markers', begin) == []
