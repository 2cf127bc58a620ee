"""The node: images and detections in, human-verb-object triplets out.

Callbacks only store what arrives; one worker takes the newest matched pair, predicts and
publishes. Every image is counted in the topic `stats`, whatever became of it.
"""

from __future__ import annotations

import re
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

import numpy as np
import rclpy
from rclpy.exceptions import ParameterException
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from link_hoi_core.detectors import load_detector
from link_hoi_core.detectors.detector import Detector
from link_hoi_core.device import pick_device
from link_hoi_core.drawing import draw_interactions
from link_hoi_core.models import Predictor, load_predictor
from link_hoi_core.structures import Detections
from link_hoi_msgs.msg import HoiFrameStats, HoiTripletArray, HoiVocabulary
from link_hoi_ros import parameters, qos
from link_hoi_ros.images import compressed_to_rgb, image_to_rgb, rgb_to_image
from link_hoi_ros.matching import IMAGE_COUNTERS, NANOSECONDS, Counts, Matcher, Pair
from link_hoi_ros.messages import (
    DetectionsReader,
    triplets_message,
    vocabulary_message,
)

# A model that hangs must not keep the process from ending.
WORKER_EXIT_SECONDS = 5.0
# How often counters are published while no image is processed.
IDLE_SECONDS = 1.0
# A stream of ever new unknown class names must not fill log and memory.
MAX_WARNINGS = 100


class HoiNode(LifecycleNode):
    """Lifecycle: configure loads the model, activate works, deactivate stops, cleanup frees."""

    def __init__(self) -> None:
        super().__init__('hoi_node')
        parameters.declare(self, self._parameter_overrides)
        self._predictor: Predictor | None = None
        self._reader: DetectionsReader | None = None
        self._detector: Detector | None = None
        self._matcher: Matcher | None = None
        self._worker: threading.Thread | None = None
        self._inputs: list[Any] = []
        self._outputs: dict[str, Any] = {}
        self._published_counts: dict[str, int] = {}
        self._warned: set[str] = set()

    def autostart(self) -> bool:
        """Configure and activate where parameter `autostart` says so; False if that failed."""
        if not self._value('autostart'):
            return True
        success = TransitionCallbackReturn.SUCCESS
        return self.trigger_configure() == success and self.trigger_activate() == success

    # Transitions

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Check the parameters, load the model, warm it up."""
        return self._attempt('configure', self._configure, self._free)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe and start the worker."""
        super().on_activate(state)
        return self._attempt('activate', self._start, self._stop)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop the worker and unsubscribe."""
        result = self._attempt('deactivate', self._stop)
        super().on_deactivate(state)
        return result

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free the model's memory."""
        return self._attempt('cleanup', self._free)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop and free, from any state."""
        return self._attempt('shutdown', self.close)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Back to unconfigured, from where it can be configured again."""
        return self._attempt('error processing', self.close)

    def close(self) -> None:
        """Stop and free whatever is there."""
        self._stop()
        self._free()

    def _attempt(
        self, transition: str, step: Callable[[], None], undo: Callable[[], None] | None = None
    ) -> TransitionCallbackReturn:
        """Run `step`; rclpy would swallow its exception, so it is logged here."""
        try:
            step()
            return TransitionCallbackReturn.SUCCESS
        except (ValueError, ImportError, OSError) as error:
            self.get_logger().error(f'{transition} failed: {error}')
            result = TransitionCallbackReturn.FAILURE
        except Exception:
            self.get_logger().error(f'{transition} failed: {traceback.format_exc()}')
            result = TransitionCallbackReturn.ERROR
        if undo is not None:
            undo()
        return result

    def _configure(self) -> None:
        parameters.check(self)
        self._predictor = load_predictor(
            self._value('model'),
            self._value('device'),
            self._value('backbone.weights') or None,
            precision=self._value('precision'),
        )
        vocabulary = self._predictor.vocabulary
        if self._value('detections_type') == 'builtin':
            self._detector = load_detector(
                self._value('detector'),
                vocabulary,
                weights=self._value('detector.weights') or 'pretrained',
                device=pick_device(self._value('device')),
                score_threshold=self._value('detector.score_threshold') or None,
                keep_unknown=False,
            )
            self._predictor.score_exponent = self._detector.score_exponent
        else:
            self._reader = DetectionsReader(self._value('detections_type'), vocabulary)
        if self._value('score_exponent'):
            self._predictor.score_exponent = self._value('score_exponent')
        self._warm_up()
        for topic, message_type, profile in (
            ('triplets', HoiTripletArray, qos.result_output()),
            ('stats', HoiFrameStats, qos.result_output()),
            ('overlay', Image, qos.result_output()),
            ('vocabulary', HoiVocabulary, qos.latched_output()),
        ):
            self._outputs[topic] = self.create_lifecycle_publisher(message_type, topic, profile)

    def _warm_up(self) -> None:
        """Run everything once: what is wrong with a model or a GPU shows here, in words."""
        image, size = np.zeros((480, 640, 3), np.uint8), (480, 640)
        if self._detector is not None:
            self._detector.detect([image])
        boxes = np.array([[10, 10, 200, 400], [100, 200, 300, 400]], np.float32)
        people = np.full(2, self._predictor.vocabulary.person)
        self._predictor.predict(image, Detections(boxes, np.ones(2), people, size))

    def _start(self) -> None:
        predictor = self._predictor
        self._outputs['vocabulary'].publish(
            vocabulary_message(
                predictor.vocabulary, predictor.model_name, predictor.checkpoint_sha256
            )
        )
        self._matcher = Matcher(
            window=round(self._value('matching.window') * NANOSECONDS),
            tolerance=round(self._value('matching.tolerance') * NANOSECONDS),
        )
        self._published_counts = dict.fromkeys(IMAGE_COUNTERS, 0)
        self._worker = threading.Thread(target=self._work, name='hoi_worker', daemon=True)
        self._worker.start()
        if self._value('image_transport') == 'compressed':
            # as image_transport does it: the base topic is remapped, then the suffix added
            topic = self.resolve_topic_name('image') + '/compressed'
            self._subscribe(CompressedImage, topic, self._on_image)
        else:
            self._subscribe(Image, 'image', self._on_image)
        if self._reader is not None:
            self._subscribe(self._reader.message_type, 'detections', self._on_detections)

    def _subscribe(self, message_type: type, topic: str, callback: Callable[[Any], None]) -> None:
        self._inputs.append(
            self.create_subscription(
                message_type,
                topic,
                callback,
                qos.sensor_input(),
                qos_overriding_options=QoSOverridingOptions.with_default_policies(),
            )
        )

    def _stop(self) -> None:
        while self._inputs:
            self.destroy_subscription(self._inputs.pop())
        if self._matcher is not None:
            self._matcher.close()
        if self._worker is not None:
            self._worker.join(WORKER_EXIT_SECONDS)
            if self._worker.is_alive():
                self.get_logger().error(
                    f'the model has not answered for {WORKER_EXIT_SECONDS} s, leaving it behind'
                )
            self._worker = None

    def _free(self) -> None:
        while self._outputs:
            self.destroy_lifecycle_publisher(self._outputs.popitem()[1])
        self._predictor = self._matcher = self._reader = self._detector = None

    # Callbacks: the executor's thread

    def _on_image(self, message: Image | CompressedImage) -> None:
        stamp = _nanoseconds(message.header)
        if stamp == 0:
            self.warn_once('images without a stamp (header.stamp is 0) cannot be matched')
        self._matcher.add_image(stamp, message)
        if self._detector is not None and stamp > 0:
            self._matcher.add_detections(stamp, None)  # the worker finds them in the image

    def _on_detections(self, message: Any) -> None:
        stamp = _nanoseconds(message.header)
        if stamp == 0:
            self.warn_once('detections without a stamp (header.stamp is 0) cannot be matched')
        self._matcher.add_detections(stamp, message)

    # The worker's thread

    def _work(self) -> None:
        """Process pairs until the matcher is closed."""
        matcher = self._matcher
        while not matcher.closed:
            pair = matcher.take(IDLE_SECONDS)
            stats = HoiFrameStats()
            if pair is not None:
                stats.header = pair.image.header
                matcher.finish(self._survives(lambda: self._process(pair, stats)))
            self._survives(lambda: self._publish_stats(stats, matcher.counts()))

    def _process(self, pair: Pair, stats: HoiFrameStats) -> None:
        """From messages to the published triplets; the durations go into `stats`."""
        predictor = self._predictor
        started = time.monotonic_ns()
        compressed = isinstance(pair.image, CompressedImage)
        pixels = compressed_to_rgb(pair.image) if compressed else image_to_rgb(pair.image)
        detections = self._detections(pair, pixels)
        converted = time.monotonic_ns()
        predictor.score_threshold = self._value('score_threshold')
        predictor.max_interactions = self._value('max_triplets')
        interactions = predictor.predict(pixels, detections)
        predicted = time.monotonic_ns()
        header = pair.image.header
        self._outputs['triplets'].publish(
            triplets_message(
                header, detections, interactions, predictor.vocabulary, predictor.model_name
            )
        )
        published = time.monotonic_ns()
        stats.wait = (started - pair.matched) / 1e6
        stats.convert = (converted - started) / 1e6
        stats.backbone = 1e3 * predictor.backbone_seconds
        stats.interaction = (predicted - converted) / 1e6 - stats.backbone
        stats.publish = (published - predicted) / 1e6
        stats.latency = (self.get_clock().now().nanoseconds - pair.stamp) / 1e6
        if self._outputs['overlay'].get_subscription_count():
            self._survives(
                lambda: self._outputs['overlay'].publish(
                    rgb_to_image(
                        draw_interactions(pixels, detections, interactions, predictor.vocabulary),
                        header,
                    )
                )
            )

    def _detections(self, pair: Pair, pixels: np.ndarray) -> Detections:
        """What the message says, or what the node's own detector finds."""
        if self._detector is not None:
            (detections,) = self._detector.detect([pixels])
            for name in self._detector.unknown:
                self.warn_once(f'class {name!r} is outside the vocabulary, and left out')
            return detections
        width, height = self._value('detections.image_size')
        detections, dropped = self._reader.read(
            pair.detections, pixels.shape[:2], (height, width) if width else None
        )
        for cause, count in dropped.items():
            self.warn_once(f'{cause}: {count} of {len(pair.detections.detections)} left out')
        return detections

    def _publish_stats(self, stats: HoiFrameStats, counts: Counts) -> None:
        """Publish the counters if they changed, with the durations of one image or with none."""
        values = {name: getattr(counts, name) for name in IMAGE_COUNTERS}
        if values == self._published_counts:
            return
        self._published_counts = values
        for name, value in values.items():
            setattr(stats, name, value)
        self._outputs['stats'].publish(stats)

    # Both threads

    def warn_once(self, sentence: str) -> None:
        """Log a sentence, unless it was logged already but for its numbers."""
        cause = re.sub(r'\d[\d.e+-]*', '#', sentence)
        if cause not in self._warned and len(self._warned) < MAX_WARNINGS:
            self._warned.add(cause)
            self.get_logger().warning(f'{sentence} (warned once; see the counters in stats)')

    def _survives(self, step: Callable[[], None]) -> bool:
        """Whether `step` came through; what it raised is logged, and the node goes on."""
        try:
            step()
            return True
        except (ValueError, ImportError) as error:
            self.warn_once(str(error))
        except Exception:
            if self.context.ok():  # else publishing failed because the process is ending
                self.warn_once(traceback.format_exc())
        return False

    def _value(self, name: str) -> Any:
        return self.get_parameter(name).value


def _nanoseconds(header: Header) -> int:
    return header.stamp.sec * NANOSECONDS + header.stamp.nanosec


def _spin(node: HoiNode) -> None:
    """Serve callbacks until a signal; a message that rclpy cannot decode is not the end."""
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        while node.context.ok():
            try:
                executor.spin()
            except UnicodeDecodeError as error:
                node.warn_once(f'a message holds text that is not UTF-8: {error}')
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        executor.shutdown(timeout_sec=1.0)


def main(args: list[str] | None = None) -> int:
    """Run the node until SIGINT or SIGTERM; 1 where it could not start."""
    rclpy.init(args=args)
    try:
        node = HoiNode()
    except (ValueError, ParameterException) as error:
        print(f'hoi_node: {error}', file=sys.stderr)
        rclpy.try_shutdown()
        return 1
    try:
        if not node.autostart():
            return 1
        _spin(node)
    except KeyboardInterrupt:
        pass
    finally:
        node.close()
        node.destroy_node()
        rclpy.try_shutdown()
    return 0


if __name__ == '__main__':
    sys.exit(main())
