"""Flip, jitter and reframing keep boxes inside the image."""

from __future__ import annotations

import numpy as np
import pytest

from link_hoi_core.data.transforms import flip_boxes, jitter_boxes, reframe_boxes

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


@pytest.mark.parametrize('share', [0.1, 0.3, 0.9])
def test_another_frame_keeps_every_box_and_their_places_to_each_other(share: float) -> None:
    random = np.random.default_rng(4)
    for _ in range(300):
        boxes = boxes_in_the_image(40)[random.integers(0, 40, 3)]
        found, (height, width) = reframe_boxes(boxes, SIZE, share, random)
        moved = found - boxes
        np.testing.assert_allclose(moved, np.tile(moved[:1, :2], (3, 2)), atol=1e-3)
        limit = np.array([width, height, width, height])
        assert (found >= -0.5).all() and (found <= limit + 0.5).all()  # the frame is whole pixels
        assert abs(width - 640) <= 2 * share * 640 + 1 and abs(height - 480) <= 2 * share * 480 + 1
        assert isinstance(width, int) and isinstance(height, int)
        assert found.dtype == np.float32


def test_frames_differ_to_every_side() -> None:
    random = np.random.default_rng(5)
    boxes = np.array([[200, 200, 400, 300]], dtype=np.float32)
    frames = [reframe_boxes(boxes, SIZE, 0.3, random) for _ in range(300)]
    left = np.array([found[0, 0] for found, _ in frames])
    right = np.array([size[1] - found[0, 2] for found, size in frames])
    assert left.min() < 20 and left.max() > 380 and right.min() < 60 and right.max() > 420


def test_the_same_frame_where_no_border_moves() -> None:
    boxes = boxes_in_the_image(50)
    found, size = reframe_boxes(boxes, SIZE, 0.0, np.random.default_rng(6))
    np.testing.assert_array_equal(found, boxes)
    assert size == SIZE
