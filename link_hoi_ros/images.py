"""Image messages to arrays and back; the five common encodings are read without a copy."""

from __future__ import annotations

import array

import numpy as np
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from link_hoi_core.optional import require

# encoding -> (bytes a pixel, where red, green and blue are in it)
_ENCODINGS: dict[str, tuple[int, slice]] = {
    'rgb8': (3, slice(0, 3)),
    'bgr8': (3, slice(2, None, -1)),
    'rgba8': (4, slice(0, 3)),
    'bgra8': (4, slice(2, None, -1)),
    'mono8': (1, slice(0, 1)),
}


def image_to_rgb(message: Image) -> np.ndarray:
    """The pixels of an image message, (height, width, 3) uint8 RGB.

    For rgb8, bgr8, rgba8, bgra8 and mono8 it is a view of the message's data, whatever its `step`
    (`is_bigendian` says nothing about bytes); other encodings are converted by cv_bridge.

    Raises:
        ValueError: the image is empty, `step` or data do not fit its size, or nothing here reads
            its encoding.
    """
    height, width, encoding = message.height, message.width, message.encoding
    if height == 0 or width == 0:
        raise ValueError(f'image is empty: {width} x {height} pixels')
    if len(message.data) != message.step * height:
        raise ValueError(
            f'image has {len(message.data)} bytes of data, expected step {message.step} '
            f'x height {height} = {message.step * height}'
        )
    if encoding not in _ENCODINGS:
        return _bridge(message)
    channels, rgb = _ENCODINGS[encoding]
    if message.step < width * channels:
        raise ValueError(
            f'image has step {message.step}, expected at least {width * channels} '
            f'for {width} pixels of {encoding}'
        )
    rows = np.frombuffer(message.data, np.uint8).reshape(height, message.step)
    pixels = rows[:, : width * channels].reshape(height, width, channels)
    return np.broadcast_to(pixels[..., rgb], (height, width, 3))


def compressed_to_rgb(message: CompressedImage) -> np.ndarray:
    """The pixels of a JPEG or PNG message, (height, width, 3) uint8 RGB.

    Raises:
        ValueError: the data is not a picture.
        ImportError: OpenCV is missing.
    """
    cv2 = require('cv2', 'pip install opencv-python-headless', 'reading compressed images')
    data = np.frombuffer(message.data, np.uint8)
    # not turned as EXIF says: image_transport and with it the detector leave it as it is stored
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        pixels = cv2.imdecode(data, flags) if data.size else None
    except cv2.error:  # it says to have more pixels than OpenCV lets through
        pixels = None
    if pixels is None:
        raise ValueError(
            f'compressed image of {data.size} bytes, format {message.format!r}, '
            'is not a picture that OpenCV reads'
        )
    return pixels[..., ::-1]


def rgb_to_image(pixels: np.ndarray, header: Header) -> Image:
    """An rgb8 message of (height, width, 3) uint8 RGB pixels, with `header` as it is."""
    height, width, _ = pixels.shape
    message = Image(
        header=header, height=height, width=width, encoding='rgb8', is_bigendian=0, step=width * 3
    )
    # 0.1 ms for 640 x 480, where assigning the ndarray takes 126 ms: each byte is checked
    data = array.array('B')
    data.frombytes(np.ascontiguousarray(pixels).data.cast('B'))
    message.data = data
    return message


def _bridge(message: Image) -> np.ndarray:
    purpose = f'image encoding {message.encoding!r}'
    try:
        cv_bridge = require('cv_bridge', 'apt install ros-$ROS_DISTRO-cv-bridge', purpose)
    except ImportError as error:
        raise ValueError(f'{error}; read without it: {", ".join(_ENCODINGS)}') from error
    try:
        return cv_bridge.CvBridge().imgmsg_to_cv2(message, 'rgb8')
    except cv_bridge.CvBridgeError as error:
        raise ValueError(f'{purpose} cannot be converted to rgb8: {error}') from error
