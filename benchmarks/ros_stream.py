"""What node_latency.py and soak.py share: a camera with a detector, the node, and who watches it.

The camera, the node and a node that does nothing are processes of their own; this one watches. All
of them are in a DDS domain of their own and use config/fastdds.xml.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from link_hoi_core.benchmark.scenes import HEIGHT, WIDTH, crowded_scene
from link_hoi_core.data.recorded import read_recorded
from link_hoi_core.structures import Detections
from link_hoi_core.vocabulary import load_vocabulary
from link_hoi_msgs.msg import (
    HoiDetectionArray,
    HoiFrameStats,
    HoiTripletArray,
    HoiVocabulary,
)
from link_hoi_ros import qos
from link_hoi_ros.demo import DETECTIONS
from link_hoi_ros.demo_player import detections_message
from link_hoi_ros.frame import nanoseconds
from link_hoi_ros.matching import IMAGE_COUNTERS, NANOSECONDS
from link_hoi_ros.processes import environment

ROOT = Path(__file__).resolve().parents[1]
DROPS = tuple(name for name in IMAGE_COUNTERS if name.startswith('dropped_'))
# Limits, not expectations.
START_SECONDS = 120.0
END_SECONDS = 20.0
# Longer than an image waits for its detections and idle counters wait to be published, together.
SETTLE_SECONDS = 4.0


class Watcher(Node):
    """Notes what the node and its echo publish.

    Attributes:
        triplets, echo: (stamp, time of arrival) of each message, ns.
        stats: the messages.
    """

    def __init__(self) -> None:
        super().__init__('watcher', namespace='hoi')
        self.triplets: list[tuple[int, int]] = []
        self.echo: list[tuple[int, int]] = []
        self.stats: list[HoiFrameStats] = []
        self.ready = threading.Event()
        profile = qos.result_output()
        for topic in ('triplets', 'echo'):
            self.create_subscription(HoiTripletArray, topic, self._note(topic), profile)
        self.create_subscription(HoiFrameStats, 'stats', self.stats.append, profile)
        self.create_subscription(
            HoiVocabulary, 'vocabulary', lambda _: self.ready.set(), qos.latched()
        )

    def _note(self, topic: str) -> Any:
        arrived = getattr(self, topic)
        return lambda message: arrived.append((nanoseconds(message.header), time.time_ns()))

    def counts(self) -> dict[str, int]:
        """The node's counters when nothing is waiting any more."""
        time.sleep(SETTLE_SECONDS)
        return {name: getattr(self.stats[-1], name) for name in IMAGE_COUNTERS}


@contextmanager
def watching() -> Iterator[Watcher]:
    """A watcher whose callbacks run in a thread of their own."""
    rclpy.init(args=[])
    watcher = Watcher()
    executor = SingleThreadedExecutor()
    executor.add_node(watcher)
    thread = threading.Thread(target=_spin, args=[executor], daemon=True)
    thread.start()
    try:
        yield watcher
    finally:
        rclpy.try_shutdown()
        thread.join(END_SECONDS)


@contextmanager
def running(*command: str) -> Iterator[subprocess.Popen[str]]:
    """`python command` until the block is left; then SIGINT, and SIGKILL if that does not help."""
    child = subprocess.Popen(
        [sys.executable, *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield child
    finally:
        child.send_signal(signal.SIGINT)
        try:
            child.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


@contextmanager
def running_node(watcher: Watcher, **parameters: Any) -> Iterator[subprocess.Popen[str]]:
    """The node as it is shipped but for its parameters, ready to work."""
    parameters = {'detections_type': 'hoi', **parameters}
    values = [f'{name}:={json.dumps(value)}' for name, value in parameters.items()]
    values = [part for value in values for part in ('-p', value)]
    watcher.ready.clear()
    command = ('-m', 'link_hoi_ros.hoi_node', '--ros-args', '-r', '__ns:=/hoi', *values)
    with running(*command) as node:
        if not watcher.ready.wait(START_SECONDS):
            raise TimeoutError(f'the node is not active after {START_SECONDS} s')
        yield node


@contextmanager
def running_camera(
    rate: float, scene: str, subscribers: int = 1, lag: int = 0, skip: int = 0
) -> Iterator[Callable[[float], list[int]]]:
    """A camera with a detector; gives what makes it play for so many seconds.

    That in turn gives the stamps of the images it sent, in nanoseconds.

    Args:
        scene: as of `scenes`.
        subscribers: how many must be there before it begins.
        lag: how many images later the detections come.
        skip: of every so many-th image there are none; 0 = of every image there are some.
    """
    arguments = [str(value) for value in (rate, scene, subscribers, lag, skip)]
    with running(__file__, 'camera', *arguments) as camera:

        def play(seconds: float) -> list[int]:
            camera.stdin.write(f'{seconds}\n')
            camera.stdin.flush()
            line = camera.stdout.readline()
            if not line:
                raise ChildProcessError(f'the camera ended with status {camera.wait()}')
            return json.loads(line)

        yield play


def isolate() -> None:
    """Nothing leaves this machine, no other run is heard, and images are not lost."""
    # commands of the package take a domain up to 101, and its tests one up to 227
    os.environ.setdefault('ROS_DOMAIN_ID', str(random.SystemRandom().randint(228, 232)))
    os.environ.update(environment())


def scenes(name: str) -> list[Detections]:
    """What the detector finds, image after image, again and again.

    Args:
        name: 'video', what was recorded for the demo's, or a number of pairs for one same scene.
    """
    vocabulary = load_vocabulary('hico-det')
    if name == 'video':
        recorded = read_recorded(DETECTIONS, vocabulary)
        return [replace(image.detections, image_size=(HEIGHT, WIDTH)) for image in recorded]
    found = crowded_scene(int(name), vocabulary)
    return [replace(found, names=tuple(vocabulary.objects[label] for label in found.labels))]


class Camera(Node):
    """Publishes images and their detections at a rate."""

    def __init__(self, rate: float, scene: str, lag: int, skip: int) -> None:
        super().__init__('camera', namespace='hoi')
        self._period, self._lag, self._skip = 1 / rate, lag, skip
        self._images = self.create_publisher(Image, 'image', qos.result_output())
        self._detections = self.create_publisher(
            HoiDetectionArray, 'detections', qos.result_output()
        )
        self._image = Image(height=HEIGHT, width=WIDTH, encoding='rgb8', step=WIDTH * 3)
        self._image.data.frombytes(random.Random(0).randbytes(WIDTH * HEIGHT * 3))
        header = Header(frame_id='camera')
        self._found = [detections_message(header, found) for found in scenes(scene)]
        self._unanswered: deque[int] = deque()
        self._number = 0

    def connect(self, subscribers: int) -> None:
        """Wait until so many nodes have subscribed to both topics."""
        deadline = time.monotonic() + START_SECONDS
        both = (self._images, self._detections)
        while min(each.get_subscription_count() for each in both) < subscribers:
            if time.monotonic() > deadline:
                raise TimeoutError(f'fewer than {subscribers} subscribers in {START_SECONDS} s')
            time.sleep(0.05)
        time.sleep(2.0)  # a publisher knows of a subscription before that knows of it

    def play(self, seconds: float) -> list[int]:
        """Publish each image when it is due, never two at once to catch up; gives the stamps."""
        stamps: list[int] = []
        due = time.monotonic()
        end = due + seconds
        while due < end:
            time.sleep(max(0.0, due - time.monotonic()))
            stamps.append(time.time_ns())
            self._images.publish(_stamped(self._image, stamps[-1]))
            self._detect(stamps[-1])
            due = max(due + self._period, time.monotonic())
        return stamps

    def _detect(self, stamp: int) -> None:
        """Publish the detections of the image that is `lag` images old."""
        self._number += 1
        self._unanswered.append(0 if self._skip and self._number % self._skip == 0 else stamp)
        if len(self._unanswered) > self._lag:
            stamp = self._unanswered.popleft()
            if stamp:
                found = self._found[self._number % len(self._found)]
                self._detections.publish(_stamped(found, stamp))


def _stamped(message: Any, stamp: int) -> Any:
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp, NANOSECONDS)
    return message


class Echo(Node):
    """Does nothing: answers each image, once its detections are there, with an empty message."""

    def __init__(self) -> None:
        super().__init__('echo', namespace='hoi')
        self.waiting: Header | None = None
        self.answers = self.create_publisher(HoiTripletArray, 'echo', qos.result_output())
        profile = qos.input_profile('sensor_data')
        self.create_subscription(Image, 'image', self._on_message, profile)
        self.create_subscription(HoiDetectionArray, 'detections', self._on_message, profile)

    def _on_message(self, message: Image | HoiDetectionArray) -> None:
        header, other = message.header, self.waiting
        self.waiting = header
        if other is not None and nanoseconds(other) == nanoseconds(header):
            self.answers.publish(HoiTripletArray(header=header))


def _spin(executor: SingleThreadedExecutor) -> None:
    try:
        executor.spin()
    except (KeyboardInterrupt, ExternalShutdownException):
        pass


def _main(role: str, *arguments: str) -> None:
    """What a child process does."""
    rclpy.init(args=[])
    if role == 'camera':
        rate, scene, subscribers, lag, skip = arguments
        camera = Camera(float(rate), scene, int(lag), int(skip))
        camera.connect(int(subscribers))
        for line in sys.stdin:
            print(json.dumps(camera.play(float(line))), flush=True)
    else:
        executor = SingleThreadedExecutor()
        executor.add_node(Echo())
        _spin(executor)
    rclpy.try_shutdown()


if __name__ == '__main__':
    try:
        _main(*sys.argv[1:])
    except KeyboardInterrupt:
        pass
