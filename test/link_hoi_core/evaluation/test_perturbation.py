"""Displaced boxes: how far, how alike in every run, and always a box of the image."""

from __future__ import annotations

import numpy as np
import pytest

from link_hoi_core.evaluation.perturbation import Perturbation, perturb, perturb_all
from link_hoi_core.geometry import box_iou
from link_hoi_core.selection import select_detections
from link_hoi_core.structures import Detections

WIDTH, HEIGHT = 4000, 3000


@pytest.fixture
def inside() -> Detections:
    """A thousand boxes so far from the border that no perturbation reaches it."""
    random = np.random.default_rng(0)
    centre = random.uniform([1000, 1000], [3000, 2000], (1000, 2))
    half = random.uniform(5, 250, (1000, 2))
    boxes = np.concatenate([centre - half, centre + half], axis=1)
    return Detections(boxes, random.uniform(0, 1, 1000), np.arange(1000) % 80, (HEIGHT, WIDTH))


def centre(boxes: np.ndarray) -> np.ndarray:
    return (boxes[:, :2] + boxes[:, 2:]) / 2


def size(boxes: np.ndarray) -> np.ndarray:
    return boxes[:, 2:] - boxes[:, :2]


@pytest.mark.parametrize('delta', [0.2, 1.0])
def test_shift_moves_the_centre_by_up_to_delta_sizes(inside: Detections, delta: float) -> None:
    seen = perturb(inside, Perturbation(shift=delta), 0, 'a.jpg')
    moved = (centre(seen.boxes) - centre(inside.boxes)) / size(inside.boxes)
    assert np.abs(moved).max() <= delta + 1e-3
    assert np.abs(moved.mean(0)).max() < 0.1 * delta
    assert moved.std(0) == pytest.approx(delta / np.sqrt(3), rel=0.1)  # of a uniform number
    assert abs(np.corrcoef(moved.T)[0, 1]) < 0.15  # x and y each for itself
    np.testing.assert_allclose(size(seen.boxes), size(inside.boxes), atol=1e-2)
    assert np.array_equal(seen.scores, inside.scores)
    assert np.array_equal(seen.labels, inside.labels)


@pytest.mark.parametrize('delta', [0.2, 0.9])
def test_scale_changes_width_and_height_around_the_centre(inside: Detections, delta: float) -> None:
    seen = perturb(inside, Perturbation(scale=delta), 0, 'a.jpg')
    factor = size(seen.boxes) / size(inside.boxes)
    assert 1 - delta - 1e-3 <= factor.min() and factor.max() <= 1 + delta + 1e-3
    assert factor.std(0) == pytest.approx(delta / np.sqrt(3), rel=0.1)
    assert abs(np.corrcoef(factor.T)[0, 1]) < 0.15
    np.testing.assert_allclose(centre(seen.boxes), centre(inside.boxes), atol=1e-2)


def test_a_box_goes_on_in_one_direction_as_delta_grows(inside: Detections) -> None:
    near, far = (
        perturb(inside, Perturbation(shift=delta), 0, 'a.jpg').boxes for delta in (0.25, 0.5)
    )
    np.testing.assert_allclose(2 * (near - inside.boxes), far - inside.boxes, atol=1e-2)


def test_the_same_seed_and_name_move_alike_others_do_not(inside: Detections) -> None:
    shift = Perturbation(shift=0.5)
    first = perturb(inside, shift, 0, 'a.jpg').boxes
    assert np.array_equal(perturb(inside, shift, 0, 'a.jpg').boxes, first)
    assert not np.allclose(perturb(inside, shift, 0, 'b.jpg').boxes, first)
    assert not np.allclose(perturb(inside, shift, 1, 'a.jpg').boxes, first)


def test_neither_order_nor_shards_matter(inside: Detections) -> None:
    images = [inside.take(np.arange(start, start + 5)) for start in range(0, 50, 5)]
    names = [f'{number}.jpg' for number in range(10)]
    every, _ = perturb_all(images, names, Perturbation(scale=0.5), 3)
    odd, _ = perturb_all(images[::-2], names[::-2], Perturbation(scale=0.5), 3)
    assert len(odd) == 5
    for boxes, same in zip(every[::-2], odd):
        assert np.array_equal(boxes.boxes, same.boxes)


def test_nothing_changes_without_a_perturbation() -> None:
    """Not even a box that sticks out of its image."""
    found = Detections([[-5, -5, 20, 20], [3, 3, 3.5, 3.5]], [1, 0.5], [0, 1], (10, 10))
    seen = perturb(found, Perturbation(), 0, 'a.jpg')
    assert np.array_equal(seen.boxes, found.boxes) and np.array_equal(seen.scores, found.scores)


@pytest.mark.parametrize('image_size', [(1, 1), (2, 700), (480, 640)])
@pytest.mark.parametrize('kind', ['shift', 'scale'])
def test_every_box_stays_a_box_of_its_image(image_size: tuple[int, int], kind: str) -> None:
    height, width = image_size
    random = np.random.default_rng(1)
    corners = random.uniform(0, [width, height], (500, 2, 2))
    boxes = np.concatenate([corners.min(1), corners.max(1) + 0.25], axis=1)
    found = Detections(boxes, np.ones(500), np.zeros(500), image_size)
    seen = perturb(found, Perturbation(**{kind: 1.0}), 0, 'a.jpg').boxes
    assert len(seen) == 500
    assert (seen[:, :2] >= 0).all() and (seen[:, 2:] <= [width, height]).all()
    assert (size(seen) >= 1 - 1e-3).all()


def test_nms_drops_redundant_boxes_and_nothing_else() -> None:
    corner = np.stack(np.meshgrid(np.arange(5), np.arange(5)), -1).reshape(-1, 2) * 100 + 20
    boxes = np.concatenate([corner, corner + [60, 80]], axis=1)
    labels = np.arange(25) % 2
    found = Detections(boxes, np.linspace(0.9, 0.4, 25), labels, (600, 600))
    seen = perturb(found, Perturbation(copies=4), 0, 'a.jpg')
    assert len(seen) == 125
    assert np.array_equal(seen.boxes[:25], found.boxes)
    for copy in range(1, 5):
        rows = slice(25 * copy, 25 * copy + 25)
        assert np.array_equal(seen.labels[rows], labels)
        assert (seen.scores[rows] < found.scores).all() and (seen.scores[rows] > 0.15).all()
        overlap = np.diag(box_iou(seen.boxes[rows], found.boxes))
        assert overlap.min() > 0.6 and overlap.max() < 1
    assert sorted(select_detections(seen, 0)) == list(range(25))


def test_pairs_are_reported_with_the_boxes_that_are_asked_for(inside: Detections) -> None:
    few = inside.take(np.arange(3))
    names = ['a.jpg', 'b.jpg']
    seen, reported = perturb_all([None, few], names, Perturbation(shift=0.5, copies=1), 0)
    assert seen[0] is None and reported[0] is None
    assert len(seen[1]) == len(reported[1]) == 6
    assert np.array_equal(reported[1].boxes, np.concatenate([few.boxes, few.boxes]))
    assert np.array_equal(reported[1].labels, seen[1].labels)
    shift = Perturbation(shift=0.5, report='perturbed')
    seen, reported = perturb_all([None, few], names, shift, 0)
    assert np.array_equal(reported[1].boxes, seen[1].boxes)
    assert not np.allclose(seen[1].boxes, few.boxes)


@pytest.mark.parametrize(
    ('value', 'message'),
    [
        ({'shift': 1.5}, 'shift is 1.5'),
        ({'scale': float('nan')}, 'scale is nan'),
        ({'copies': -1}, 'copies are -1'),
        ({'report': 'both'}, "report is 'both'"),
    ],
)
def test_bad_values_are_named(value: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Perturbation(**value)
