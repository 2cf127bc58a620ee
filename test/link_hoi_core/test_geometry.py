"""Box algebra against values worked out by hand and against scalar float64 loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
import reference
import torch

from link_hoi_core.geometry import (
    box_area,
    box_encoding,
    box_iou,
    centre_encoding,
    class_wise_nms,
    map_encoding,
    pairwise_encoding,
    roi_average,
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


def test_sine_encoding_by_hand() -> None:
    quarter = sine_encoding(torch.tensor(0.25, dtype=torch.float64), width=4, temperature=100.0)
    # angles pi/2 and pi/2 / 100^(1/2) = pi/20
    expected = [1, 0, math.sin(math.pi / 20), math.cos(math.pi / 20)]
    assert quarter.tolist() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize('position', [0.0, 0.01, 0.5, 0.97, 1.0])
def test_sine_encoding_equals_a_scalar_loop(position: float) -> None:
    found = sine_encoding(torch.tensor([position], dtype=torch.float64))
    assert found.shape == (1, 128)
    assert found[0].tolist() == pytest.approx(reference.sine(position), abs=1e-12)


def test_box_encoding_is_centre_then_size_each_vertical_first() -> None:
    boxes = torch.tensor([[0.1, 0.2, 0.5, 0.8], [0.0, 0.0, 1.0, 1.0]], dtype=torch.float64)
    found = box_encoding(boxes)
    assert found.shape == (2, 512)
    expected = [reference.sine(value) for value in (0.5, 0.3, 0.6, 0.4)]  # cy, cx, h, w
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


def test_pairwise_encoding_equals_a_scalar_loop() -> None:
    humans, objects = random_boxes(40, 5), random_boxes(40, 6)
    sizes = np.random.default_rng(7).uniform(600, 900, (40, 2))
    expected = [
        reference.pairwise_encoding(h, o, *size) for h, o, size in zip(humans, objects, sizes)
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


def test_centre_encoding_by_hand() -> None:
    """Of a box 0.4 wide, 0.5 high: the y half times r_h / 0.5, the x half times r_w / 0.4."""
    box = torch.tensor([0.1, 0.2, 0.5, 0.7], dtype=torch.float64)
    encoding, ratios = box_encoding(box), torch.tensor([0.8, 0.25], dtype=torch.float64)
    found = centre_encoding(encoding, box, ratios)
    torch.testing.assert_close(found[:128], encoding[:128] * 0.25 / 0.5)
    torch.testing.assert_close(found[128:], encoding[128:256] * 0.8 / 0.4)


def test_centre_encoding_equals_a_loop() -> None:
    random = np.random.default_rng(0)
    boxes = boxes_in(24, 0).numpy()[12:].reshape(3, 4, 4).copy()
    boxes[1, :2, 2:] = boxes[1, :2, :2]  # cut to nothing at the border: divided by 1e-6
    ratios = random.uniform(0, 1, (3, 4, 2))
    boxes_, ratios_ = torch.from_numpy(boxes), torch.from_numpy(ratios)
    found = centre_encoding(box_encoding(boxes_), boxes_, ratios_).numpy()
    for row in np.ndindex(3, 4):
        expected = reference.centre_encoding(boxes[row], ratios[row])
        np.testing.assert_allclose(found[row], expected, rtol=1e-9, atol=1e-6)


@pytest.mark.parametrize(('height', 'width'), [(1, 1), (3, 5), (14, 14)])
def test_map_encoding_equals_detr_cell_by_cell(height: int, width: int) -> None:
    found = map_encoding(height, width, like=torch.zeros((), dtype=torch.float64))
    assert found.shape == (height * width, 256)
    expected = reference.map_encoding(height, width)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)
    # Cells count from 1, and the last one is at 1, by (cells + 1e-6): y first, then x.
    last = reference.sine(height / (height + 1e-6)) + reference.sine(width / (width + 1e-6))
    assert found[-1].tolist() == pytest.approx(last, abs=1e-12)


def boxes_in(count: int, seed: int) -> torch.Tensor:
    """Boxes of all sizes in a unit image: (count, 4); some tiny, some along the border, all."""
    random = np.random.default_rng(seed)
    corners = np.sort(random.uniform(0, 1, (2, count, 2)), axis=0)
    corners[1, :5] = corners[0, :5] + random.uniform(1e-5, 1e-3, (5, 2))
    corners[0, 5:10, 0], corners[1, 8:12, 1] = 0, 1
    corners[:, 12] = [[0, 0], [1, 1]]
    corners[:, 13:15] = [[[0, 0]] * 2, [[0.002, 1], [1, 0.002]]]
    corners[:, 15] = [[0.998, 0.997], [1, 1]]
    return torch.from_numpy(corners.transpose(1, 0, 2).reshape(count, 4).clip(0, 1))


@pytest.mark.parametrize(('dtype', 'tolerance'), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
@pytest.mark.parametrize(('grid', 'side'), [(14, 224), (24, 336), (10, 160), (7, 7), (3, 96)])
def test_roi_average_is_that_of_torchvision(
    grid: int, side: int, dtype: torch.dtype, tolerance: float
) -> None:
    ops = pytest.importorskip('torchvision.ops')
    torch.manual_seed(grid)
    features = torch.randn(2, 6, grid, grid, dtype=dtype)
    boxes = torch.stack([boxes_in(150, seed) for seed in (0, 1)]).to(dtype)
    pixels = [image * side for image in boxes]
    expected = ops.roi_align(features, pixels, 7, grid / side, sampling_ratio=-1, aligned=True)
    expected = expected.mean((2, 3)).unflatten(0, (2, -1))
    torch.testing.assert_close(roi_average(features, boxes), expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize(('dtype', 'tolerance'), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
@pytest.mark.parametrize(('height', 'width'), [(14, 10), (5, 30), (1, 8), (40, 2)])
def test_roi_average_scales_each_axis_by_itself(
    height: int, width: int, dtype: torch.dtype, tolerance: float
) -> None:
    """torchvision has one scale for both: it gets the boxes in cells."""
    ops = pytest.importorskip('torchvision.ops')
    torch.manual_seed(0)
    features, boxes = torch.randn(1, 6, height, width, dtype=dtype), boxes_in(200, 3).to(dtype)
    cells = boxes * torch.tensor([width, height, width, height], dtype=dtype)
    expected = ops.roi_align(features, [cells], 7, 1.0, sampling_ratio=-1, aligned=True)
    found = roi_average(features, boxes[None])[0]
    torch.testing.assert_close(found, expected.mean((2, 3)), rtol=0, atol=tolerance)


def test_roi_average_equals_a_loop() -> None:
    """Also where torchvision is not installed."""
    torch.manual_seed(0)
    features, boxes = torch.randn(1, 3, 9, 16, dtype=torch.float64), boxes_in(40, 4)
    found = roi_average(features, boxes[None])[0]
    expected = [reference.roi_average(features[0].numpy(), box) for box in boxes.numpy()]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10)


def test_roi_average_of_a_plane_is_its_value_at_the_centre() -> None:
    """Cell (y, x) has its middle at y + 0.5; a box within the middles averages a slope exactly."""
    y, x = torch.meshgrid(torch.arange(8.0), torch.arange(12.0), indexing='ij')
    features = torch.stack((y + 0.5, x + 0.5, torch.ones(8, 12)))[None].double()
    boxes = torch.tensor([[1.0, 1.0, 4.0, 3.0], [2.2, 3.1, 11.0, 7.3]], dtype=torch.float64)
    found = roi_average(features, boxes[None] / torch.tensor([12.0, 8.0, 12.0, 8.0]))
    expected = [[2.0, 2.5, 1.0], [5.2, 6.6, 1.0]]
    torch.testing.assert_close(found[0], torch.tensor(expected, dtype=torch.float64))


def test_roi_average_of_a_batch_is_that_of_each_image() -> None:
    torch.manual_seed(0)
    features = torch.randn(3, 4, 6, 7, dtype=torch.float64)
    boxes = torch.stack([boxes_in(20, seed) for seed in range(3)])
    together = roi_average(features, boxes)
    for row in range(3):
        alone = roi_average(features[row : row + 1], boxes[row : row + 1])
        torch.testing.assert_close(together[row], alone[0], rtol=0, atol=1e-12)
    assert roi_average(features, boxes[:, :0]).shape == (3, 0, 4)


def test_gradient_of_roi_average_is_that_of_torchvision() -> None:
    ops = pytest.importorskip('torchvision.ops')
    torch.manual_seed(0)
    features, boxes = torch.randn(1, 4, 9, 9, dtype=torch.float64), boxes_in(50, 5)
    weights, gradients = torch.randn(50, 4, dtype=torch.float64), []
    for average in (
        lambda x: roi_average(x, boxes[None])[0],
        lambda x: ops.roi_align(x, [boxes * 9], 7, aligned=True).mean((2, 3)),
    ):
        leaf = features.clone().requires_grad_()
        (average(leaf) * weights).sum().backward()
        gradients.append(leaf.grad)
    torch.testing.assert_close(*gradients, rtol=0, atol=1e-10)
