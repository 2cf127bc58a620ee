"""Which topics of a bag are a camera's images and their detections, and which belong together."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from link_hoi_ros.bags.reading import Bag
from link_hoi_ros.matching import NANOSECONDS

LABEL_INFO_TYPE = 'vision_msgs/msg/LabelInfo'
IMAGE_TYPES = {'sensor_msgs/msg/Image': 'raw', 'sensor_msgs/msg/CompressedImage': 'compressed'}
DETECTIONS_TYPES = {
    'vision_msgs/msg/Detection2DArray': 'vision_msgs',
    'yolo_msgs/msg/DetectionArray': 'yolo_msgs',
    'link_hoi_msgs/msg/HoiDetectionArray': 'hoi',
}


@dataclass(frozen=True)
class Camera:
    """A camera of a bag.

    Attributes:
        name: what its frames' keys begin with, where the bag has several; '' for the only one.
        image: topic of its images.
        detections: topic of their detections; None where the node finds them itself.
        transport: 'raw' or 'compressed'.
        kind: the node's detections_type.
        label_info: topic of the names of vision_msgs' classes, if the bag has one.
    """

    name: str
    image: str
    detections: str | None
    transport: str
    kind: str
    label_info: str | None = None

    @property
    def topics(self) -> dict[str, str]:
        """The bag's topics by what they are to the node."""
        found = {'image': self.image, 'detections': self.detections}
        return {role: topic for role, topic in found.items() if topic is not None}

    @property
    def namespace(self) -> str:
        """Of the node that looks through it."""
        return f'/hoi/{self.name}'.rstrip('/')

    def output(self, topic: str) -> str:
        """The name of one of that node's topics, 'triplets'."""
        return f'{self.namespace}/{topic}'

    def key(self, stamp: int) -> str:
        """What the frame of a stamp (nanoseconds) is called in files: `messages.stamp_key`."""
        seconds, nanoseconds = divmod(stamp, NANOSECONDS)
        key = f'{seconds}_{nanoseconds:09d}'
        return f'{self.name}/{key}' if self.name else key


def find_cameras(
    bag: Bag, images: Sequence[str] = (), detections: Sequence[str] = (), builtin: bool = False
) -> list[Camera]:
    """The cameras of a bag.

    Args:
        images: their topics; by default all image topics of the bag.
        detections: a topic for each of them, in the same order; by default the one of the bag
            that shares most namespaces with the images.
        builtin: whether detections are found by the node itself.

    Raises:
        ValueError: a topic is not there, comes twice or has another type, or it is unclear what
            belongs together.
    """
    images = images or _topics(bag, IMAGE_TYPES)
    if not images:
        raise ValueError(f'{bag.path}: no topic of images; it has {_listed(bag)}')
    if len(set(images)) < len(images):
        raise ValueError(f'the images {", ".join(images)}: a topic comes twice')
    if builtin:
        partners: list[str | None] = [None] * len(images)
    elif detections:
        partners = list(detections)
    else:
        partners = _partners(bag, images)
    if len(partners) != len(images):
        raise ValueError(f'{len(partners)} topics of detections for {len(images)} of images')
    names = _names(images) if len(images) > 1 else ['']
    return [_camera(bag, *each) for each in zip(names, images, partners)]


def _camera(bag: Bag, name: str, image: str, detections: str | None) -> Camera:
    transport = _checked(bag, image, IMAGE_TYPES, 'images')
    if detections is None:
        return Camera(name, image, None, transport, 'builtin')
    kind = _checked(bag, detections, DETECTIONS_TYPES, 'detections')
    label_infos = _topics(bag, [LABEL_INFO_TYPE]) if kind == 'vision_msgs' else []
    return Camera(name, image, detections, transport, kind, _nearest(label_infos, detections))


def _topics(bag: Bag, types: Collection[str]) -> list[str]:
    return sorted(topic for topic, type_name in bag.types.items() if type_name in types)


def _listed(bag: Bag) -> str:
    return ', '.join(f'{topic} ({type_name})' for topic, type_name in sorted(bag.types.items()))


def _checked(bag: Bag, topic: str, types: dict[str, str], what: str) -> str:
    """What `types` says of a topic's type."""
    if topic not in bag.types:
        raise ValueError(f'{bag.path}: no topic {topic}; it has {_listed(bag)}')
    if bag.types[topic] not in types:
        raise ValueError(
            f'{bag.path}: {topic} is {bag.types[topic]}, expected {what}: {" or ".join(types)}'
        )
    return types[bag.types[topic]]


def _partners(bag: Bag, images: Sequence[str]) -> list[str]:
    """The topic of detections that shares most namespaces with each topic of images."""
    candidates = _topics(bag, DETECTIONS_TYPES)
    if not candidates:
        raise ValueError(
            f'{bag.path}: no topic of detections; it has {_listed(bag)}. A detector of the '
            "node's own needs none: --set detector=NAME"
        )
    best = []
    for image in images:
        shared = {topic: _shared(image, topic) for topic in candidates}
        most = max(shared.values())
        best.append([topic for topic in candidates if shared[topic] == most])
    chosen = [topics[0] for topics in best]
    if any(len(topics) > 1 for topics in best) or len(set(chosen)) < len(chosen):
        raise ValueError(
            f'{bag.path}: it is unclear which of the detections ({", ".join(candidates)}) belong '
            f'to which images ({", ".join(images)}): say --image TOPIC ... --detections TOPIC ...'
        )
    return chosen


def _nearest(candidates: Sequence[str], topic: str) -> str | None:
    """The one that shares most namespaces with a topic, the first of several; None of none."""
    return max(candidates, key=lambda candidate: _shared(candidate, topic), default=None)


def _shared(one: str, other: str) -> int:
    """How many namespaces two topics have in common."""
    count = 0
    for a, b in zip(one.split('/')[:-1], other.split('/')[:-1]):
        if a != b:
            break
        count += 1
    return count


def _names(topics: Sequence[str]) -> list[str]:
    """What tells topics apart: their first namespace that does, else the whole topic."""
    parts = [topic.strip('/').split('/') for topic in topics]
    for column in zip(*parts):
        if len(set(column)) == len(topics):
            return list(column)
    return [topic.strip('/').replace('/', '_') for topic in topics]
