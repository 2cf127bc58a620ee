"""Named QoS profiles: ask for the least on inputs, offer the most on outputs.

Functions and not constants, because QoS overrides change the profile that a subscription is given.
"""

from __future__ import annotations

from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy


def input_profile(name: str) -> QoSProfile:
    """What a subscription to images or detections asks for.

    Args:
        name: 'sensor_data' is best effort, which any publisher offers; for 'reliable' nothing is
            lost on the way, but a best-effort publisher is not heard.
    """
    reliability = {
        'sensor_data': ReliabilityPolicy.BEST_EFFORT,
        'reliable': ReliabilityPolicy.RELIABLE,
    }[name]
    # ten frames outlast a hiccup of a third of a second
    return QoSProfile(depth=10, reliability=reliability)


def result_output() -> QoSProfile:
    """Reliable: what a subscription asks for, unless it asks for what was sent before it came."""
    return QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)


def latched() -> QoSProfile:
    """Reliable and transient local: a late subscriber gets the last message too."""
    return QoSProfile(
        depth=1,
        reliability=ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.TRANSIENT_LOCAL,
    )
