"""What a running node is sent out of a bag, and what it answers."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from rclpy.duration import Duration
from rclpy.node import Node, NodeNameNonExistentError

from link_hoi_msgs.msg import HoiFrameStats, HoiTripletArray, HoiVocabulary
from link_hoi_ros import qos
from link_hoi_ros.bags.cameras import DETECTIONS_TYPES, IMAGE_TYPES, LABEL_INFO_TYPE, Camera
from link_hoi_ros.bags.reading import Bag, Recorded, message_class, stamp_of
from link_hoi_ros.bags.shots import label_info
from link_hoi_ros.frame import nanoseconds
from link_hoi_ros.matching import IMAGE_COUNTERS

# Of HoiFrameStats, in the order in which an image goes through them.
STAGES = ('wait', 'convert', 'backbone', 'interaction', 'publish')
# A node that was told the names of classes as a parameter does not listen to any others.
LABEL_SECONDS = 5.0


class Listener:
    """What one node is sent and what it answers.

    Attributes:
        vocabulary: what the node can say; None until it says so.
        answers: triplets for what was published, under the steady time of their arrival.
        published: of each stamp, the steady times at which its image was published, and the loop
            of the bag in which that was.
        counts: the node's counters, as they were last told.
        worked_on: stamp of the image that the node worked on last.
        stages: milliseconds that the node needed for each image, in the order of STAGES.
    """

    def __init__(self, ros: Node, camera: Camera, node: str) -> None:
        self.camera, self.node = camera, node
        namespace, _, self._name = node.rpartition('/')
        self._namespace = namespace or '/'
        self.vocabulary: HoiVocabulary | None = None
        self.answers: list[Recorded] = []
        self.published: dict[int, list[tuple[int, int]]] = {}
        self.counts = self._before = dict.fromkeys(IMAGE_COUNTERS, 0)
        self.worked_on = 0  # stamp in the last stats
        self.stages: list[list[float]] = []
        self.publishers: dict[str, Any] = {}  # by topic of the bag
        self._ros = ros
        results = qos.result_output()
        results.depth = 1000  # none is lost while this process has to wait for its turn
        for topic, message_type, callback, profile, raw in (
            ('triplets', HoiTripletArray, self._on_triplets, results, True),
            ('stats', HoiFrameStats, self._on_stats, results, False),
            ('vocabulary', HoiVocabulary, self._on_vocabulary, qos.latched(), False),
        ):
            ros.create_subscription(message_type, self.topic(topic), callback, profile, raw=raw)

    def topic(self, name: str) -> str:
        """Of the node's outputs."""
        return f'{self._namespace.rstrip("/")}/{name}'

    def connect(self, bag: Bag) -> bool:
        """Publish to the topics that the node listens to; False while it does not listen.

        Raises:
            ValueError: it wants messages of other types than the bag has, or is not alone.
        """
        try:
            heard = self._ros.get_subscriber_names_and_types_by_node(self._name, self._namespace)
        except NodeNameNonExistentError:
            return False
        self.check_alone()
        heard_on = {type_names[0]: topic for topic, type_names in heard}
        inputs = [IMAGE_TYPES, DETECTIONS_TYPES][: len(self.camera.topics)]
        if self.vocabulary is None or not all(types.keys() & heard_on for types in inputs):
            return False
        for topic in self.camera.topics.values():
            if bag.types[topic] not in heard_on:
                wanted = sorted((IMAGE_TYPES | DETECTIONS_TYPES).keys() & heard_on)
                raise ValueError(
                    f'{topic} is {bag.types[topic]}, but {self.node} listens to {", ".join(wanted)}'
                )
            self.publishers[topic] = self._ros.create_publisher(
                message_class(bag.types[topic]), heard_on[bag.types[topic]], qos.result_output()
            )
        self._tell_label_info(bag, heard_on.get(LABEL_INFO_TYPE, self.topic('label_info')))
        return True

    def check_alone(self) -> None:
        """Raise ValueError where another node speaks under the same names: whose is an answer?"""
        count = self._ros.count_publishers(self.topic('stats'))
        if count > 1:
            raise ValueError(f'{count} nodes publish {self.topic("stats")}, expected one')

    def _tell_label_info(self, bag: Bag, topic: str) -> None:
        """Publish the names of the detections' classes, latched as a detector does it."""
        names = label_info(bag, self.camera)
        if names is not None:
            message_type = bag.check_type(names.topic)
            publisher = self._label_info = self._ros.create_publisher(
                message_type, topic, qos.latched()
            )
            publisher.publish(names.data)
            if becomes(lambda: publisher.get_subscription_count() > 0, LABEL_SECONDS):
                publisher.wait_for_all_acked(Duration(seconds=LABEL_SECONDS))

    def start_anew(self) -> None:
        """Count from here on."""
        self._before = self.counts
        self.stages.clear()

    @property
    def gained(self) -> dict[str, int]:
        """What the counters say of the images since `start_anew`."""
        return {name: self.counts[name] - self._before[name] for name in IMAGE_COUNTERS}

    @property
    def settled(self) -> bool:
        """Whether each image that the node received is processed or dropped."""
        fates = (count for name, count in self.counts.items() if name != 'received')
        return self.counts['received'] == sum(fates)

    def publish(self, recorded: Recorded, loop: int) -> None:
        """Publish a message of the bag as it is, in which loop of it."""
        publisher = self.publishers.get(recorded.topic)
        if publisher is None:
            return
        if recorded.topic == self.camera.image:
            times = self.published.setdefault(stamp_of(recorded), [])
            times.append((time.monotonic_ns(), loop))
        publisher.publish(recorded.data)

    def _on_triplets(self, data: bytes) -> None:
        answer = Recorded('triplets', time.monotonic_ns(), bytes(data))
        if stamp_of(answer) in self.published:  # else it is to a probe
            self.answers.append(answer)

    def _on_stats(self, message: HoiFrameStats) -> None:
        self.counts = {name: getattr(message, name) for name in IMAGE_COUNTERS}
        if stamp := nanoseconds(message.header):
            self.worked_on = stamp
            self.stages.append([getattr(message, stage) for stage in STAGES])

    def _on_vocabulary(self, message: HoiVocabulary) -> None:
        self.vocabulary = message


def becomes(done: Callable[[], bool], seconds: float) -> bool:
    """Wait until `done()`, but no longer than so many seconds; whether it is."""
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
