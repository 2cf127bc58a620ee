"""From the messages of one image to its triplets: what the node does, without a node."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from sensor_msgs.msg import CompressedImage, Image

from link_hoi_core.detectors import load_detector
from link_hoi_core.detectors.detector import Detector
from link_hoi_core.device import pick_device
from link_hoi_core.models import Predictor, load_predictor
from link_hoi_core.structures import Detections, Interactions
from link_hoi_ros.frame import Frame
from link_hoi_ros.images import compressed_to_rgb, image_to_rgb
from link_hoi_ros.memory import PairLimit
from link_hoi_ros.messages import DetectionsReader

# Events look at no fewer triplets of an image than this, however few are published.
EVENT_TRIPLETS = 200

# A model that hangs must not hold up whoever asks for other verbs.
ANSWER_SECONDS = 5.0

# A list parameter that is not set: ROS gives an empty list no type.
NONE = ['']


class Pipeline:
    """Reads detections, or finds them itself, and predicts; thread-safe.

    Attributes:
        predictor: the model.
        reader: of detections messages; None where `detector` finds them in the image.
        stages: milliseconds that the last frame took: 'convert', 'backbone', 'interaction'.
    """

    def __init__(
        self,
        predictor: Predictor,
        reader: DetectionsReader | None,
        detector: Detector | None,
        value: Callable[[str], Any],
        warn: Callable[[str], None],
    ) -> None:
        """Put together what `load` loads.

        Args:
            value: a parameter of `parameter_table` by name, as it is now.
            warn: is told in a sentence what was left out.
        """
        self.predictor = predictor
        self.reader = reader
        self.detector = detector
        self.stages: dict[str, float] = {}
        self._value = value
        self._warn = warn
        self._pairs = PairLimit()
        self._in_use = threading.Lock()

    @classmethod
    def load(cls, value: Callable[[str], Any], warn: Callable[[str], None]) -> Pipeline:
        """Load the model and what it needs, and run everything once.

        Raises:
            ValueError, OSError, ImportError: a parameter, a file or a package is not as it must
                be, in one sentence.
        """
        if value('threads'):
            torch.set_num_threads(value('threads'))
        predictor = load_predictor(
            value('model'),
            value('device'),
            value('backbone.weights') or None,
            precision=value('precision'),
        )
        reader = detector = None
        if value('detections_type') == 'builtin':
            detector = load_detector(
                value('detector'),
                predictor.vocabulary,
                weights=value('detector.weights') or 'pretrained',
                device=pick_device(value('device')),
                score_threshold=value('detector.score_threshold') or None,
                keep_unknown=False,
            )
            predictor.score_exponent = detector.score_exponent
        else:
            classes = value('detections.classes')
            reader = DetectionsReader(
                value('detections_type'),
                predictor.vocabulary,
                None if classes == NONE else classes,
            )
        if value('score_exponent'):
            predictor.score_exponent = value('score_exponent')
        pipeline = cls(predictor, reader, detector, value, warn)
        pipeline.set_verbs(value('verbs'))
        pipeline._warm_up()
        return pipeline

    @property
    def pair_limit(self) -> int | None:
        """How many pairs an image may have since memory ran out; None = as many as it has."""
        return self._pairs.value

    def set_verbs(self, verbs: list[str]) -> None:
        """Look for these verbs from the next image on; [''] = those that were trained.

        Raises:
            ValueError, ImportError, ConnectionError: as `HoiPredictor.set_verbs`; nothing has
                changed then.
            TimeoutError: the model hangs.
        """
        if not self._in_use.acquire(timeout=ANSWER_SECONDS):
            raise TimeoutError(f'the model has not answered for {ANSWER_SECONDS:.0f} s')
        try:
            self.predictor.set_verbs(None if verbs == NONE else verbs)
        finally:
            self._in_use.release()

    def process(self, image: Image | CompressedImage, detections: Any) -> Frame:
        """The triplets of an image.

        Args:
            detections: their message; None where the pipeline finds them itself.

        Raises:
            ValueError, ImportError: the messages cannot be read, or do not fit together.
            torch.cuda.OutOfMemoryError: even two pairs do not fit.
        """
        with self._in_use:
            started = time.perf_counter()
            compressed = isinstance(image, CompressedImage)
            pixels = compressed_to_rgb(image) if compressed else image_to_rgb(image)
            found = self._find(pixels) if self.detector else self._read(detections, pixels)
            converted = time.perf_counter()
            candidates = self._predict(pixels, found)
            predicted = time.perf_counter()
            backbone = self.predictor.backbone_seconds
            self.stages = {
                'convert': 1e3 * (converted - started),
                'backbone': 1e3 * backbone,
                'interaction': 1e3 * (predicted - converted - backbone),
            }
            return Frame(
                image.header,
                pixels,
                found,
                publishable(candidates, self._value),
                candidates,
                self.predictor.vocabulary,
                self.predictor.model_name,
            )

    def _warm_up(self) -> None:
        """Run everything once: what is wrong with a model or a GPU shows here, in words."""
        image, size = np.zeros((480, 640, 3), np.uint8), (480, 640)
        if self.detector is not None:
            self.detector.detect([image])
        boxes = np.array([[10, 10, 200, 400], [100, 200, 300, 400]], np.float32)
        people = np.full(2, self.predictor.vocabulary.person)
        self.predictor.predict(image, Detections(boxes, np.ones(2), people, size))

    def _find(self, pixels: np.ndarray) -> Detections:
        (detections,) = self.detector.detect([pixels])
        for name in self.detector.unknown:
            self._warn(f'class {name!r} is outside the vocabulary, and left out')
        return detections

    def _read(self, message: Any, pixels: np.ndarray) -> Detections:
        width, height = self._value('detections.image_size')
        detections, dropped = self.reader.read(
            message, pixels.shape[:2], (height, width) if width else None
        )
        for cause, count in dropped.items():
            self._warn(f'{cause}: {count} of {len(message.detections)} left out')
        return detections

    def _predict(self, pixels: np.ndarray, detections: Detections) -> Interactions:
        """All that outputs may ask for, with as many pairs as memory allows."""
        predictor = self.predictor
        predictor.score_threshold = self._value('score_threshold')
        predictor.max_interactions = self._value('max_triplets')
        if self._value('publish.events'):
            predictor.score_threshold = min(
                predictor.score_threshold, self._value('event.end_score')
            )
            predictor.max_interactions = max(predictor.max_interactions, EVENT_TRIPLETS)

        def predict(max_pairs: int) -> Interactions:
            predictor.max_pairs = max_pairs
            return predictor.predict(pixels, detections)

        return self._pairs.run(predict, self._value('max_pairs'))


def publishable(found: Interactions, value: Callable[[str], Any]) -> Interactions:
    """The part of an image's triplets, by falling score, that is published; a copy.

    Args:
        value: a parameter of `parameter_table` by name.
    """
    enough = int((found.score >= value('score_threshold')).sum())
    return found.take(np.arange(min(enough, value('max_triplets'))))
