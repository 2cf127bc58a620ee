"""Whatever bytes arrive, reading them gives a result or one sentence, and keeps nothing."""

from __future__ import annotations

import gc
import random
import tracemalloc
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip('link_hoi_msgs.msg', reason='needs ROS 2 and link_hoi_msgs')

from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from link_hoi_core.structures import Detections
from link_hoi_core.vocabulary import load_vocabulary
from link_hoi_msgs.msg import HoiDetection, HoiDetectionArray
from link_hoi_ros.images import compressed_to_rgb, image_to_rgb, rgb_to_image
from link_hoi_ros.messages import DetectionsReader

SIZE = (480, 640)
MUTATIONS = 3500  # of each of three messages
PIXELS = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
READER = DetectionsReader('hoi', load_vocabulary('hico-det'))
INTEGERS = st.integers(0, 2**32 - 1)
SIDES = st.one_of(st.integers(0, 40), INTEGERS)
NUMBERS = st.floats(width=32)
TEXTS = st.one_of(st.sampled_from(['person', 'dog', '0', '79', '80']), st.text())


def detection(name: str) -> HoiDetection:
    return HoiDetection(class_name=name, score=0.5, x1=1.0, y1=2.0, x2=30.0, y2=40.0, track_id='7')


def detections_message() -> HoiDetectionArray:
    names = ('person', 'bicycle', '0', 'cell phone')
    return HoiDetectionArray(
        image_height=480, image_width=640, detections=[detection(name) for name in names]
    )


def jpeg_message() -> CompressedImage:
    cv2 = pytest.importorskip('cv2')
    return CompressedImage(format='jpeg', data=cv2.imencode('.jpg', PIXELS)[1].tobytes())


def check_detections(message: HoiDetectionArray) -> None:
    detections, dropped = READER.read(message, SIZE)
    assert isinstance(detections, Detections)
    assert len(detections) + sum(dropped.values()) == len(message.detections)
    assert (detections.boxes >= 0).all()
    assert (detections.boxes <= [640, 480, 640, 480]).all()


def check_pixels(pixels: np.ndarray) -> None:
    assert pixels.ndim == 3
    assert pixels.shape[2] == 3
    assert pixels.dtype == np.uint8
    pixels.sum()  # reads every byte of what may be a view


def mutated(data: bytes, dice: random.Random) -> bytes:
    """One to three places changed; the encapsulation's four bytes stay."""
    changed = bytearray(data)
    for _ in range(dice.randint(1, 3)):
        at = dice.randrange(4, len(changed) + 1)
        match dice.choice('bbbwwwwcid'):
            case 'b':
                changed[at : at + 1] = dice.randbytes(1)
            case 'w':  # a length, a number or a size that is out of its mind
                at -= at % 4
                words = ('ffffffff', 'ffffff7f', '00000080', '00000000', '01000000', '0000c07f')
                changed[at : at + 4] = bytes.fromhex(dice.choice(words))
            case 'c':
                del changed[at:]
            case 'i':
                changed[at:at] = dice.randbytes(dice.randint(1, 16))
            case 'd':
                del changed[at : at + dice.randint(1, 16)]
    return bytes(changed)


@pytest.mark.filterwarnings('error::RuntimeWarning')
@pytest.mark.parametrize(
    ('make', 'read'),
    [
        (detections_message, check_detections),
        (
            lambda: rgb_to_image(PIXELS, Header()),
            lambda message: check_pixels(image_to_rgb(message)),
        ),
        (jpeg_message, lambda message: check_pixels(compressed_to_rgb(message))),
    ],
    ids=['detections', 'image', 'jpeg'],
)
def test_mutated_bytes_are_read_or_refused_in_a_sentence(make, read):
    message, dice = make(), random.Random(6)
    data = serialize_message(message)
    outcomes: Counter[str] = Counter()
    for _ in range(MUTATIONS):
        outcomes[outcome(mutated(data, dice), type(message), read)] += 1
    assert outcomes['read'] > 100
    assert outcomes['refused'] + outcomes['undecodable'] > 100


def outcome(data: bytes, message_type: type, read: Callable[[Any], None]) -> str:
    try:
        message = deserialize_message(data, message_type)
    except Exception:  # rclpy's own business: what it raises differs between distributions
        return 'undecodable'
    try:
        read(message)
        return 'read'
    except (ValueError, ImportError) as error:
        assert '\n' not in str(error)
        assert len(str(error)) < 1000
        return 'refused'


def test_reading_mutations_keeps_no_memory():
    message, dice = detections_message(), random.Random(6)
    data = serialize_message(message)

    def read(count: int) -> int:
        for _ in range(count):
            outcome(mutated(data, dice), type(message), check_detections)
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        read(1000)
        before = read(1000)
        assert read(2000) < before + 200_000
    finally:
        tracemalloc.stop()


@pytest.mark.filterwarnings('error::RuntimeWarning')
@settings(max_examples=300, deadline=None)
@given(
    rows=st.lists(st.tuples(TEXTS, *[NUMBERS] * 5, st.text()), max_size=6),
    size=st.tuples(SIDES, SIDES),
)
def test_detections_of_any_values_are_read_or_refused(rows, size):
    names = ('class_name', 'score', 'x1', 'y1', 'x2', 'y2', 'track_id')
    message = HoiDetectionArray(
        image_height=size[0],
        image_width=size[1],
        detections=[HoiDetection(**dict(zip(names, row))) for row in rows],
    )
    try:
        check_detections(message)
    except ValueError as error:
        assert 'outside the image' in str(error)


@settings(max_examples=300, deadline=None)
@given(
    height=SIDES,
    width=SIDES,
    step=SIDES,
    encoding=st.one_of(st.sampled_from(['rgb8', 'bgr8', 'bgra8', 'mono8']), st.text(max_size=9)),
    length=st.integers(0, 5000),
)
def test_images_of_any_sizes_are_read_or_refused(height, width, step, encoding, length):
    message = Image(height=height, width=width, step=step, encoding=encoding)
    message.data = bytes(length)
    try:
        check_pixels(image_to_rgb(message))
    except ValueError as error:
        assert '\n' not in str(error)
