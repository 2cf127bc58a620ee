"""A ROS process that tests steer: JSON commands on stdin, JSON events on stdout, one a line.

`python ros_process.py player` publishes images and detections; `… recorder` says what the node
publishes, and calls its services. Relative topic names in namespace /hoi.
"""

from __future__ import annotations

import json
import sys
import threading
from typing import Any

import rclpy
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.msg import ParameterValue
from rcl_interfaces.srv import SetParameters
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image

from link_hoi_msgs.msg import (
    HoiDetection,
    HoiDetectionArray,
    HoiFrameStats,
    HoiTripletArray,
    HoiVocabulary,
)

RELIABLE = QoSProfile(depth=1000, reliability=ReliabilityPolicy.RELIABLE)
LATCHED = QoSProfile(
    depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
)
NANOSECONDS = 1_000_000_000


def say(event: str, **content: Any) -> None:
    """Print one event; one call is one write, so lines of two threads do not mix."""
    sys.stdout.write(json.dumps({'event': event, **content}) + '\n')
    sys.stdout.flush()


def set_header(message: Any, stamp: int, frame_id: str = 'camera') -> Any:
    message.header.frame_id = frame_id
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp, NANOSECONDS)
    return message


def stamp_of(message: Any) -> int:
    return message.header.stamp.sec * NANOSECONDS + message.header.stamp.nanosec


class Player(Node):
    """Commands: image, compressed, detections, bytes."""

    def __init__(self) -> None:
        super().__init__('player', namespace='hoi')
        self.topics = {
            'image': self.create_publisher(Image, 'image', RELIABLE),
            'compressed': self.create_publisher(CompressedImage, 'image/compressed', RELIABLE),
            'detections': self.create_publisher(HoiDetectionArray, 'detections', RELIABLE),
        }

    def image(self, stamp: int, fields: dict[str, Any], data_length: int) -> None:
        message = set_header(Image(**fields), stamp)
        message.data = bytes(data_length)
        self.topics['image'].publish(message)

    def compressed(self, stamp: int, data: list[int]) -> None:
        message = CompressedImage(format='png', data=bytes(data))
        self.topics['compressed'].publish(set_header(message, stamp))

    def detections(self, stamp: int, rows: list[list[Any]], repeat: int) -> None:
        names = ('class_name', 'score', 'x1', 'y1', 'x2', 'y2', 'track_id')
        message = set_header(HoiDetectionArray(image_width=640, image_height=480), stamp)
        message.detections = [HoiDetection(**dict(zip(names, row))) for row in rows] * repeat
        self.topics['detections'].publish(message)

    def bytes(self, topic: str, data: list[int]) -> None:
        self.topics[topic].publish(bytes(data))


class Recorder(Node):
    """Commands: show_overlay, hide_overlay, change_state, get_state, set_parameter."""

    def __init__(self) -> None:
        super().__init__('recorder', namespace='hoi')
        self.create_subscription(HoiTripletArray, 'triplets', self._on_triplets, RELIABLE)
        self.create_subscription(HoiFrameStats, 'stats', self._on_stats, RELIABLE)
        self.create_subscription(HoiVocabulary, 'vocabulary', self._on_vocabulary, LATCHED)
        self.overlay = None
        self.clients_of_node = {
            'change_state': self.create_client(ChangeState, 'hoi_node/change_state'),
            'get_state': self.create_client(GetState, 'hoi_node/get_state'),
            'set_parameters': self.create_client(SetParameters, 'hoi_node/set_parameters'),
        }

    def show_overlay(self) -> None:
        self.overlay = self.create_subscription(Image, 'overlay', self._on_overlay, RELIABLE)

    def hide_overlay(self) -> None:
        self.destroy_subscription(self.overlay)

    def change_state(self, transition: int) -> None:
        request = ChangeState.Request()
        request.transition.id = transition
        say('changed', success=self._call('change_state', request).success)

    def get_state(self) -> None:
        say('state', label=self._call('get_state', GetState.Request()).current_state.label)

    def set_parameter(self, name: str, value: Any) -> None:
        parameter = Parameter(name, value=value).to_parameter_msg()
        assert isinstance(parameter.value, ParameterValue)
        result = self._call('set_parameters', SetParameters.Request(parameters=[parameter]))
        say('parameter', success=result.results[0].successful, reason=result.results[0].reason)

    def _call(self, service: str, request: Any) -> Any:
        client = self.clients_of_node[service]
        if not client.wait_for_service(20):
            raise TimeoutError(f'no service {service}')
        done = threading.Event()
        future = client.call_async(request)
        future.add_done_callback(lambda _: done.set())
        if not done.wait(60):
            raise TimeoutError(f'no answer from {service}')
        return future.result()

    def _on_triplets(self, message: HoiTripletArray) -> None:
        say(
            'triplets',
            stamp=stamp_of(message),
            frame_id=message.header.frame_id,
            size=[message.image_width, message.image_height],
            model=message.model,
            vocabulary=message.vocabulary_id,
            detections=[[d.class_name, d.score, d.track_id] for d in message.detections],
            triplets=[
                [t.human_index, t.verb, t.object_index, t.object_name, t.score]
                for t in message.triplets
            ],
        )

    def _on_stats(self, message: HoiFrameStats) -> None:
        names = [name for name in message.get_fields_and_field_types() if name != 'header']
        counts = {name: getattr(message, name) for name in names}
        say('stats', stamp=stamp_of(message), **counts)

    def _on_vocabulary(self, message: HoiVocabulary) -> None:
        say(
            'vocabulary',
            id=message.id,
            model=message.model,
            sha256=message.checkpoint_sha256,
            verbs=len(message.verbs),
            objects=len(message.objects),
        )

    def _on_overlay(self, message: Image) -> None:
        say(
            'overlay',
            stamp=stamp_of(message),
            encoding=message.encoding,
            size=[message.width, message.height],
            black=not any(message.data),
        )


def spin(executor: SingleThreadedExecutor) -> None:
    try:
        executor.spin()
    except ExternalShutdownException:
        pass


def main(role: str) -> None:
    """Obey until stdin is closed."""
    rclpy.init(args=[])
    node = {'player': Player, 'recorder': Recorder}[role]()
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    thread = threading.Thread(target=spin, args=[executor], daemon=True)
    thread.start()
    say('ready')
    for line in sys.stdin:
        command = json.loads(line)
        getattr(node, command.pop('do'))(**command)
    rclpy.try_shutdown()
    thread.join(5)


if __name__ == '__main__':
    main(sys.argv[1])
