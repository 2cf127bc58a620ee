"""Random changes to detections while training, so that a model holds up on a detector's boxes."""

from __future__ import annotations

import numpy as np

MIN_SIDE = 1.0


def flip_boxes(boxes: np.ndarray, width: float) -> np.ndarray:
    """Mirror boxes (..., 4) of an image of `width` pixels left to right."""
    flipped = boxes[..., [2, 1, 0, 3]]
    flipped[..., ::2] = width - flipped[..., ::2]
    return flipped


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
