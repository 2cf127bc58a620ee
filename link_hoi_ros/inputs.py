"""The node's subscriptions: callbacks only hand on to the matcher what arrives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.subscription import Subscription
from sensor_msgs.msg import CompressedImage, Image

from link_hoi_ros import qos
from link_hoi_ros.frame import nanoseconds
from link_hoi_ros.graph import Peers, publishers_of
from link_hoi_ros.guard import Guard
from link_hoi_ros.matching import Matcher
from link_hoi_ros.pipeline import Pipeline


class Inputs:
    """Listens to a camera and to a detector, where there is none in the pipeline."""

    def __init__(
        self,
        node: Node,
        value: Callable[[str], Any],
        pipeline: Pipeline,
        matcher: Matcher,
        guard: Guard,
    ) -> None:
        """Subscribe; `value` gives a parameter of `parameter_table` by name."""
        self._node, self._matcher, self._guard = node, matcher, guard
        self._finds_itself = pipeline.detector is not None
        self._subscriptions: list[Subscription] = []
        profile = qos.input_profile(value('qos.image'))
        if value('image_transport') == 'compressed':
            # as image_transport does it: the base topic is remapped, then the suffix added
            topic = node.resolve_topic_name('image') + '/compressed'
            self._images = self._subscribe(CompressedImage, topic, profile, self._on_image)
        else:
            self._images = self._subscribe(Image, 'image', profile, self._on_image)
        self._detections: Subscription | None = None
        reader = pipeline.reader
        if reader is not None:
            profile = qos.input_profile(value('qos.detections'))
            self._detections = self._subscribe(
                reader.message_type, 'detections', profile, self._on_detections
            )
        if reader is not None and reader.label_info_type is not None:
            # one hears what was said before, the other a publisher that keeps nothing
            for profile in (qos.latched(), qos.input_profile('sensor_data')):
                self._subscribe(
                    reader.label_info_type, 'label_info', profile, reader.set_label_info
                )

    def destroy(self) -> None:
        """Listen no longer."""
        while self._subscriptions:
            self._node.destroy_subscription(self._subscriptions.pop())

    def publishers(self) -> tuple[Peers, Peers | None]:
        """Those of images and of detections, None where these come from no topic; any thread.

        Raises:
            rclpy.exceptions.InvalidHandle: nobody listens any longer.
        """
        detections = self._detections and publishers_of(self._node, self._detections)
        return publishers_of(self._node, self._images), detections

    def _subscribe(
        self, message_type: type, topic: str, profile: QoSProfile, callback: Callable[[Any], None]
    ) -> Subscription:
        subscription = self._node.create_subscription(
            message_type,
            topic,
            callback,
            profile,
            qos_overriding_options=QoSOverridingOptions.with_default_policies(),
        )
        self._subscriptions.append(subscription)
        return subscription

    def _on_image(self, message: Image | CompressedImage) -> None:
        stamp = nanoseconds(message.header)
        if stamp <= 0:
            self._guard.warn_once('images without a stamp (header.stamp is 0) cannot be matched')
        self._matcher.add_image(stamp, message)
        if self._finds_itself and stamp > 0:
            self._matcher.add_detections(stamp, None)  # the worker finds them in the image

    def _on_detections(self, message: Any) -> None:
        stamp = nanoseconds(message.header)
        if stamp <= 0:
            self._guard.warn_once(
                'detections without a stamp (header.stamp is 0) cannot be matched'
            )
        self._matcher.add_detections(stamp, message)
