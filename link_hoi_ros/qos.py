"""Named QoS profiles: ask for the least on inputs, offer the most on outputs.

Functions and not constants, because QoS overrides change the profile that a subscription is given.
"""

from __future__ import annotations

from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy


def sensor_input() -> QoSProfile:
    """Best effort: any publisher matches. Ten frames outlast a hiccup of a third of a second."""
    return QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)


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
