"""Bags that tests write: a street with a person on a bicycle, without a camera."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

for package in ('rclpy', 'rosbags', 'link_hoi_msgs.msg'):
    pytest.importorskip(package)

from rclpy.serialization import serialize_message  # noqa: E402
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer  # noqa: E402
from sensor_msgs.msg import CompressedImage, Image  # noqa: E402
from std_msgs.msg import Header  # noqa: E402

from link_hoi_core.vocabulary import load_vocabulary  # noqa: E402
from link_hoi_msgs.msg import HoiDetection, HoiDetectionArray  # noqa: E402
from link_hoi_ros.bags.writing import typestore  # noqa: E402
from link_hoi_ros.graph import type_name  # noqa: E402

SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND + 50_000_000
PERIOD = SECOND // 10
SIZE = (96, 128)  # height, width

Message = tuple[str, int, Any]  # topic, recorded time, message


def header(stamp: int) -> Header:
    made = Header(frame_id='camera')
    made.stamp.sec, made.stamp.nanosec = divmod(stamp, SECOND)
    return made


def image(stamp: int, shade: int = 0) -> Image:
    height, width = SIZE
    data = bytes([shade % 256]) * (3 * width * height)
    return Image(
        header=header(stamp), height=height, width=width, encoding='rgb8', step=3 * width, data=data
    )


def jpeg(stamp: int, shade: int = 0) -> CompressedImage:
    cv2 = pytest.importorskip('cv2')
    pixels = np.full((*SIZE, 3), shade % 256, np.uint8)
    data = cv2.imencode('.jpg', pixels)[1].tobytes()
    return CompressedImage(header=header(stamp), format='jpeg', data=data)


def detections(stamp: int, number: int) -> HoiDetectionArray:
    """A person on a bicycle that moves on by a pixel a frame, and a dog."""
    rows = [
        ('person', 0.875, 20.0 + number, 10.0, 60.0 + number, 70.0),
        ('bicycle', 0.75, 15.0 + number, 40.0, 70.0 + number, 90.0),
        ('dog', 0.625, 90.0, 60.0, 120.0, 90.0),
    ]
    names = ('class_name', 'score', 'x1', 'y1', 'x2', 'y2')
    return HoiDetectionArray(
        header=header(stamp),
        image_width=SIZE[1],
        image_height=SIZE[0],
        detections=[HoiDetection(**dict(zip(names, row))) for row in rows],
    )


def street(
    count: int = 5,
    namespace: str = '/camera',
    make_image: Callable[[int, int], Any] = image,
    shift: int = 0,
    first: int = START,
) -> list[Message]:
    """Images, and their detections 40 ms after them.

    Args:
        shift: of the detections' stamps, in nanoseconds.
    """
    messages = []
    for number in range(count):
        stamp = first + number * PERIOD
        found = detections(stamp + shift, number)
        messages.append((f'{namespace}/image_raw', stamp + 1_000_000, make_image(stamp, number)))
        messages.append((f'{namespace}/detections', stamp + 41_000_000, found))
    return messages


def write_bag(
    path: Path,
    messages: list[Message],
    storage: str = 'mcap',
    compression: CompressionMode = CompressionMode.NONE,
    version: int = 9,
    packages: tuple[str, ...] = ('link_hoi_msgs',),
) -> Path:
    """As `ros2 bag record` writes it."""
    types = typestore(packages)
    writer = Writer(path, version=version, storage_plugin=StoragePlugin[storage.upper()])
    writer.set_compression(compression, CompressionFormat.ZSTD)
    with writer:
        topics = {topic: type_name(type(message)) for topic, _, message in messages}
        connections = {
            topic: writer.add_connection(topic, kind, typestore=types)
            for topic, kind in topics.items()
        }
        for topic, time, message in sorted(messages, key=lambda each: each[1]):
            writer.write(connections[topic], time, serialize_message(message))
    return path


def key(number: int, first: int = START) -> str:
    seconds, rest = divmod(first + number * PERIOD, SECOND)
    return f'{seconds}_{rest:09d}'


def annotate(path: Path, names: list[str], verb: str = 'ride') -> Path:
    """Annotations in which the person does something with the bicycle in every frame."""
    vocabulary = load_vocabulary('hico-det')
    verb_id, thing = vocabulary.verb_index(verb), vocabulary.object_index('bicycle')
    hoi = int(vocabulary.hoi_index[thing, verb_id])
    pairs = [
        {
            'boxes_h': [[21.0 + number, 11.0, 60.0 + number, 70.0]],
            'boxes_o': [[16.0 + number, 41.0, 70.0 + number, 90.0]],
            'hoi': [hoi],
            'object': [thing],
            'verb': [verb_id],
        }
        for number in range(len(names))
    ]
    content = {
        'annotation': pairs,
        'filenames': names,
        'size': [[SIZE[1], SIZE[0]]] * len(names),
        'objects': list(vocabulary.objects),
    }
    path.write_text(json.dumps(content))
    return path
