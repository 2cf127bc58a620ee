"""Random changes to detections while training, so that a model holds up on a detector's boxes."""

from __future__ import annotations

import numpy as np

MIN_SIDE = 1.0


def flip_boxes(boxes: np.ndarray, width: float) -> np.ndarray:
    """Mirror boxes (..., 4) of an image of `width` pixels left to right."""
    x1, y1, x2, y2 = np.moveaxis(boxes, -1, 0)
    return np.stack((width - x2, y1, width - x1, y2), axis=-1)


def jitter_boxes(
    boxes: np.ndarray, image_size: tuple[int, int], delta: float, random: np.random.Generator
) -> np.ndarray:
    """Move and scale boxes (N, 4) a little (LINK A.12).

    Centres move by a uniform share of +-delta of the box's own width and height, sides scale by a
    uniform factor of 1 +- delta. What leaves the image is cut; a box keeps at least a pixel a side.
    """
    height, width = image_size
    size = boxes[:, 2:] - boxes[:, :2]
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2 + size * random.uniform(-delta, delta, size.shape)
    half = size * random.uniform(1 - delta, 1 + delta, size.shape) / 2
    limit = np.array([width, height], dtype=np.float32)
    low = (centre - half).clip(0, limit - MIN_SIDE)
    high = np.minimum(np.maximum(centre + half, low + MIN_SIDE), limit)
    return np.concatenate((low, high), axis=1).astype(np.float32)


def reframe_boxes(
    boxes: np.ndarray, image_size: tuple[int, int], share: float, random: np.random.Generator
) -> tuple[np.ndarray, tuple[int, int]]:
    """Move the image's borders around boxes (N, 4), as if the camera had framed them otherwise.

    Each border moves by a uniform share of +-`share` of the image's side, inwards no further than
    to the outermost box.

    Returns:
        the boxes in pixels of the new frame, and its (height, width).
    """
    height, width = image_size
    reach = share * np.array([width, height])
    first, last = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
    low = np.ceil(random.uniform(-reach, np.clip(first, 0, reach)) - 0.5)
    size = np.array([width, height])
    high = np.floor(random.uniform(np.clip(last, size - reach, size), size + reach) + 0.5)
    new_width, new_height = (high - low).astype(int).tolist()
    return (boxes - np.tile(low, 2)).astype(np.float32), (new_height, new_width)
