"""The diagnosis on /diagnostics once a second, whatever else the node does or waits for."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.exceptions import InvalidHandle
from rclpy.node import Node
from rclpy.time import Time

from link_hoi_ros import qos
from link_hoi_ros.diagnostics import Diagnosis, Diagnostician
from link_hoi_ros.observation import Observation

PERIOD_SECONDS = 1.0


class DiagnosticsPublisher:
    """Publishes from a thread of its own, in every state of the lifecycle.

    A timer would be silent while a transition loads a model, and while a simulation's clock
    stands still.

    Args:
        observe: looks at the node, from that thread; may find a topic destroyed meanwhile
            (rclpy.exceptions.InvalidHandle).
    """

    def __init__(self, node: Node, observe: Callable[[], Observation]) -> None:
        self._node, self._observe = node, observe
        self._diagnostician = Diagnostician(node.get_fully_qualified_name())
        self._publisher = node.create_publisher(
            DiagnosticArray, '/diagnostics', qos.result_output()
        )
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name='hoi_diagnostics', daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread; to be called before the node is destroyed."""
        self._ended.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._ended.wait(PERIOD_SECONDS):
            try:
                diagnosis = self._diagnostician.diagnose(self._observe())
                name, now = self._node.get_fully_qualified_name(), self._node.get_clock().now()
                self._publisher.publish(diagnosis_message(diagnosis, name, now))
            except InvalidHandle:
                pass  # a topic or the node was destroyed meanwhile; the next second says more
            except Exception:
                if self._node.context.ok():  # else the process is ending
                    sentence = f'no diagnosis: {traceback.format_exc()}'
                    self._node.get_logger().error(sentence, once=True)


def diagnosis_message(diagnosis: Diagnosis, node: str, now: Time) -> DiagnosticArray:
    """One status, named after the node's full name: '/hoi/hoi_node' is 'hoi/hoi_node: state'."""
    status = DiagnosticStatus(
        level=bytes([diagnosis.level]),
        name=f'{node.lstrip("/")}: state',
        message=diagnosis.message,
    )
    values = {'state': diagnosis.state.value, **diagnosis.values}
    status.values = [KeyValue(key=key, value=value) for key, value in values.items()]
    message = DiagnosticArray(status=[status])
    message.header.stamp = now.to_msg()
    return message
