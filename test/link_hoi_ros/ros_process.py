"""A ROS process that tests steer: JSON commands on stdin, JSON events on stdout, one a line.

`python ros_process.py player` publishes images and detections; `… recorder` says what the node
publishes, and calls its services. Relative topic names in namespace /hoi.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from random import Random
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.msg import ParameterValue
from rcl_interfaces.srv import SetParameters
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import serialize_message
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CompressedImage, Image
from std_srvs.srv import Trigger
from visualization_msgs.msg import ImageMarker

from link_hoi_msgs.msg import (
    HoiDetection,
    HoiDetectionArray,
    HoiEvent,
    HoiFrameStats,
    HoiTripletArray,
    HoiVocabulary,
)
from link_hoi_msgs.srv import SetVerbs

RELIABLE = QoSProfile(depth=1000, reliability=ReliabilityPolicy.RELIABLE)
LATCHED = QoSProfile(
    depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
)
# A history of 1000 large images would fill the memory.
CAMERA = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
BEST_EFFORT = QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)
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


def damage(data: bytes, random: Random) -> bytes:
    """Change, leave out or add bytes; half of the changes hit the fields before the pixels."""
    kind = random.randrange(4)
    if kind == 0:
        return data[: random.randrange(len(data))]
    if kind == 1:
        return data + random.randbytes(random.randrange(1, 64))
    changed = bytearray(data)
    end = 96 if kind == 2 else len(data)
    for _ in range(random.randrange(1, 9)):
        changed[random.randrange(min(end, len(data)))] = random.choice((0, 1, 127, 128, 255))
    return bytes(changed)


class Player(Node):
    """Commands: its public methods but those of a node."""

    def __init__(self) -> None:
        super().__init__('player', namespace='hoi')
        self.topics = {
            'image': self.create_publisher(Image, 'image', CAMERA),
            'compressed': self.create_publisher(CompressedImage, 'image/compressed', CAMERA),
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

    def clock(self, stamp: int) -> None:
        """Set the simulation's clock."""
        if 'clock' not in self.topics:
            self.topics['clock'] = self.create_publisher(Clock, '/clock', BEST_EFFORT)
        message = Clock()
        message.clock.sec, message.clock.nanosec = divmod(stamp, NANOSECONDS)
        self.topics['clock'].publish(message)

    def best_effort(self) -> None:
        """Offer images with no promise that they arrive, as many camera drivers do."""
        self.destroy_publisher(self.topics['image'])
        self.topics['image'] = self.create_publisher(Image, 'image', BEST_EFFORT)

    def stream(
        self, stamp: int, count: int, rate: float, every: int, fields: dict[str, Any], rows: list
    ) -> None:
        """Publish images at a rate, and detections of every so many-th; then say 'streamed'."""
        message = Image(**fields)
        message.data = bytes(fields['step'] * fields['height'])
        due = time.monotonic()
        for number in range(count):
            time.sleep(max(0.0, due - time.monotonic()))
            due += 1 / rate
            stamp += round(NANOSECONDS / rate)
            self.topics['image'].publish(set_header(message, stamp))
            if number % every == every - 1:
                self.detections(stamp, rows, 1)
        say('streamed', stamp=stamp)

    def mutate(self, stamp: int, count: int, seed: int, rows: list) -> None:
        """Publish pairs of which one message or both are damaged; then say 'mutated'."""
        random = Random(seed)
        image = Image(width=64, height=48, encoding='rgb8', step=192, data=bytes(192 * 48))
        names = ('class_name', 'score', 'x1', 'y1', 'x2', 'y2', 'track_id')
        found = HoiDetectionArray(detections=[HoiDetection(**dict(zip(names, r))) for r in rows])
        messages = 0
        for _ in range(count):
            stamp += 1_000_000
            damaged = random.choice((['image'], ['detections'], ['image', 'detections']))
            messages += len(damaged)
            for topic, message in (('image', image), ('detections', found)):
                data = serialize_message(set_header(message, stamp))
                self.topics[topic].publish(damage(data, random) if topic in damaged else data)
            time.sleep(0.001)
        say('mutated', stamp=stamp, damaged=messages)


class Recorder(Node):
    """Commands: its public methods but those of a node."""

    def __init__(self) -> None:
        super().__init__('recorder', namespace='hoi')
        self.create_subscription(HoiTripletArray, 'triplets', self._on_triplets, RELIABLE)
        self.create_subscription(HoiFrameStats, 'stats', self._on_stats, RELIABLE)
        self.create_subscription(HoiVocabulary, 'vocabulary', self._on_vocabulary, LATCHED)
        self.create_subscription(HoiEvent, 'events', self._on_event, RELIABLE)
        self.create_subscription(DiagnosticArray, '/diagnostics', self._on_diagnostics, RELIABLE)
        self.overlay = self.markers = None
        self.clients_of_node = {
            'change_state': self.create_client(ChangeState, 'hoi_node/change_state'),
            'get_state': self.create_client(GetState, 'hoi_node/get_state'),
            'set_parameters': self.create_client(SetParameters, 'hoi_node/set_parameters'),
            'set_verbs': self.create_client(SetVerbs, 'hoi_node/set_verbs'),
            'snapshot': self.create_client(Trigger, 'hoi_node/snapshot'),
        }

    def show_overlay(self) -> None:
        self.overlay = self.create_subscription(Image, 'overlay', self._on_overlay, RELIABLE)

    def hide_overlay(self) -> None:
        self.destroy_subscription(self.overlay)

    def show_markers(self) -> None:
        self.markers = self.create_subscription(ImageMarker, 'markers', self._on_markers, RELIABLE)

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

    def set_verbs(self, verbs: list[str]) -> None:
        result = self._call('set_verbs', SetVerbs.Request(verbs=verbs))
        say('verbs', success=result.success, message=result.message)

    def snapshot(self) -> None:
        result = self._call('snapshot', Trigger.Request())
        say('snapshot', success=result.success, message=result.message)

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

    def _on_event(self, message: HoiEvent) -> None:
        names = ('kind', 'human_id', 'object_id', 'object_name', 'verb', 'mean_score')
        content = {name: getattr(message, name) for name in names}
        say('hoi_event', stamp=stamp_of(message), **content)

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        (status,) = message.status
        values = {value.key: value.value for value in status.values}
        say('diagnosis', level=status.level[0], name=status.name, message=status.message, **values)

    def _on_markers(self, message: ImageMarker) -> None:
        say('markers', stamp=stamp_of(message), segments=len(message.outline_colors))

    def _on_overlay(self, message: Image) -> None:
        say(
            'overlay',
            stamp=stamp_of(message),
            encoding=message.encoding,
            size=[message.width, message.height],
            black=not any(message.data),
        )


class Stranger(Node):
    """What others bring along. Commands: offer, ask."""

    def __init__(self) -> None:
        super().__init__('stranger', namespace='hoi')
        self.types = {'Image': Image, 'CompressedImage': CompressedImage}

    def offer(self, topic: str, kind: str, reliable: bool) -> None:
        """Be a publisher that never says anything."""
        self.create_publisher(self.types[kind], topic, RELIABLE if reliable else BEST_EFFORT)

    def ask(self, topic: str, kind: str) -> None:
        """Be a subscriber that wants what was published before it came."""
        self.create_subscription(self.types[kind], topic, print, LATCHED)


def spin(executor: SingleThreadedExecutor) -> None:
    try:
        executor.spin()
    except ExternalShutdownException:
        pass


def main(role: str) -> None:
    """Obey until stdin is closed."""
    rclpy.init(args=[])
    node = {'player': Player, 'recorder': Recorder, 'stranger': Stranger}[role]()
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
