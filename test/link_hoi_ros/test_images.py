"""Images are read as they are, without copies, or refused in one sentence."""

from __future__ import annotations

import importlib.util
from zlib import crc32

import numpy as np
import pytest

pytest.importorskip('sensor_msgs.msg', reason='needs ROS 2')

from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from link_hoi_ros.images import compressed_to_rgb, image_to_rgb, rgb_to_image

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)


def message(pixels: np.ndarray, encoding: str, padding: int = 0) -> Image:
    """An image message of (H, W, C) pixels with `padding` bytes after each row."""
    height, width, channels = pixels.shape
    rows = np.pad(pixels.reshape(height, -1), ((0, 0), (0, padding)), constant_values=99)
    image = Image(height=height, width=width, encoding=encoding, step=rows.shape[1])
    image.data = rows.tobytes()
    assert rows.shape[1] == width * channels + padding
    return image


def with_alpha(pixels: np.ndarray) -> np.ndarray:
    return np.concatenate([pixels, np.full_like(pixels[..., :1], 17)], axis=-1)


@pytest.mark.parametrize('padding', [0, 3])
@pytest.mark.parametrize('encoding', ['rgb8', 'bgr8', 'rgba8', 'bgra8', 'mono8'])
def test_common_encodings_are_read_without_a_copy(encoding, padding):
    expected, stored = PIXELS, PIXELS[..., ::-1] if encoding.startswith('bgr') else PIXELS
    if encoding == 'mono8':
        stored = PIXELS[..., :1]
        expected = np.repeat(stored, 3, axis=-1)
    if encoding.endswith('a8'):
        stored = with_alpha(stored)
    image = message(stored, encoding, padding)
    pixels = image_to_rgb(image)
    np.testing.assert_array_equal(pixels, expected)
    assert pixels.dtype == np.uint8
    assert np.shares_memory(pixels, np.frombuffer(image.data, np.uint8))


@pytest.mark.parametrize(
    ('change', 'found'),
    [
        ({'height': 0}, '7 x 0'),
        ({'width': 0}, '0 x 5'),
        ({'step': 7 * 3 - 1}, '105 bytes of data'),
        ({'step': 22}, 'expected step 22'),
        ({'height': 6}, 'height 6'),
        ({'width': 8}, 'step 21, expected at least 24'),
        ({'data': b''}, '0 bytes of data'),
    ],
)
def test_sizes_that_contradict_each_other_are_named(change, found):
    image = message(PIXELS, 'rgb8')
    for field, value in change.items():
        setattr(image, field, value)
    with pytest.raises(ValueError, match=found) as error:
        image_to_rgb(image)
    assert '\n' not in str(error.value)


@pytest.mark.skipif(importlib.util.find_spec('cv_bridge') is not None, reason='cv_bridge reads it')
def test_an_encoding_for_cv_bridge_is_named_with_the_remedy():
    with pytest.raises(ValueError, match="'bayer_rggb8'.*cv-bridge.*rgb8"):
        image_to_rgb(message(PIXELS[..., :1], 'bayer_rggb8'))


def test_cv_bridge_reads_the_other_encodings():
    pytest.importorskip('cv_bridge')
    deep = PIXELS[..., :1].astype(np.uint16) * 257
    image = Image(height=5, width=7, encoding='mono16', step=14, data=deep.tobytes())
    assert image_to_rgb(image).shape == (5, 7, 3)
    image.encoding = 'nonsense'
    with pytest.raises(ValueError, match='nonsense'):
        image_to_rgb(image)


@pytest.mark.parametrize('suffix', ['.png', '.jpg'])
def test_compressed_images_come_out_as_rgb(suffix):
    cv2 = pytest.importorskip('cv2')
    red = np.zeros((16, 16, 3), np.uint8)
    red[..., 0] = 200
    data = cv2.imencode(suffix, red[..., ::-1])[1].tobytes()
    pixels = compressed_to_rgb(CompressedImage(format=suffix[1:], data=data))
    np.testing.assert_allclose(pixels, red, atol=4)


def test_a_jpeg_of_a_turned_camera_is_not_turned():
    """Else its boxes, found in the stored pixels, would lie elsewhere."""
    cv2 = pytest.importorskip('cv2')
    jpeg = cv2.imencode('.jpg', np.zeros((8, 16, 3), np.uint8))[1].tobytes()
    orientation = bytes.fromhex('0112 0003 00000001 0006 0000')
    exif = b'Exif\0\0MM\0*\0\0\0\x08\0\x01' + orientation + bytes(4)
    data = jpeg[:2] + b'\xff\xe1' + (len(exif) + 2).to_bytes(2, 'big') + exif + jpeg[2:]
    assert cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).shape == (16, 8, 3)
    assert compressed_to_rgb(CompressedImage(format='jpeg', data=data)).shape == (8, 16, 3)


@pytest.mark.parametrize('data', [b'', b'not a picture'])
def test_compressed_data_that_is_no_picture_is_refused(data):
    pytest.importorskip('cv2')
    with pytest.raises(ValueError, match=f'{len(data)} bytes'):
        compressed_to_rgb(CompressedImage(format='jpeg', data=data))


def test_a_picture_that_says_to_have_billions_of_pixels_is_refused():
    pytest.importorskip('cv2')
    size = (65535).to_bytes(4, 'big')
    header = b'IHDR' + size + size + bytes([8, 2, 0, 0, 0])
    data = b'\x89PNG\r\n\x1a\n' + bytes([0, 0, 0, 13]) + header + crc32(header).to_bytes(4, 'big')
    with pytest.raises(ValueError, match='is not a picture'):
        compressed_to_rgb(CompressedImage(format='png', data=data + bytes(1000)))


def test_an_array_becomes_a_message_with_the_same_pixels_and_header():
    header = Header(frame_id='camera')
    header.stamp.sec = 12
    image = rgb_to_image(PIXELS[:, ::-1], header)
    assert image.header == header
    np.testing.assert_array_equal(image_to_rgb(image), PIXELS[:, ::-1])
