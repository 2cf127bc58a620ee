"""Box algebra against values worked out by hand and against scalar float64 loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from link_hoi_core.geometry import (
    box_area,
    box_encoding,
    box_iou,
    class_wise_nms,
    pairwise_encoding,
    sine_encoding,
)

LOG_OF_ZERO = math.log(1e-10)  # about -23.03


def random_boxes(count: int, seed: int, side: float = 600) -> np.ndarray:
    random = np.random.default_rng(seed)
    low = random.uniform(0, side * 0.8, (count, 2))
    return np.concatenate((low, low + random.uniform(1, side * 0.2, (count, 2))), axis=1)


def iou(a: list[float], b: list[float]) -> float:
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    area_a, area_b = ((x2 - x1) * (y2 - y1) for x1, y1, x2, y2 in (a, b))
    return width * height / (area_a + area_b - width * height)


def test_iou_by_hand() -> None:
    a = np.array([[0, 0, 10, 10]], dtype=np.float32)
    b = np.array(
        [
            [0, 0, 10, 10],  # itself
            [5, 0, 15, 10],  # half: 50 / 150
            [10, 0, 20, 10],  # touches only
            [2, 2, 4, 4],  # inside: 4 / 100
            [50, 50, 60, 60],  # far off
        ],
        dtype=np.float32,
    )
    assert box_iou(a, b)[0].tolist() == pytest.approx([1, 1 / 3, 0, 0.04, 0])
    assert box_area(b).tolist() == [100, 100, 100, 4, 100]


def test_iou_equals_a_scalar_loop() -> None:
    a, b = random_boxes(20, 0), random_boxes(30, 1)
    expected = [[iou(x, y) for y in b.tolist()] for x in a.tolist()]
    np.testing.assert_allclose(box_iou(a, b), expected, rtol=1e-12, atol=0)
    np.testing.assert_allclose(box_iou(a, a).diagonal(), 1, rtol=1e-12)


def test_iou_of_nothing_and_of_boxes_without_area_is_zero() -> None:
    none = np.zeros((0, 4), dtype=np.float32)
    point = np.array([[3, 3, 3, 3]], dtype=np.float32)
    assert box_iou(none, point).shape == (0, 1)
    assert box_iou(point, none).shape == (1, 0)
    assert box_iou(point, point).tolist() == [[0]]


def nms_loop(
    boxes: np.ndarray, scores: np.ndarray, labels: np.ndarray, threshold: float
) -> list[int]:
    """The textbook: a box stays unless a better one of its class that stayed overlaps it."""
    kept: list[int] = []
    for row in sorted(range(len(boxes)), key=lambda i: -scores[i]):
        rivals = (other for other in kept if labels[other] == labels[row])
        if all(iou(boxes[row].tolist(), boxes[other].tolist()) <= threshold for other in rivals):
            kept.append(row)
    return kept


def test_nms_by_hand() -> None:
    boxes = np.array([[0.0, 0, 10, 10], [1, 0, 11, 10], [1, 0, 11, 10], [40, 40, 50, 50]])
    scores = np.array([0.8, 0.9, 0.7, 0.1])
    assert class_wise_nms(boxes, scores, np.array([5, 5, 5, 5])).tolist() == [1, 3]
    # Another class is not suppressed, whatever its overlap.
    assert class_wise_nms(boxes, scores, np.array([5, 5, 6, 5])).tolist() == [1, 2, 3]


def test_nms_keeps_an_overlap_of_exactly_the_threshold() -> None:
    boxes = np.array([[0.0, 0, 10, 10], [0, 0, 10, 5]])
    assert class_wise_nms(boxes, np.array([0.9, 0.8]), np.zeros(2), 0.5).tolist() == [0, 1]
    assert class_wise_nms(boxes, np.array([0.9, 0.8]), np.zeros(2), 0.499).tolist() == [0]


def test_nms_ties_keep_the_input_order() -> None:
    boxes = np.array([[0.0, 0, 10, 10], [100, 0, 110, 10], [0, 0, 10, 10], [200, 0, 210, 10]])
    assert class_wise_nms(boxes, np.full(4, 0.5), np.zeros(4)).tolist() == [0, 1, 3]


@pytest.mark.parametrize('seed', range(5))
def test_nms_equals_the_textbook(seed: int) -> None:
    random = np.random.default_rng(seed)
    boxes = random_boxes(120, seed, side=120)
    scores = random.integers(0, 20, 120) / 20  # many ties
    labels = random.integers(0, 3, 120)
    threshold = random.choice([0.2, 0.5])
    kept = class_wise_nms(boxes, scores, labels, threshold)
    assert kept.tolist() == nms_loop(boxes, scores, labels, threshold)
    for limit in (0, 1, 15, 1000):
        first = class_wise_nms(boxes, scores, labels, threshold, limit)
        assert first.tolist() == kept[:limit].tolist()


def test_nms_of_nothing() -> None:
    kept = class_wise_nms(np.zeros((0, 4)), np.zeros(0), np.zeros(0))
    assert kept.shape == (0,) and kept.dtype == np.int64


def test_nms_of_5000_boxes() -> None:
    boxes, random = random_boxes(5000, 3, side=4000), np.random.default_rng(3)
    scores, labels = random.random(5000), random.integers(0, 80, 5000)
    kept = class_wise_nms(boxes, scores, labels)
    assert (np.diff(scores[kept]) <= 0).all()
    for label in range(80):
        same = boxes[kept[labels[kept] == label]]
        assert (np.triu(box_iou(same, same), 1) <= 0.5).all()
    dropped = np.setdiff1d(np.arange(5000), kept)
    rivals = (box_iou(boxes[dropped], boxes[kept]) > 0.5) & (
        (labels[dropped, None] == labels[kept]) & (scores[dropped, None] <= scores[kept])
    )
    assert len(kept) < 5000 and rivals.any(axis=1).all()


def sine_loop(position: float, width: int, temperature: float) -> list[float]:
    """Spec section 3: angle 2 pi p / T^(2 floor(k/2) / width); even k sine, odd k cosine."""
    values = []
    for k in range(width):
        angle = 2 * math.pi * position / temperature ** (2 * (k // 2) / width)
        values.append(math.sin(angle) if k % 2 == 0 else math.cos(angle))
    return values


def test_sine_encoding_by_hand() -> None:
    quarter = sine_encoding(torch.tensor(0.25, dtype=torch.float64), width=4, temperature=100.0)
    # angles pi/2 and pi/2 / 100^(1/2) = pi/20
    expected = [1, 0, math.sin(math.pi / 20), math.cos(math.pi / 20)]
    assert quarter.tolist() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize('position', [0.0, 0.01, 0.5, 0.97, 1.0])
def test_sine_encoding_equals_a_scalar_loop(position: float) -> None:
    found = sine_encoding(torch.tensor([position], dtype=torch.float64))
    assert found.shape == (1, 128)
    assert found[0].tolist() == pytest.approx(sine_loop(position, 128, 20.0), abs=1e-12)


def test_box_encoding_is_centre_then_size_each_vertical_first() -> None:
    boxes = torch.tensor([[0.1, 0.2, 0.5, 0.8], [0.0, 0.0, 1.0, 1.0]], dtype=torch.float64)
    found = box_encoding(boxes)
    assert found.shape == (2, 512)
    expected = [sine_loop(value, 128, 20.0) for value in (0.5, 0.3, 0.6, 0.4)]  # cy, cx, h, w
    assert found[0].tolist() == pytest.approx(sum(expected, []), abs=1e-12)
    assert box_encoding(boxes.reshape(1, 2, 4)).equal(found.reshape(1, 2, 512))


def encode(human: list[float], object_: list[float], size: tuple[int, int]) -> list[float]:
    boxes = (torch.tensor([box], dtype=torch.float64) for box in (human, object_))
    return pairwise_encoding(*boxes, torch.tensor([size], dtype=torch.float64))[0].tolist()


def test_pairwise_encoding_by_hand() -> None:
    """Image 200 wide, 100 high; human 40 x 80 at (30, 50), object 60 x 20 at (60, 30)."""
    found = encode([10, 10, 50, 90], [30, 20, 90, 40], (100, 200))
    features = [
        *(0.15, 0.5, 0.3, 0.3),  # centres over the sides
        *(0.2, 0.8, 0.3, 0.2),  # sizes over the sides
        *(3200 / 20000, 1200 / 20000, 1200 / 3200),  # areas, and their ratio
        *(0.5, 3.0),  # width over height
        400 / (3200 + 1200 - 400),  # they share 20 x 20
        *(30 / 40, 0, 0, 20 / 80),  # the object lies right of and above the human's centre
    ]
    assert found[:18] == pytest.approx(features, rel=1e-9)
    logarithms = [math.log(value) if value else LOG_OF_ZERO for value in features]
    assert found[18:] == pytest.approx(logarithms, rel=1e-8)
    assert LOG_OF_ZERO == pytest.approx(-23.03, abs=0.01)


def test_pairwise_encoding_of_a_box_with_itself() -> None:
    found = encode([10, 10, 50, 90], [10, 10, 50, 90], (100, 200))
    assert found[13] == pytest.approx(1)  # IoU
    assert found[14:18] == [0, 0, 0, 0]  # no offset either way
    assert found[32:] == pytest.approx([LOG_OF_ZERO] * 4)


def test_pairwise_encoding_below_and_left() -> None:
    found = encode([100, 10, 120, 20], [10, 50, 30, 90], (100, 200))
    assert found[13:18] == pytest.approx([0, 0, 90 / 20, 55 / 10, 0])


def pairwise_loop(h: list[float], o: list[float], height: float, width: float) -> list[float]:
    """Spec section 4, term by term."""
    e = 1e-10
    cx1, cy1, w1, h1 = (h[0] + h[2]) / 2, (h[1] + h[3]) / 2, h[2] - h[0], h[3] - h[1]
    cx2, cy2, w2, h2 = (o[0] + o[2]) / 2, (o[1] + o[3]) / 2, o[2] - o[0], o[3] - o[1]
    dx, dy = abs(cx2 - cx1) / (w1 + e), abs(cy2 - cy1) / (h1 + e)
    f = [cx1 / width, cy1 / height, cx2 / width, cy2 / height]
    f += [w1 / width, h1 / height, w2 / width, h2 / height]
    f += [w1 * h1 / (width * height), w2 * h2 / (width * height), w2 * h2 / (w1 * h1 + e)]
    f += [w1 / (h1 + e), w2 / (h2 + e), iou(h, o)]
    f += [dx if cx2 > cx1 else 0, dx if cx2 < cx1 else 0]
    f += [dy if cy2 > cy1 else 0, dy if cy2 < cy1 else 0]
    return f + [math.log(value + e) for value in f]


def test_pairwise_encoding_equals_a_scalar_loop() -> None:
    humans, objects = random_boxes(40, 5), random_boxes(40, 6)
    sizes = np.random.default_rng(7).uniform(600, 900, (40, 2))
    expected = [
        pairwise_loop(h, o, *size)
        for h, o, size in zip(humans.tolist(), objects.tolist(), sizes.tolist())
    ]
    double = pairwise_encoding(*(torch.from_numpy(x) for x in (humans, objects, sizes)))
    np.testing.assert_allclose(double, expected, rtol=1e-12, atol=1e-12)
    single = pairwise_encoding(*(torch.from_numpy(x).float() for x in (humans, objects, sizes)))
    # A small overlap is a difference of large numbers: its logarithm is the least exact.
    np.testing.assert_allclose(single, expected, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize('human', [[640, 10, 640, 200], [640, 480, 640, 480], [0, 0, 5, 5]])
@pytest.mark.parametrize('object_', [[640, 10, 640, 200], [640, 480, 640, 480], [0, 0, 5, 5]])
def test_pairwise_encoding_is_finite_for_boxes_cut_to_nothing(
    human: list[float], object_: list[float]
) -> None:
    """A box outside the image has no area once it is clamped to the image."""
    boxes = (torch.tensor([box], dtype=torch.float32) for box in (human, object_))
    assert pairwise_encoding(*boxes, torch.tensor([[480.0, 640.0]])).isfinite().all()
