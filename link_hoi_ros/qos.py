"""Named QoS profiles: ask for the least on inputs, offer the most on outputs.

Functions and not constants, because QoS overrides change the profile that a subscription is given.
"""

from __future__ import annotations

from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy


def input_profile(name: str) -> QoSProfile:
    """What a subscription to images or detections asks for.

    Args:
        name: 'sensor_data' (best effort, which any publisher offers) or 'reliable' (nothing is
            lost between, but a best-effort publisher is not heard). Ten frames outlast a hiccup of
            a third of a second.
    """
    reliability = {
        'sensor_data': ReliabilityPolicy.BEST_EFFORT,
        'reliable': ReliabilityPolicy.RELIABLE,
    }[name]
    return QoSProfile(depth=10, reliability=reliability)


def sensor_input() -> QoSProfile:
    """As `input_profile`."""
    return input_profile('sensor_data')


def result_output() -> QoSProfile:
    """Reliable: any subscription matches, and none loses a result while it keeps up."""
    return QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)


def latched_output() -> QoSProfile:
    """Reliable and transient local: a late subscriber gets the last message too."""
    return QoSProfile(
        depth=1,
        reliability=ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.TRANSIENT_LOCAL,
    )
