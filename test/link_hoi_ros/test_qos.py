"""Inputs ask for the least and outputs offer the most, so that the other end is heard."""

from __future__ import annotations

import pytest

pytest.importorskip('rclpy', reason='needs ROS 2')

from rclpy.qos import (
    DurabilityPolicy,
    QoSCompatibility,
    QoSProfile,
    ReliabilityPolicy,
    qos_check_compatible,
)

from link_hoi_ros import qos

EVERY = [
    QoSProfile(depth=1, reliability=reliability, durability=durability)
    for reliability in (ReliabilityPolicy.BEST_EFFORT, ReliabilityPolicy.RELIABLE)
    for durability in (DurabilityPolicy.VOLATILE, DurabilityPolicy.TRANSIENT_LOCAL)
]


def heard(publisher: QoSProfile, subscription: QoSProfile) -> bool:
    return qos_check_compatible(publisher, subscription)[0] != QoSCompatibility.ERROR


def test_the_input_hears_every_publisher_unless_reliable_is_asked_for():
    for publisher in EVERY:
        assert heard(publisher, qos.input_profile('sensor_data'))
        reliable = publisher.reliability == ReliabilityPolicy.RELIABLE
        assert heard(publisher, qos.input_profile('reliable')) == reliable


def test_every_subscription_hears_what_is_latched_and_every_volatile_one_the_results():
    for subscription in EVERY:
        assert heard(qos.latched(), subscription)
        volatile = subscription.durability == DurabilityPolicy.VOLATILE
        assert heard(qos.result_output(), subscription) == volatile


def test_overriding_one_profile_leaves_the_next_as_it_was():
    changed = qos.input_profile('sensor_data')
    changed.depth = 1
    assert qos.input_profile('sensor_data').depth == 10
