"""What the graph says of the other ends, between participants of real DDS."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

pytest.importorskip('rclpy', reason='needs ROS 2')

from rclpy.duration import Duration
from rclpy.exceptions import InvalidHandle
from rclpy.qos import DurabilityPolicy, LivelinessPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image

from link_hoi_ros import qos
from link_hoi_ros.graph import Peers, publishers_of, subscribers_of

BEST_EFFORT = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
RELIABLE = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)


def wait_for(look: Callable[[], Peers], number: int) -> Peers:
    """Look until so many other ends are discovered, and their nodes' names."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        peers = look()
        ends = peers.matched + peers.other_qos + peers.other_type
        if len(ends) == number and not any('unnamed' in end for end in ends):
            return peers
        time.sleep(0.05)
    return look()


def test_publishers_are_matched_or_refused_with_the_reason(make_node):
    us, camera, driver, codec = (make_node(name) for name in ('us', 'camera', 'driver', 'codec'))
    subscription = us.create_subscription(Image, 'image', print, RELIABLE)
    assert publishers_of(us, subscription) == Peers('/robot/image')
    camera.create_publisher(Image, 'image', RELIABLE)
    driver.create_publisher(Image, 'image', BEST_EFFORT)
    codec.create_publisher(CompressedImage, 'image', BEST_EFFORT)
    assert wait_for(lambda: publishers_of(us, subscription), 3) == Peers(
        '/robot/image',
        matched=('/robot/camera',),
        other_qos=('/robot/driver (reliability: Best effort publisher and reliable subscription)',),
        other_type=('/robot/codec (sensor_msgs/msg/CompressedImage, not sensor_msgs/msg/Image)',),
    )


def test_subscribers_that_ask_for_more_than_is_offered_are_named_with_every_policy(make_node):
    us, tool = make_node('us'), make_node('tool')
    publisher = us.create_publisher(Image, 'overlay', qos.result_output())
    greedy = QoSProfile(
        depth=1,
        durability=DurabilityPolicy.TRANSIENT_LOCAL,
        deadline=Duration(seconds=1),
        liveliness=LivelinessPolicy.MANUAL_BY_TOPIC,
    )
    tool.create_subscription(Image, 'overlay', print, greedy)
    (refused,) = wait_for(lambda: subscribers_of(us, publisher), 1).other_qos
    assert refused.startswith('/robot/tool (durability: Volatile publisher')
    assert 'deadline: ' in refused and 'liveliness: ' in refused
    assert 'reliability' not in refused


def test_what_the_inputs_ask_for_and_the_outputs_offer_suits_everybody(make_node):
    us, other = make_node('us'), make_node('other')
    subscription = us.create_subscription(Image, 'image', print, BEST_EFFORT)
    publisher = us.create_publisher(Image, 'overlay', qos.result_output())
    for profile in (BEST_EFFORT, RELIABLE, qos.latched()):
        other.create_publisher(Image, 'image', profile)
    for profile in (BEST_EFFORT, RELIABLE):
        other.create_subscription(Image, 'overlay', print, profile)
    assert len(wait_for(lambda: publishers_of(us, subscription), 3).matched) == 3
    assert len(wait_for(lambda: subscribers_of(us, publisher), 2).matched) == 2


def test_a_subscription_that_is_gone_is_told_by_an_exception(make_node):
    us = make_node('us')
    subscription = us.create_subscription(Image, 'image', print, RELIABLE)
    us.destroy_subscription(subscription)
    with pytest.raises(InvalidHandle):
        publishers_of(us, subscription)
