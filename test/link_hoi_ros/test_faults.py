"""What happens to cameras, detectors, clocks and models, as it happens: processes over real DDS."""

from __future__ import annotations

import json
import time

import pytest

pytest.importorskip('link_hoi_msgs.msg', reason='needs ROS 2 and link_hoi_msgs')

PERSON = ['person', 0.9, 20.0, 5.0, 30.0, 40.0, '1']
BICYCLE = ['bicycle', 0.8, 15.0, 20.0, 38.0, 46.0, '']
RIDER = [PERSON, BICYCLE]
HOUR = 3600 * 10**9


def wait_until_heard(bench, send, seconds: float = 30.0) -> None:
    """Call `send`, which gives a stamp, until its triplets come: discovery takes a moment."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        stamp = send()
        time.sleep(0.2)
        if any(event.get('stamp') == stamp for event in bench.recorder.seen('triplets')[-5:]):
            return
    pytest.fail(f'no triplets in {seconds} s\n{bench.node.log()}')


def small_frame(bench, camera) -> int:
    """An image of 64 x 48 pixels from a camera, and its detections; gives the stamp."""
    fields = {'width': 64, 'height': 48, 'encoding': 'rgb8', 'step': 192}
    bench.stamp += bench.PERIOD
    camera.send('image', stamp=bench.stamp, fields=fields, data_length=192 * 48)
    bench.detections(bench.stamp, RIDER)
    return bench.stamp


def test_a_killed_detector_is_told_and_its_successor_is_heard(bench):
    detector = bench.ros.steered('player')

    def send(by=None) -> int:
        stamp = bench.image()
        (by or detector).send('detections', stamp=stamp, rows=RIDER, repeat=1)
        return stamp

    wait_until_heard(bench, send)
    before, last = bench.settled(), bench.stamp
    detector.kill()
    bench.told('images but no detections', None)
    assert not [event for event in bench.recorder.seen('triplets') if event['stamp'] > last]
    successor = bench.ros.steered('player')
    wait_until_heard(bench, lambda: send(successor))
    assert bench.settled()['dropped_unmatched'] > before['dropped_unmatched']


def test_a_killed_camera_leaves_a_node_that_hears_the_next_one(bench):
    camera = bench.ros.steered('player')
    wait_until_heard(bench, lambda: small_frame(bench, camera))
    camera.kill()
    lonely = [bench.stamp + number for number in range(1, 6)]
    for stamp in lonely:
        bench.detections(stamp, RIDER)
    successor = bench.ros.steered('player')
    wait_until_heard(bench, lambda: small_frame(bench, successor))
    assert not [e for e in bench.recorder.seen('triplets') if e['stamp'] in lonely]
    bench.settled()


def test_two_detectors_on_one_topic_give_each_image_one_answer(bench):
    other = bench.ros.steered('player')
    stamps = []

    def send() -> int:
        stamps.append(bench.image())
        bench.detections(stamps[-1], RIDER)
        other.send('detections', stamp=stamps[-1], rows=RIDER, repeat=1)
        return stamps[-1]

    for _ in range(3):
        wait_until_heard(bench, send)
    bench.settled()
    published = [event['stamp'] for event in bench.recorder.seen('triplets')]
    assert all(published.count(stamp) <= 1 for stamp in stamps)


def test_the_clock_of_the_camera_may_jump_an_hour_either_way(bench):
    for jump in (HOUR, -HOUR, -HOUR, HOUR):
        bench.stamp += jump
        assert bench.frame(RIDER)['triplets']
    bench.settled()


def test_simulated_time_may_stand_still_and_jump(make_bench):
    """A latency is then the difference to a clock that goes nowhere; frames come through."""
    bench = make_bench(score_threshold=0.0, use_sim_time=True)
    bench.wait_active()
    for now in (bench.stamp, bench.stamp + HOUR, bench.stamp - HOUR):
        bench.player.send('clock', stamp=now)
        bench.stamp = now
        for _ in range(2):
            assert bench.frame(RIDER)['triplets']
    assert 'Traceback' not in bench.node.log()


def test_a_camera_of_120_hz_with_a_detector_of_5_hz(bench):
    """Each answer is of an image that was looked at; those in between are let go, and counted."""
    before = bench.settled()
    start = len(bench.recorder.events)
    detected = bench.stream(RIDER, count=360, rate=120, every=24)
    after = bench.settled()
    published = [event['stamp'] for event in bench.recorder.seen('triplets', start)]
    published.remove(after['stamp'])
    assert set(published) <= set(detected)
    assert published == sorted(set(published))
    assert len(published) >= len(detected) // 2, 'a fifth of a second is enough for each'
    assert after['dropped_unmatched'] > before['dropped_unmatched'] + 200


def test_two_thousand_detections_a_frame_are_read_and_answered(bench):
    for _ in range(3):
        stamp = bench.image()
        bench.detections(stamp, RIDER, repeat=1000)
        triplets = bench.triplets(stamp)
        assert len(triplets['detections']) == 2000
        assert triplets['triplets']


@pytest.fixture(scope='module')
def reliable_bench(run_bench):
    """A node that asks its camera and its detector for reliability."""
    profiles = {'qos.image': 'reliable', 'qos.detections': 'reliable', 'matching.window': 20.0}
    return run_bench(**profiles, **{'detections.image_size': [640, 480]})


def test_4k_images_come_whole_where_reliability_is_asked_for(reliable_bench):
    """25 MB, three times what Fast DDS puts into one message."""
    bench = reliable_bench
    for _ in range(5):
        stamp = bench.image(width=3840, height=2160, step=3 * 3840)
        bench.detections(stamp, RIDER)
        assert bench.triplets(stamp)['size'] == [3840, 2160]
    bench.settled()


def test_a_camera_that_promises_less_than_is_asked_is_named_and_a_better_one_heard(reliable_bench):
    bench = reliable_bench
    bench.player.send('best_effort')
    start = len(bench.recorder.events)
    diagnosis = bench.recorder.wait(
        'diagnosis', lambda event: event['state'] == 'incompatible QoS', start
    )
    assert 'reliab' in diagnosis['message'].lower()
    better = bench.ros.steered('player')
    wait_until_heard(bench, lambda: small_frame(bench, better))


def test_a_camera_that_promises_nothing_is_heard_by_default(bench):
    camera = bench.ros.steered('player')
    camera.send('best_effort')
    wait_until_heard(bench, lambda: small_frame(bench, camera))


def test_two_nodes_on_one_topic_both_answer_every_image(make_bench):
    bench = make_bench(score_threshold=0.0)
    other = bench.ros.node('-r', '__node:=other', score_threshold=0.0)
    bench.wait_active()

    def both_answer() -> bool:
        stamp = bench.frame(RIDER)['stamp']
        time.sleep(0.3)
        answers = [e for e in bench.recorder.seen('triplets') if e['stamp'] == stamp]
        assert all(answer == answers[0] for answer in answers), 'one model, one answer'
        return len(answers) == 2

    deadline = time.monotonic() + 30
    while not both_answer():
        assert time.monotonic() < deadline, other.log()
    assert other.stop() == 0
    assert bench.frame(RIDER)['triplets'], 'the other one goes on'


class Fault:
    """What the model of a faulty node does; nothing wrong to begin with."""

    def __init__(self, path) -> None:
        self.path = path
        self.set()

    def set(self, **what) -> None:
        new = self.path.with_suffix('.new')
        new.write_text(json.dumps(what))
        new.replace(self.path)


@pytest.fixture(scope='module')
def faulty(run_bench, tmp_path_factory):
    """A node whose model fails, and what makes it fail."""
    fault = Fault(tmp_path_factory.mktemp('fault') / 'fault.json')
    return run_bench(fault=fault.path, max_triplets=10_000), fault


#: People side by side: each with each other is a pair.
CROWD = [['person', 0.9, 40.0 * n, 10.0, 40.0 * n + 30, 90.0, str(n)] for n in range(8)]


def pairs(triplets) -> set[tuple[int, int]]:
    return {(row[0], row[2]) for row in triplets['triplets']}


def test_a_model_that_raises_is_told_and_the_node_goes_on_when_it_does_not(faulty):
    bench, fault = faulty
    fault.set(raises='the weights have fallen off')
    stamps = [bench.image() for _ in range(3)]
    for stamp in stamps:
        bench.detections(stamp, RIDER)
        bench.stats(lambda stats, stamp=stamp: stats['stamp'] == stamp)
    told = bench.told('failing', RIDER)
    assert 'fallen off' in told['message']
    assert bench.node.log().count('the weights have fallen off') == 1, 'once, not at each image'
    fault.set()
    bench.told('running', RIDER)
    assert not [e for e in bench.recorder.seen('triplets') if e['stamp'] in stamps]


def test_a_gpu_without_any_memory_left_is_told_and_the_node_goes_on_after_it(faulty):
    bench, fault = faulty
    before = bench.settled()
    fault.set(pairs=0)
    stamp = bench.image()
    bench.detections(stamp, RIDER)
    stats = bench.stats(lambda stats: stats['stamp'] == stamp)
    assert stats['dropped_invalid'] == before['dropped_invalid'] + 1
    assert 'out of memory' in bench.node.log()
    fault.set()
    assert bench.frame(RIDER)['triplets']


def test_a_gpu_with_little_memory_gives_fewer_pairs_and_is_told(make_bench, tmp_path):
    fault = Fault(tmp_path / 'fault.json')
    bench = make_bench(fault=fault.path, score_threshold=0.0, max_triplets=10_000)
    bench.wait_active()
    assert len(pairs(bench.frame(CROWD))) == 56
    fault.set(pairs=20)
    reduced = bench.frame(CROWD)
    assert 2 <= len(pairs(reduced)) <= 20
    assert len(reduced['detections']) == 8, 'all are told, though not all are looked at'
    assert bench.told('out of memory', CROWD)['level'] > 0
    assert bench.settled()['dropped_invalid'] == 0
