"""Who is at the other end of a topic, and who is there but cannot be heard, and why."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rclpy.duration import Infinite
from rclpy.qos import LivelinessPolicy, QoSCompatibility, QoSProfile, qos_check_compatible

if TYPE_CHECKING:
    from rclpy.node import Node
    from rclpy.publisher import Publisher
    from rclpy.subscription import Subscription
    from rclpy.topic_endpoint_info import TopicEndpointInfo

# What the middleware's sentences on incompatible profiles speak of.
_POLICIES = {
    'reliable': 'reliability',
    'transient local': 'durability',
    'deadline': 'deadline',
    'liveliness': 'liveliness',
}


@dataclass(frozen=True)
class Peers:
    """The other ends of one of a node's topics.

    Attributes:
        topic: its full name, remapped.
        matched: full names of the nodes that messages are exchanged with.
        other_qos: those that offer less than is asked, each with the policies in words.
        other_type: those of another message type, each with both types.
    """

    topic: str
    matched: tuple[str, ...] = ()
    other_qos: tuple[str, ...] = ()
    other_type: tuple[str, ...] = ()


def publishers_of(node: Node, subscription: Subscription) -> Peers:
    """The publishers on a subscription's topic, as far as they are discovered.

    Raises:
        rclpy.exceptions.InvalidHandle: the subscription was destroyed.
    """
    return _peers(
        subscription,
        node.get_publishers_info_by_topic(subscription.topic_name),
        lambda theirs: qos_check_compatible(theirs, _announced(subscription.qos_profile)),
    )


def subscribers_of(node: Node, publisher: Publisher) -> Peers:
    """The subscriptions on a publisher's topic, as far as they are discovered.

    Raises:
        rclpy.exceptions.InvalidHandle: the publisher was destroyed.
    """
    return _peers(
        publisher,
        node.get_subscriptions_info_by_topic(publisher.topic_name),
        lambda theirs: qos_check_compatible(_announced(publisher.qos_profile), theirs),
    )


def _peers(
    ours: Subscription | Publisher,
    infos: list[TopicEndpointInfo],
    check: Callable[[QoSProfile], tuple[QoSCompatibility, str]],
) -> Peers:
    our_type = type_name(ours.msg_type)
    matched, other_qos, other_type = [], [], []
    for info in infos:
        name = _node_name(info)
        compatibility, reason = check(info.qos_profile)
        if info.topic_type != our_type:
            other_type.append(f'{name} ({info.topic_type}, not {our_type})')
        elif compatibility == QoSCompatibility.ERROR:
            other_qos.append(f'{name} ({_policies(reason)})')
        else:
            matched.append(name)
    return Peers(ours.topic_name, tuple(matched), tuple(other_qos), tuple(other_type))


def _announced(profile: QoSProfile) -> QoSProfile:
    """A profile as others see it: what rclpy leaves unset is infinite and automatic for them."""
    seen = copy(profile)
    if seen.liveliness == LivelinessPolicy.SYSTEM_DEFAULT:
        seen.liveliness = LivelinessPolicy.AUTOMATIC
    for policy in ('deadline', 'liveliness_lease_duration'):
        if not getattr(seen, policy).nanoseconds:
            setattr(seen, policy, Infinite)
    return seen


def _node_name(info: TopicEndpointInfo) -> str:
    if info.node_name.startswith('_'):  # not discovered yet, or no ROS node at all
        return 'an unnamed node'
    return f'{info.node_namespace.rstrip("/")}/{info.node_name}'


def type_name(message_type: type) -> str:
    """As the graph spells it: 'sensor_msgs/msg/Image'."""
    package, kind, *_ = message_type.__module__.split('.')
    return f'{package}/{kind}/{message_type.__name__}'


def _policies(reason: str) -> str:
    """'ERROR: Best effort publisher and reliable subscription;' with the policy's name before."""
    sentences = [part.removeprefix('ERROR: ') for part in reason.split(';') if 'ERROR: ' in part]
    names = [
        next((name for words, name in _POLICIES.items() if words in sentence), 'QoS')
        for sentence in sentences
    ]
    return ', '.join(f'{name}: {sentence}' for name, sentence in zip(names, sentences))
