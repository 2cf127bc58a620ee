"""Each state is found from what is observed, names what is wrong, and says what to do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip('rclpy', reason='needs ROS 2')

from link_hoi_ros.diagnostics import Diagnosis, Diagnostician, Level, State
from link_hoi_ros.graph import Peers
from link_hoi_ros.matching import NANOSECONDS, Counts
from link_hoi_ros.observation import Observation

CAMERA = Peers('/hoi/image', matched=('/camera',))
DETECTOR = Peers('/hoi/detections', matched=('/yolo',))
BEST_EFFORT = 'reliability: Best effort publisher and reliable subscription'


class Robot:
    """A node seen once a second; `run` lets time pass with so many messages a second."""

    def __init__(self, **fields: Any) -> None:
        self.diagnostician = Diagnostician('/hoi/hoi_node')
        self.seen = Observation(
            10**15,
            'active',
            images=CAMERA,
            detections=DETECTOR,
            window=2 * NANOSECONDS,
            latency=12.0,
        )
        self.look(**fields)

    def look(self, **fields: Any) -> Diagnosis:
        """Observe once, with these fields changed for good."""
        self.seen = replace(self.seen, **fields)
        return self.diagnostician.diagnose(self.seen)

    def run(self, seconds: int, images: int = 30, detections: int = 30, **counts: int) -> Diagnosis:
        """Seconds with so many of each; `counts` are fields of Counts, by default all processed."""
        counts = counts or {'detections_paired': images, 'processed': images}
        counts.update(received=images, detections_received=detections)
        for _ in range(seconds):
            now = self.seen.now + NANOSECONDS
            before = vars(self.seen.counts)
            diagnosis = self.look(
                now=now,
                counts=Counts(**{k: v + counts.get(k, 0) for k, v in before.items()}),
                last_image=now if images else self.seen.last_image,
                last_detections=now if detections else self.seen.last_detections,
            )
        return diagnosis


def test_a_node_that_is_not_active_says_which_command_makes_it_so():
    robot = Robot()
    for lifecycle, transition in (('unconfigured', 'configure'), ('inactive', 'activate')):
        found = robot.look(lifecycle=lifecycle, images=None, detections=None)
        assert (found.level, found.state) == (Level.WARN, State.NOT_ACTIVE)
        assert f'ros2 lifecycle set /hoi/hoi_node {transition}' in found.message
    found = robot.look(lifecycle='unconfigured', failure="configure failed: no model 'x'")
    assert found.level == Level.ERROR
    assert "no model 'x'" in found.message
    found = robot.look(lifecycle='configuring', failure='')
    assert found.message.startswith('configuring')


def test_the_first_seconds_are_no_alarm():
    robot = Robot(images=Peers('/hoi/image'), detections=Peers('/hoi/detections'))
    for _ in range(3):
        found = robot.run(1, images=0, detections=0)
        assert (found.level, found.state) == (Level.OK, State.WAITING)
        assert '/hoi/image and detections on /hoi/detections' in found.message
    assert robot.run(1, images=0, detections=0).level == Level.ERROR


@pytest.mark.parametrize('what', ['images', 'detections'])
def test_no_publisher_names_the_topic(what):
    robot = Robot(**{what: Peers(f'/robot/{what}')})
    found = robot.run(4, **{what: 0}, received=0)
    assert (found.level, found.state) == (Level.ERROR, State.NO_PUBLISHER)
    assert f'nobody publishes {what} on /robot/{what}' in found.message


@pytest.mark.parametrize(
    ('what', 'parameter'), [('images', 'qos.image'), ('detections', 'qos.detections')]
)
def test_incompatible_qos_names_the_policy_the_node_and_the_parameter(what, parameter):
    robot = Robot(**{what: Peers(f'/{what}', other_qos=(f'/driver ({BEST_EFFORT})',))})
    found = robot.run(4, **{what: 0}, received=0)
    assert (found.level, found.state) == (Level.ERROR, State.INCOMPATIBLE_QOS)
    for part in ('/driver', BEST_EFFORT, f'/{what}', parameter):
        assert part in found.message


def test_a_wrong_type_names_both():
    types = 'sensor_msgs/msg/CompressedImage, not sensor_msgs/msg/Image'
    robot = Robot(images=Peers('/hoi/image', other_type=(f'/camera ({types})',)))
    found = robot.run(4, images=0)
    assert (found.level, found.state) == (Level.ERROR, State.WRONG_TYPE)
    assert types in found.message


def test_a_camera_that_stops_is_named_with_the_time():
    robot = Robot()
    assert robot.run(10).state == State.RUNNING
    assert robot.run(3, images=0).state == State.RUNNING
    found = robot.run(4, images=0)
    assert (found.level, found.state) == (Level.ERROR, State.NO_IMAGES)
    assert 'for 7 s' in found.message and '/camera' in found.message


def test_images_but_no_detections():
    robot = Robot()
    found = robot.run(5, detections=0, dropped_unmatched=30)
    assert (found.level, found.state) == (Level.ERROR, State.NO_DETECTIONS)
    assert 'images, but no detections on /hoi/detections for 5 s' in found.message
    assert '/yolo' in found.message
    assert robot.run(10).state == State.RUNNING


def test_a_detector_that_comes_back_is_given_time_to_match():
    robot = Robot(nearest_miss=4_000_000)
    assert robot.run(10, detections=0, dropped_unmatched=30).state == State.NO_DETECTIONS
    found = robot.run(2, dropped_unmatched=30, detections_unmatched=30)
    assert (found.level, found.state) == (Level.OK, State.WAITING)
    assert robot.run(2, dropped_unmatched=30, detections_unmatched=30).level == Level.ERROR


def test_a_camera_that_stops_is_not_excused_by_one_that_was_never_heard():
    found = Robot(images=replace(CAMERA, other_qos=('/old (reliability: …)',))).run(4, images=0)
    assert found.state == State.NO_IMAGES
    assert '/camera' in found.message


def test_a_detector_that_may_take_ten_seconds_is_given_ten_seconds():
    robot = Robot(window=10 * NANOSECONDS)
    for _ in range(5):
        for _ in range(9):
            assert robot.run(1, images=1, detections=0, received=1).level == Level.OK
        robot.run(1, images=1, detections=1, detections_paired=1, processed=1)
    assert robot.run(11, images=1, detections=0, received=1).state == State.NO_DETECTIONS


@pytest.mark.parametrize(
    ('miss', 'tolerance', 'words'),
    [
        (4_000_000, 0, 'stamped 4 ms after an image'),
        (-4_000_000, 0, 'stamped 4 ms before an image'),
        (40_000_000, 10_000_000, 'matching.tolerance above 0.04'),
        (-1_700_000_000 * NANOSECONDS, 0, "copy the image's stamp"),
        (0, 0, 'later than matching.window'),
        (9_000_000, 10_000_000, 'later than matching.window'),
        (None, 0, 'see their stamps'),
    ],
)
def test_never_matched_says_by_how_much_and_what_that_means(miss, tolerance, words):
    robot = Robot(nearest_miss=miss, tolerance=tolerance)
    found = robot.run(4, dropped_unmatched=30, detections_unmatched=30)
    assert (found.level, found.state) == (Level.ERROR, State.NEVER_MATCHED)
    assert words in found.message


def test_clocks_that_differ_by_years_are_not_to_be_cured_by_tolerance():
    robot = Robot(nearest_miss=10**18)
    found = robot.run(4, dropped_unmatched=30, detections_unmatched=30)
    assert 'matching.tolerance' not in found.message
    assert '1000000000.000 s' in found.message


def test_a_model_that_always_fails_says_the_error():
    robot = Robot(last_error='box lies outside')
    found = robot.run(4, detections_paired=30, dropped_invalid=30)
    assert (found.level, found.state) == (Level.ERROR, State.FAILING)
    assert found.message == 'every image fails: box lies outside'


def test_one_failed_image_is_a_warning_that_passes():
    robot = Robot()
    robot.run(5)
    robot.run(1, images=30, processed=29, detections_paired=30, dropped_invalid=1)
    found = robot.look(last_error='step 100')
    assert (found.level, found.state) == (Level.WARN, State.FAILING)
    assert '1 of ' in found.message and 'step 100' in found.message
    assert robot.run(6).state == State.RUNNING


def test_images_without_a_stamp_are_told_apart_from_a_failing_model():
    found = Robot().run(4, detections=30, dropped_invalid=30)
    assert (found.level, found.state) == (Level.ERROR, State.FAILING)
    assert 'no stamp' in found.message


@pytest.mark.parametrize('latency', [-1e3, 1e12])
def test_a_latency_between_two_clocks_is_not_taken_for_one(latency):
    found = Robot(latency=latency).run(5)
    assert (found.level, found.state) == (Level.OK, State.RUNNING)
    assert 'use_sim_time' in found.message


def test_a_model_that_hangs_is_not_taken_for_a_slow_one():
    robot = Robot()
    robot.run(10)
    found = robot.run(6, detections_paired=30, dropped_busy=30)
    assert (found.level, found.state) == (Level.ERROR, State.STUCK)


def test_out_of_memory_says_what_is_still_done():
    robot = Robot(pair_limit=54, last_error='CUDA out of memory')
    found = robot.run(5)
    assert (found.level, found.state) == (Level.WARN, State.OUT_OF_MEMORY)
    assert '54 pairs' in found.message and 'max_pairs' in found.message
    assert found.values['pair limit'] == '54'


def test_a_slow_model_says_the_rates_and_a_slow_detector_is_none():
    robot = Robot()
    found = robot.run(6, detections_paired=30, processed=10, dropped_busy=20)
    assert (found.level, found.state) == (Level.WARN, State.SLOW)
    assert '10.0 of 30.0 images a second' in found.message
    robot = Robot()
    found = robot.run(
        6, images=120, detections=5, detections_paired=5, processed=5, dropped_unmatched=115
    )
    assert (found.level, found.state) == (Level.OK, State.RUNNING)
    assert '5.0 of 120.0 images a second, 12 ms' in found.message


def test_two_cameras_on_one_topic_are_named():
    robot = Robot(images=Peers('/hoi/image', matched=('/left', '/right')))
    found = robot.run(5, images=60, processed=30, detections_paired=30, dropped_stale=30)
    assert (found.level, found.state) == (Level.WARN, State.OUT_OF_ORDER)
    assert '/left, /right' in found.message


def test_a_peer_that_is_not_heard_beside_one_that_is_gives_a_warning():
    deaf = Peers('/hoi/triplets', other_qos=('/rviz (durability: ...)',))
    found = Robot(outputs=(Peers('/hoi/stats'), deaf)).run(5)
    assert (found.level, found.state) == (Level.WARN, State.INCOMPATIBLE_QOS)
    assert 'a subscriber hears nothing' in found.message and '/rviz' in found.message
    second = replace(CAMERA, other_type=('/old (other/msg/Image, not sensor_msgs/msg/Image)',))
    found = Robot(images=second).run(5)
    assert (found.level, found.state) == (Level.WARN, State.WRONG_TYPE)
    assert 'some images are not heard' in found.message


def test_a_built_in_detector_wants_no_detections_topic():
    found = Robot(detections=None).run(5, detections=0, processed=30, detections_paired=30)
    assert (found.level, found.state) == (Level.OK, State.RUNNING)


def test_activating_anew_starts_anew():
    robot = Robot()
    robot.run(10)
    robot.look(lifecycle='inactive')
    found = robot.look(lifecycle='active', counts=Counts(), last_image=None, last_detections=None)
    assert found.state == State.WAITING
    # and where nobody looked in between
    robot.run(10)
    found = robot.look(counts=Counts(), last_image=None, last_detections=None)
    assert found.state == State.WAITING
    assert robot.run(4).values['images per second'] == '30.00'


def test_the_values_hold_rates_totals_and_what_the_node_adds():
    robot = Robot(stages={'backbone': 4.25}, about={'model': 'boxes'}, nearest_miss=-1_500_000)
    values = robot.run(10).values
    assert values['images per second'] == values['processed per second'] == '30.00'
    assert values['received'] == values['processed'] == '300'
    assert values['publishers of /hoi/image'] == '/camera'
    assert (values['latency (ms)'], values['backbone (ms)']) == ('12.0', '4.2')
    assert (values['nearest miss (ms)'], values['model']) == ('-1.500', 'boxes')


SECOND = st.fixed_dictionaries(
    {name: st.sampled_from([0, 0, 0, 30]) for name in vars(Counts())}
    | {
        'lifecycle': st.sampled_from(['active', 'active', 'active', 'inactive', 'configuring']),
        'matched': st.sampled_from([(), ('/a',), ('/a', '/b')]),
        'other_qos': st.sampled_from([(), ('/c (reliability: …)',)]),
        'other_type': st.sampled_from([(), ('/d (x, not y)',)]),
        'miss': st.one_of(st.none(), st.integers(-(10**18), 10**18)),
        'step': st.integers(NANOSECONDS, 20 * NANOSECONDS),
    }
)


@settings(max_examples=200, deadline=None)
@given(seconds=st.lists(SECOND, min_size=1, max_size=12))
def test_whatever_is_seen_gives_one_sentence_and_running_means_output(seconds):
    robot = Robot()
    for second in seconds:
        now = robot.seen.now + second['step']
        ends = Peers('/t', second['matched'], second['other_qos'], second['other_type'])
        before = vars(robot.seen.counts)
        found = robot.look(
            now=now,
            lifecycle=second['lifecycle'],
            images=ends,
            counts=Counts(**{name: value + second[name] for name, value in before.items()}),
            last_image=now if second['received'] else robot.seen.last_image,
            last_detections=now if second['detections_received'] else robot.seen.last_detections,
            nearest_miss=second['miss'],
        )
        assert found.message and '\n' not in found.message
        assert all(isinstance(value, str) for value in found.values.values())
        assert (found.state == State.NOT_ACTIVE) == (second['lifecycle'] != 'active')
        if found.state == State.RUNNING:
            assert float(found.values['processed per second']) > 0
