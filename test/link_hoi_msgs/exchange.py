"""One of two processes that exchange a filled message of each type: `publish` or `receive`.

`publish` offers the messages until it is ended; `receive` prints the names of those that arrived
with every field as it was sent, and ends.
"""

from __future__ import annotations

import importlib
import itertools
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile

from link_hoi_msgs import msg

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
TYPES = [type_ for name, type_ in vars(msg).items() if name.startswith('Hoi')]
PATIENCE = 20  # seconds


def filled(type_: type) -> Any:
    """A message in which every field, nested ones too, has a value of its own."""
    return _filled(type_, itertools.count(1))


def _filled(type_: type, numbers: Iterator[int]) -> Any:
    fields = type_.get_fields_and_field_types()
    return type_(**{name: _value(kind, numbers) for name, kind in fields.items()})


def _value(kind: str, numbers: Iterator[int]) -> Any:
    """A value of a field's type, e.g. 'float', 'uint16', 'sequence<std_msgs/Header>'."""
    if kind.startswith('sequence<'):
        return [_value(kind[len('sequence<') : -1], numbers) for _ in range(2)]
    if '/' in kind:
        package, name = kind.split('/')
        return _filled(getattr(importlib.import_module(f'{package}.msg'), name), numbers)
    number = next(numbers)
    return {'string': f'text {number}', 'float': number + 0.5}.get(kind, number)


def publish(node: Node) -> None:
    publishers = [node.create_publisher(type_, type_.__name__, LATCHED) for type_ in TYPES]
    for type_, publisher in zip(TYPES, publishers):
        publisher.publish(filled(type_))
    with suppress(ExternalShutdownException):  # SIGTERM
        rclpy.spin(node)


def receive(node: Node) -> None:
    received: dict[str, Any] = {}
    for type_ in TYPES:
        name = type_.__name__
        node.create_subscription(
            type_, name, lambda message, name=name: received.update({name: message}), LATCHED
        )
    deadline = time.monotonic() + PATIENCE
    while len(received) < len(TYPES) and time.monotonic() < deadline:
        rclpy.spin_once(node, timeout_sec=0.1)
    print(*sorted(name for name, m in received.items() if m == filled(type(m))), sep='\n')


if __name__ == '__main__':
    rclpy.init()
    role = sys.argv[1]
    {'publish': publish, 'receive': receive}[role](rclpy.create_node(f'test_{role}'))
