"""Pairs, padding and batches."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from link_hoi_core.model.scene import build_scene, count_pairs, cut_by_pairs, list_pairs
from link_hoi_core.structures import Detections

PERSON = 0


def detections(labels: list[int], seed: int = 0, size: tuple[int, int] = (480, 640)) -> Detections:
    random = np.random.default_rng(seed)
    low = random.uniform(0, 300, (len(labels), 2))
    boxes = np.concatenate((low, low + random.uniform(10, 150, (len(labels), 2))), axis=1)
    return Detections(boxes, random.uniform(0.3, 1, len(labels)), labels, size)


def test_pairs_run_over_humans_then_over_all_others() -> None:
    pairs = list_pairs(np.array([PERSON, 7, PERSON]), PERSON)
    assert pairs.tolist() == [[0, 1], [0, 2], [2, 0], [2, 1]]


@pytest.mark.parametrize('labels', [[], [PERSON], [3], [3, 4], [PERSON] * 5, [3, 0, 0, 4, 0, 1]])
def test_pairs_equal_two_loops(labels: list[int]) -> None:
    expected = [
        [i, j]
        for i in range(len(labels))
        for j in range(len(labels))
        if labels[i] == PERSON and i != j
    ]
    pairs = list_pairs(np.array(labels, dtype=np.int64), PERSON)
    assert pairs.tolist() == expected
    assert pairs.shape == (len(expected), 2)
    assert count_pairs(np.array(labels), PERSON) == len(expected)


def test_15_humans_and_15_objects_make_435_pairs() -> None:
    assert count_pairs(np.array([PERSON] * 15 + [1] * 15), PERSON) == 435


def test_scene_pads_images_of_different_sizes() -> None:
    images = [detections([0, 5, 0]), detections([9], 1), detections([], 2), detections([0, 3], 3)]
    scene = build_scene(images, PERSON)
    assert scene.boxes.shape == (4, 3, 4)
    assert scene.pairs.shape == (4, 4, 2)
    assert scene.present.sum(dim=1).tolist() == [3, 1, 0, 2]
    assert scene.pair_present.sum(dim=1).tolist() == [4, 0, 0, 1]
    assert scene.pairs[3, 0].tolist() == [0, 1]
    assert scene.image_size.tolist() == [[480, 640]] * 4
    assert scene.labels[0].tolist() == [0, 5, 0]
    np.testing.assert_array_equal(scene.scores[3, :2], images[3].scores)
    np.testing.assert_array_equal(scene.boxes[0], images[0].boxes)
    assert scene.boxes.dtype == scene.scores.dtype == scene.image_size.dtype == torch.float32


def test_scene_of_no_image() -> None:
    scene = build_scene([], PERSON)
    assert scene.boxes.shape == (0, 0, 4) and scene.pairs.shape == (0, 0, 2)


def test_boxes_are_cut_at_the_border() -> None:
    image = Detections([[-10, -5, 700, 500], [5, 6, 7, 8]], [1, 1], [0, 1], (480, 640))
    assert build_scene([image], PERSON).boxes[0].tolist() == [[0, 0, 640, 480], [5, 6, 7, 8]]


def test_values_at_pairs() -> None:
    scene = build_scene([detections([0, 5, 0]), detections([0, 3])], PERSON)
    human, object_ = scene.at_pairs(torch.tensor([[10, 11, 12], [20, 21, 22]]))
    assert human[0].tolist() == [10, 10, 12, 12] and object_[0].tolist() == [11, 12, 10, 11]
    assert (human[1, 0], object_[1, 0]) == (20, 21)


def test_values_of_any_shape_at_pairs_equal_a_loop() -> None:
    scene = build_scene([detections([0, 5, 0]), detections([3]), detections([0, 3])], PERSON)
    values = torch.arange(3 * 3 * 2 * 5).reshape(3, 3, 2, 5)
    human, object_ = scene.at_pairs(values)
    assert human.shape == object_.shape == (3, 4, 2, 5)
    for image, pair in scene.pair_present.nonzero().tolist():
        i, j = scene.pairs[image, pair].tolist()
        assert human[image, pair].equal(values[image, i])
        assert object_[image, pair].equal(values[image, j])


def test_relative_boxes_are_in_units_of_the_images_sides() -> None:
    images = [
        Detections([[64, 120, 320, 480]], [1], [0], (480, 640)),
        Detections([[0, 0, 10, 50]], [1], [0], (100, 20)),
    ]
    found = build_scene(images, PERSON).relative_boxes()
    torch.testing.assert_close(found[0, 0], torch.tensor([0.1, 0.25, 0.5, 1.0]))
    torch.testing.assert_close(found[1, 0], torch.tensor([0, 0, 0.5, 0.5]))


def test_mirror_images_come_after_the_scene() -> None:
    scene = build_scene([detections([0, 5, 0]), detections([0, 3], 1, (100, 200))], PERSON)
    both = scene.with_mirror_images()
    for value, twice in zip(scene.tensors(), both.tensors()):
        assert twice[:2].equal(value) and (value is scene.boxes or twice[2:].equal(value))
    assert both.padded
    for image, width in enumerate((640, 200)):
        for mine, other in zip(scene.boxes[image].tolist(), both.boxes[2 + image].tolist()):
            assert other == pytest.approx([width - mine[2], mine[1], width - mine[0], mine[3]])


@pytest.mark.parametrize('most_images', [1, 4, 256])
@pytest.mark.parametrize('most_pairs', [1, 50, 4096])
def test_batches_hold_every_image_once_within_the_budget(most_images: int, most_pairs: int) -> None:
    random = np.random.default_rng(0)
    images = random.permutation(1000)[:200]
    counts = random.integers(1, 120, 200)
    of = dict(zip(images.tolist(), counts.tolist()))
    batches = list(cut_by_pairs(images, counts, most_images, most_pairs))
    assert sorted(sum(batches, [])) == sorted(images.tolist())
    for batch in batches:
        assert len(batch) <= most_images
        padded = len(batch) * max(of[image] for image in batch)
        assert padded <= most_pairs or len(batch) == 1
    spans = [(min(of[i] for i in batch), max(of[i] for i in batch)) for batch in batches]
    assert all(after[0] >= before[1] for before, after in zip(spans, spans[1:]))


def test_no_image_makes_no_batch() -> None:
    none = np.zeros(0, dtype=np.int64)
    assert list(cut_by_pairs(none, none, 4, 4)) == []


def test_a_mask_is_given_only_where_something_is_padded() -> None:
    one, other = detections([0, 5, 0]), detections([0, 5, 7], 1, (100, 200))
    alone, uneven = build_scene([one], PERSON), build_scene([one, other], PERSON)
    assert alone.detection_mask() is None and alone.pair_mask() is None
    assert uneven.detection_mask() is uneven.present  # as many detections, but fewer pairs
    assert uneven.pair_mask() is uneven.pair_present
    assert build_scene([one, one], PERSON).pair_mask() is None
