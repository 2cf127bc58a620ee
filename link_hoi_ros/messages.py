"""Detections messages of any type to `Detections`, and interactions to the package's messages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from std_msgs.msg import Header

from link_hoi_core.optional import require
from link_hoi_core.structures import Detections, Interactions
from link_hoi_core.vocabulary import COCO80, Vocabulary
from link_hoi_msgs.msg import HoiDetection, HoiTriplet, HoiTripletArray, HoiVocabulary

# Detectors that do not clip may reach over the edge by this share of the image's side; what lies
# farther out was not measured in this image's pixels.
OVERHANG = 0.1

# HoiTriplet's indices are uint16.
MAX_DETECTIONS = 65_535

# Names that are remembered with their index, and how long a text may be to be one: a stream of
# ever new texts must not fill the memory.
MAX_NAMES = 1024
MAX_NAME_LENGTH = 100


class Row(NamedTuple):
    """One detection as its message has it."""

    name: str
    score: float
    box: tuple[float, float, float, float]  # xyxy in pixels
    track_id: str


def _hoi_row(detection: Any) -> Row:
    box = (detection.x1, detection.y1, detection.x2, detection.y2)
    return Row(detection.class_name, detection.score, box, detection.track_id)


def _vision_row(detection: Any) -> Row:
    best = max((result.hypothesis for result in detection.results), key=lambda h: h.score)
    box = detection.bbox
    return Row(
        best.class_id,
        best.score,
        _corners(box.center.position, box.size_x, box.size_y),
        detection.id,
    )


def _yolo_row(detection: Any) -> Row:
    box = detection.bbox
    return Row(
        detection.class_name or str(detection.class_id),
        detection.score,
        _corners(box.center.position, box.size.x, box.size.y),
        detection.id,
    )


def _corners(center: Any, width: float, height: float) -> tuple[float, float, float, float]:
    x, y = center.x, center.y
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


class DetectionsReader:
    """Reads one type of detections message: 'vision_msgs', 'yolo_msgs' or 'hoi'.

    Classes are known by name, or by number in the order of `classes`, else of the label info that
    the detector published last, else of COCO's 80.

    Args:
        vocabulary: its objects are the classes; its verbs may change without a new reader.
        classes: class names by number.

    Attributes:
        message_type: the class to subscribe with.
        label_info_type: the class to subscribe to label info with, for `set_label_info`; None
            where there is none for this kind, or nothing to learn because `classes` are given.

    Raises:
        ImportError: the package of that type is not installed.
    """

    _TYPES: dict[str, tuple[str, str, Callable[[Any], Row]]] = {
        'vision_msgs': ('vision_msgs', 'Detection2DArray', _vision_row),
        'yolo_msgs': ('yolo_msgs', 'DetectionArray', _yolo_row),
        'hoi': ('link_hoi_msgs', 'HoiDetectionArray', _hoi_row),
    }

    def __init__(
        self, kind: str, vocabulary: Vocabulary, classes: Sequence[str] | None = None
    ) -> None:
        package, message, self._row = self._TYPES[kind]
        install = f'apt install ros-$ROS_DISTRO-{package.replace("_", "-")}'
        module = require(f'{package}.msg', install, f'detections_type {kind!r}')
        self.message_type: type = getattr(module, message)
        self.label_info_type: type | None = None if classes else getattr(module, 'LabelInfo', None)
        self._vocabulary = vocabulary
        self._label = _labels(vocabulary, dict(enumerate(classes or COCO80)))

    def set_label_info(self, message: Any) -> None:
        """Take names by number from vision_msgs/LabelInfo; any thread, from the next `read` on."""
        names = {entry.class_id: entry.class_name for entry in message.class_map}
        self._label = _labels(self._vocabulary, names)

    def read(
        self,
        message: Any,
        image_size: tuple[int, int],
        detections_size: tuple[int, int] | None = None,
    ) -> tuple[Detections, Counter[str]]:
        """The detections of a message, in pixels of the image.

        Args:
            image_size: (height, width) of the image.
            detections_size: (height, width) of the image that the detector saw; by default what
                the message says, or else the image's.

        Returns:
            The detections, and how many were left out, by cause in words.

        Raises:
            ValueError: a box lies outside the image by more than a detector's inaccuracy, so that
                all of them are probably in pixels of another size; or there are too many.
        """
        if len(message.detections) > MAX_DETECTIONS:
            raise ValueError(
                f'{len(message.detections)} detections in a message, at most {MAX_DETECTIONS} fit'
            )
        dropped: Counter[str] = Counter()
        rows = list(self._rows(message.detections, dropped))
        label = self._label
        labels = np.array([label(row.name) for row in rows], np.int64)
        scores = np.array([row.score for row in rows], np.float64)
        boxes = np.array([row.box for row in rows], np.float64).reshape(-1, 4)
        height, width = detections_size or _declared_size(message) or image_size
        with np.errstate(over='ignore'):  # it is not finite then
            boxes *= np.array([image_size[1] / width, image_size[0] / height] * 2)

        kept = labels >= 0
        dropped.update(self._unknown(rows[i].name) for i in np.flatnonzero(~kept))
        kept &= _without(~np.isfinite(boxes).all(1), kept, 'a box is not finite', dropped)
        flat = ~(boxes[:, 2:] > boxes[:, :2]).all(1)
        kept &= _without(flat, kept, 'a box is inverted or has no area', dropped)
        wrong_scores = ~((scores >= 0) & (scores <= 1))
        kept &= _without(wrong_scores, kept, 'a score is not in [0, 1]', dropped)
        _check_inside(boxes[kept], image_size)
        boxes = np.clip(boxes, 0, np.array([image_size[1], image_size[0]] * 2)).astype(np.float32)
        flat = ~(boxes[:, 2:] > boxes[:, :2]).all(1)
        kept &= _without(flat, kept, 'a box has no area inside the image', dropped)

        track_ids = tuple(row.track_id for row, keep in zip(rows, kept) if keep)
        return Detections(boxes[kept], scores[kept], labels[kept], image_size, track_ids), dropped

    def _rows(self, detections: Iterable[Any], dropped: Counter[str]) -> Iterable[Row]:
        for detection in detections:
            if getattr(detection, 'results', True):
                yield self._row(detection)
            else:
                dropped['a detection has no class'] += 1

    def _unknown(self, name: str) -> str:
        shown = name if len(name) <= MAX_NAME_LENGTH else f'{name[:MAX_NAME_LENGTH]}…'
        return f'class {shown!r} is not in vocabulary {self._vocabulary.id!r}'


def triplets_message(
    header: Header,
    detections: Detections,
    interactions: Interactions,
    vocabulary: Vocabulary,
    model: str,
) -> HoiTripletArray:
    """What is published for one image; `header` is the image's own."""
    names = [vocabulary.objects[label] for label in detections.labels]
    height, width = detections.image_size
    message = HoiTripletArray(
        header=header,
        image_width=width,
        image_height=height,
        model=model,
        vocabulary_id=vocabulary.id,
    )
    track_ids = detections.track_ids or [''] * len(detections)
    columns = zip(names, detections.scores.tolist(), detections.boxes.tolist(), track_ids)
    message.detections = [
        HoiDetection(class_name=name, score=score, x1=x1, y1=y1, x2=x2, y2=y2, track_id=track_id)
        for name, score, (x1, y1, x2, y2), track_id in columns
    ]
    message.triplets = [
        HoiTriplet(
            human_index=human,
            object_index=thing,
            verb_id=verb,
            verb=vocabulary.verbs[verb],
            object_name=names[thing],
            score=score,
            interaction_score=verb_score,
        )
        for human, thing, verb, score, verb_score in zip(
            interactions.human.tolist(),
            interactions.object.tolist(),
            interactions.verb.tolist(),
            interactions.score.tolist(),
            interactions.verb_score.tolist(),
        )
    ]
    return message


def vocabulary_message(vocabulary: Vocabulary, model: str, sha256: str) -> HoiVocabulary:
    """What the running model can say."""
    return HoiVocabulary(
        id=vocabulary.id,
        model=model,
        checkpoint_sha256=sha256,
        verbs=list(vocabulary.verbs),
        objects=list(vocabulary.objects),
    )


def _labels(vocabulary: Vocabulary, names: Mapping[int, str]) -> Callable[[str], int]:
    """Gives the index of a class called by its name, or by its number in `names`; -1 if unknown."""

    @lru_cache(MAX_NAMES)
    def known(name: str) -> int:
        index = vocabulary.object_index(name)
        if index is None and name.isdecimal():
            index = vocabulary.object_index(names.get(int(name), ''))
        return -1 if index is None else index

    return lambda name: known(name) if len(name) <= MAX_NAME_LENGTH else -1


def _declared_size(message: Any) -> tuple[int, int] | None:
    """(height, width) where the message says it; only ours does."""
    height, width = getattr(message, 'image_height', 0), getattr(message, 'image_width', 0)
    return (height, width) if height and width else None


def _without(wrong: np.ndarray, kept: np.ndarray, cause: str, dropped: Counter[str]) -> np.ndarray:
    """Count those of `kept` that are `wrong`, and give the mask that leaves them out."""
    count = int((wrong & kept).sum())
    if count:
        dropped[cause] += count
    return ~wrong


def _check_inside(boxes: np.ndarray, image_size: tuple[int, int]) -> None:
    height, width = image_size
    side = np.array([width, height] * 2)
    outside = ((boxes < -OVERHANG * side) | (boxes > (1 + OVERHANG) * side)).any(1)
    if outside.any():
        corners = [round(float(value), 1) for value in boxes[np.flatnonzero(outside)[0]]]
        raise ValueError(
            f'box {corners} (xyxy) lies outside the image of {width} x {height} pixels: if the '
            'detector sees an image of another size, set detections.image_size'
        )


def stamp_key(header: Header) -> str:
    """A frame's key in files: its stamp as `<sec>_<nanosec>`, the latter with nine digits."""
    return f'{header.stamp.sec}_{header.stamp.nanosec:09d}'
