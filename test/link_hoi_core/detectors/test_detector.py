"""What holds for every detector, whatever finds the boxes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from link_hoi_core.detectors import Detector, DetectorOptions, Found
from link_hoi_core.detectors.detector import find_by_size
from link_hoi_core.vocabulary import load_vocabulary

IMAGE = np.zeros((40, 60, 3), np.uint8)


class Fixed(Detector):
    """Finds the same in every image."""

    def __init__(self, found: Found, keep_unknown: bool = True) -> None:
        options = DetectorOptions(load_vocabulary('hico-det'), keep_unknown=keep_unknown)
        super().__init__('fixed', options, 0.1)
        self.found = found

    def find(self, images: Sequence[np.ndarray], files: Sequence[str]) -> list[Found]:
        assert all(image.dtype == np.uint8 and image.shape[2] == 3 for image in images)
        return [self.found] * len(images)


def found(*rows: tuple[list[float], float, str]) -> Found:
    boxes, scores, names = zip(*rows)
    return Found(np.array(boxes), np.array(scores), names)


def test_boxes_are_cut_at_the_border_and_dropped_without_a_pixel_inside() -> None:
    detector = Fixed(
        found(
            ([-5, -5, 70, 50], 0.9, 'person'),
            ([61, 10, 70, 20], 0.9, 'dog'),  # outside
            ([10, 10, 10.9, 20], 0.9, 'dog'),  # thinner than a pixel
            ([20, 20, 10, 10], 0.9, 'dog'),  # inverted
        )
    )
    (one,) = detector.detect([IMAGE])
    assert one.boxes.tolist() == [[0, 0, 60, 40]]
    assert one.image_size == (40, 60)


def test_the_threshold_keeps_what_equals_it() -> None:
    rows = [([0, 0, 9, 9], score, 'dog') for score in (0.09, 0.1, 0.5)]
    (one,) = Fixed(found(*rows)).detect([IMAGE])
    assert one.scores.tolist() == pytest.approx([0.1, 0.5])


def test_names_become_labels_in_any_usual_spelling() -> None:
    names = ['Person', 'cell phone', 'cellphone', 'motorbike', 'sofa', 'aeroplane']
    (one,) = Fixed(found(*(([0, 0, 9, 9], 0.5, name) for name in names))).detect([IMAGE])
    objects = [load_vocabulary('hico-det').objects[label] for label in one.labels]
    assert objects == ['person', 'cell_phone', 'cell_phone', 'motorcycle', 'couch', 'airplane']
    assert one.names == tuple(names)


@pytest.mark.parametrize('keep', [True, False])
def test_unknown_names_are_kept_or_dropped_and_counted_either_way(keep: bool) -> None:
    rows = [
        ([0, 0, 9, 9], 0.5, 'unicycle'),
        ([0, 0, 9, 9], 0.5, 'dog'),
        ([0, 0, 9, 9], 0.01, 'unicycle'),  # below the threshold: not met
    ]
    detector = Fixed(found(*rows), keep_unknown=keep)
    results = detector.detect([IMAGE, IMAGE])
    assert [one.names for one in results] == [('unicycle', 'dog') if keep else ('dog',)] * 2
    assert (results[0].labels[0] == -1) == keep
    assert detector.unknown == {'unicycle': 2}


def test_any_kind_of_picture_is_taken() -> None:
    detector = Fixed(found(([0, 0, 9, 9], 0.5, 'dog')))
    pictures = [
        np.zeros((40, 60), np.uint8),
        np.zeros((40, 60, 4), np.uint8),
        np.zeros((40, 60), np.uint16),
        np.zeros((1, 1, 3), np.uint8),
    ]
    results = detector.detect(pictures)
    assert [one.image_size for one in results] == [(40, 60)] * 3 + [(1, 1)]
    assert results[3].boxes.tolist() == [[0, 0, 1, 1]]


def test_no_image_is_no_result_and_an_empty_one_is_an_error() -> None:
    detector = Fixed(found(([0, 0, 9, 9], 0.5, 'dog')))
    assert detector.detect([]) == []
    with pytest.raises(ValueError, match='empty'):
        detector.detect([np.zeros((0, 10, 3), np.uint8)])


def test_file_names_must_be_as_many_as_images() -> None:
    with pytest.raises(ValueError, match='1 file names for 2 images'):
        Fixed(found(([0, 0, 9, 9], 0.5, 'dog'))).detect([IMAGE, IMAGE], ['one.jpg'])


def test_images_of_one_size_run_together_and_come_back_in_order() -> None:
    heights = [3, 5, 3, 4, 5]
    seen = []

    def find(images: list[np.ndarray]) -> list[Found]:
        seen.append(len(images))
        return [Found(np.zeros((0, 4)), np.zeros(0), [str(image.sum())]) for image in images]

    images = [np.full((height, 1, 3), i, np.uint8) for i, height in enumerate(heights)]
    results = find_by_size(images, find)
    assert [one.names[0] for one in results] == [str(image.sum()) for image in images]
    assert seen == [2, 2, 1]


def test_nan_is_an_error_not_an_empty_picture() -> None:
    with pytest.raises(ValueError, match='fixed gives NaN'):
        Fixed(found(([0, 0, 9, 9], np.nan, 'dog'))).detect([IMAGE])
