"""The node's publishers, and what each of them shows of a frame.

Triplets, events, vocabulary and stats always go out. Pictures are made only while someone
subscribes to them.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import fields
from typing import Any

from rclpy.duration import Duration
from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import Image
from visualization_msgs.msg import ImageMarker

from link_hoi_core.drawing import draw_interactions
from link_hoi_core.models import Predictor
from link_hoi_msgs.msg import HoiEvent, HoiFrameStats, HoiTripletArray, HoiVocabulary
from link_hoi_ros import qos
from link_hoi_ros.annotations import image_annotations, image_markers
from link_hoi_ros.events import Event, EventRules, EventTracker, event_message
from link_hoi_ros.frame import Frame
from link_hoi_ros.graph import Peers, subscribers_of
from link_hoi_ros.guard import Guard
from link_hoi_ros.images import rgb_to_image
from link_hoi_ros.messages import triplets_message, vocabulary_message

# What is on its way is lost with its publisher; who has stopped listening must not hold us up.
ARRIVAL = Duration(seconds=0.5)


class Outputs:
    """Publishes frames.

    The worker's thread publishes and shows; the executor's tells the vocabulary, and ends the
    events once the worker has ended; the diagnostics' asks for the subscribers.
    """

    def __init__(self, node: LifecycleNode, value: Callable[[str], Any], guard: Guard) -> None:
        """Create the publishers.

        Args:
            value: a parameter of `parameter_table` by name, as it is now.
            guard: keeps a picture that fails from stopping the others.
        """
        self._node, self._value, self._guard = node, value, guard
        self._events = EventTracker(event_rules(value))
        self._followed: Frame | None = None
        types = {
            'triplets': HoiTripletArray,
            'events': HoiEvent,
            'stats': HoiFrameStats,
            'overlay': Image,
            'markers': ImageMarker,
        }
        if importlib.util.find_spec('foxglove_msgs'):
            from foxglove_msgs.msg import ImageAnnotations

            types['annotations'] = ImageAnnotations
        self._publishers = {
            topic: node.create_lifecycle_publisher(message_type, topic, qos.result_output())
            for topic, message_type in types.items()
        }
        self._publishers['vocabulary'] = node.create_lifecycle_publisher(
            HoiVocabulary, 'vocabulary', qos.latched()
        )

    def destroy(self) -> None:
        """Take the publishers back, once the last events have arrived."""
        self._publishers['events'].wait_for_all_acked(ARRIVAL)
        while self._publishers:
            self._node.destroy_lifecycle_publisher(self._publishers.popitem()[1])

    def subscribers(self) -> tuple[Peers, ...]:
        """Those of each topic.

        Raises:
            rclpy.exceptions.InvalidHandle: nothing is published any longer.
        """
        publishers = list(self._publishers.values())
        return tuple(subscribers_of(self._node, publisher) for publisher in publishers)

    def tell_vocabulary(self, predictor: Predictor) -> None:
        """Publish what the model can say from now on."""
        self._publishers['vocabulary'].publish(
            vocabulary_message(
                predictor.vocabulary, predictor.model_name, predictor.checkpoint_sha256
            )
        )

    def publish(self, frame: Frame) -> None:
        """Publish the triplets."""
        self._publishers['triplets'].publish(
            triplets_message(
                frame.header, frame.detections, frame.interactions, frame.vocabulary, frame.model
            )
        )

    def show(self, frame: Frame) -> None:
        """Publish what else a frame gives: events, and pictures for those who look."""
        if self._value('publish.events'):
            self._guard.survives(lambda: self._follow(frame))
        else:
            self._guard.survives(self.end_events)
        for topic, make in (
            ('overlay', _overlay),
            ('annotations', image_annotations),
            ('markers', image_markers),
        ):
            if self._value(f'publish.{topic}') and self._has_subscribers(topic):
                self._guard.survives(lambda: self._publishers[topic].publish(make(frame)))

    def publish_stats(self, stats: HoiFrameStats) -> None:
        """Publish times and counters."""
        self._publishers['stats'].publish(stats)

    def end_events(self) -> None:
        """Tell the end of what goes on, as it is followed no longer."""
        if self._followed is not None:
            self._tell(self._events.end_all(self._followed.stamp), self._followed)
            self._followed = None

    def _follow(self, frame: Frame) -> None:
        """Publish the starts and ends of interactions."""
        if self._followed is not None and self._followed.vocabulary is not frame.vocabulary:
            self.end_events()  # other verbs are looked for
        self._events.rules = event_rules(self._value)
        self._followed = frame
        changes = self._events.update(
            frame.stamp, frame.detections, frame.candidates, frame.vocabulary
        )
        self._tell(changes, frame)

    def _tell(self, changes: list[Event], frame: Frame) -> None:
        for change in changes:
            self._publishers['events'].publish(event_message(change, frame.header))

    def _has_subscribers(self, topic: str) -> bool:
        publisher = self._publishers.get(topic)
        return publisher is not None and publisher.get_subscription_count() > 0


def event_rules(value: Callable[[str], Any]) -> EventRules:
    """The parameters `event.*`."""
    return EventRules(**{field.name: value(f'event.{field.name}') for field in fields(EventRules)})


def _overlay(frame: Frame) -> Image:
    drawn = draw_interactions(frame.pixels, frame.detections, frame.interactions, frame.vocabulary)
    return rgb_to_image(drawn, frame.header)
