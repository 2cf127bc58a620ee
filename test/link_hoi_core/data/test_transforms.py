"""Flip, jitter and reframing keep boxes inside the image."""

from __future__ import annotations

import numpy as np
import pytest

from link_hoi_core.data.transforms import flip_boxes, jitter_boxes

SIZE = (480, 640)


def boxes_in_the_image(count: int) -> np.ndarray:
    """Also some along the border, and some of a single pixel."""
    random = np.random.default_rng(0)
    limit = np.array([SIZE[1], SIZE[0]])
    low = random.uniform(0, limit - 1, (count, 2))
    high = np.minimum(low + random.choice([1, 5, 100, 1000], (count, 1)), limit)
    return np.concatenate((low, high), axis=1).astype(np.float32)


def test_flip_by_hand() -> None:
    boxes = np.array([[0, 10, 30, 50], [100, 0, 640, 480]], dtype=np.float32)
    assert flip_boxes(boxes, 640).tolist() == [[610, 10, 640, 50], [0, 0, 540, 480]]


def test_flip_twice_changes_nothing() -> None:
    boxes = boxes_in_the_image(200).round()
    np.testing.assert_array_equal(flip_boxes(flip_boxes(boxes, 640), 640), boxes)
    assert flip_boxes(np.zeros((0, 4)), 640).shape == (0, 4)


@pytest.mark.parametrize('delta', [0.05, 0.1, 0.5])
def test_jitter_stays_inside_and_keeps_a_pixel(delta: float) -> None:
    random = np.random.default_rng(1)
    boxes = boxes_in_the_image(5000)
    found = jitter_boxes(boxes, SIZE, delta, random)
    assert found.dtype == np.float32 and found.shape == boxes.shape
    assert (found >= 0).all() and (found <= [640, 480, 640, 480]).all()
    assert (found[:, 2:] - found[:, :2] >= 1 - 1e-4).all()  # to float32's rounding
    assert (found != boxes).any(axis=1).mean() > 0.9


def test_jitter_moves_by_its_share_of_the_box() -> None:
    boxes = np.tile(np.array([[300, 200, 340, 300]], dtype=np.float32), (20000, 1))
    found = jitter_boxes(boxes, SIZE, 0.1, np.random.default_rng(2)).astype(np.float64)
    shift = ((found[:, :2] + found[:, 2:]) / 2 - [320, 250]) / [40, 100]
    scale = (found[:, 2:] - found[:, :2]) / [40, 100]
    for values, middle in ((shift, 0), (scale, 1)):
        assert np.abs(values - middle).max() <= 0.1 + 1e-5
        assert np.abs(values - middle).max() > 0.099  # and all of it is used
        np.testing.assert_allclose(values.mean(axis=0), middle, atol=0.003)


def test_no_jitter_changes_nothing() -> None:
    boxes = boxes_in_the_image(100)
    found = jitter_boxes(boxes, SIZE, 0.0, np.random.default_rng(3))
    np.testing.assert_allclose(found, boxes, atol=1e-3)
    empty = jitter_boxes(np.zeros((0, 4), np.float32), SIZE, 0.1, np.random.default_rng(3))
    assert empty.shape == (0, 4)
