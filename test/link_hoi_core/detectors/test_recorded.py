"""Detections looked up in files: what was recorded, and HICO-DET's own boxes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from link_hoi_core.data.hico_det import ground_truth_detections, read_hico_det
from link_hoi_core.detectors import load_detector
from link_hoi_core.images import read_image
from link_hoi_core.vocabulary import load_vocabulary

VOCABULARY = load_vocabulary('hico-det')
IMAGE = np.zeros((40, 60, 3), np.uint8)


@pytest.fixture
def recorded(tmp_path: Path) -> str:
    content = {
        'classes': ['person', 'unicycle'],
        'images': [
            _image('a.jpg', [[1, 2, 30, 40, 0.9, 0], [5, 5, 20, 20, 0.04, 1]]),
            _image('b.jpg', []),
            _image('clip/000007', [[0, 0, 9, 9, 0.5, 0]]),
        ],
    }
    (tmp_path / 'detections.json').write_text(json.dumps(content))
    return f'recorded:{tmp_path}/detections.json'


def test_recorded_detections_by_name_with_or_without_folders(recorded: str) -> None:
    detector = load_detector(recorded, VOCABULARY)
    a, b, frame = detector.detect([IMAGE] * 3, ['photos/a.jpg', 'b.jpg', 'clip/000007'])
    assert a.boxes.tolist() == [[1, 2, 30, 40], [5, 5, 20, 20]]
    assert a.names == ('person', 'unicycle') and a.labels.tolist() == [0, -1]
    assert a.scores == pytest.approx([0.9, 0.04])  # nothing is left out by default
    assert len(b) == 0 and len(frame) == 1
    assert detector.unknown == {'unicycle': 1}


def test_the_threshold_and_unknown_objects(recorded: str) -> None:
    (found,) = load_detector(recorded, VOCABULARY, score_threshold=0.05).detect([IMAGE], ['a.jpg'])
    assert found.names == ('person',)
    (found,) = load_detector(recorded, VOCABULARY, keep_unknown=False).detect([IMAGE], ['a.jpg'])
    assert found.names == ('person',)


def test_an_image_that_was_not_recorded_or_has_another_size(recorded: str) -> None:
    detector = load_detector(recorded, VOCABULARY)
    with pytest.raises(ValueError, match=r"detections.json has no detections of the image 'c.jpg'"):
        detector.detect([IMAGE], ['c.jpg'])
    with pytest.raises(ValueError, match="no detections of the image ''"):
        detector.detect([IMAGE])
    with pytest.raises(ValueError, match='a.jpg is 60 x 41 pixels, its detections .* of 60 x 40'):
        detector.detect([np.zeros((41, 60, 3), np.uint8)], ['a.jpg'])


@pytest.mark.parametrize('kind', ['recorded', 'ground-truth'])
def test_files_that_are_missing_or_hold_something_else(tmp_path: Path, kind: str) -> None:
    with pytest.raises(FileNotFoundError, match='missing.json'):
        load_detector(f'{kind}:{tmp_path}/missing.json', VOCABULARY)
    (tmp_path / 'other.json').write_text('{}')
    with pytest.raises(ValueError, match='other.json'):
        load_detector(f'{kind}:{tmp_path}/other.json', VOCABULARY)


def test_annotated_boxes_are_detections_of_score_one(shared: Path) -> None:
    file = shared / 'data' / 'hicodet' / 'instances_test2015.coco80.json.gz'
    detector = load_detector(f'ground-truth:{file}', VOCABULARY)
    photo = shared / 'data' / 'images' / 'HICO_test2015_00003124.jpg'
    (found,) = detector.detect([read_image(photo)], [str(photo)])
    (image,) = [image for image in read_hico_det(file) if image.file_name == photo.name]
    expected = ground_truth_detections(image)
    assert np.array_equal(found.boxes, expected.boxes) and (found.scores == 1).all()
    assert np.array_equal(found.labels, expected.labels) and len(found) >= 2


def test_an_image_without_pairs_has_no_boxes(
    write_annotations: Callable[..., Path], tmp_path: Path
) -> None:
    file = write_annotations(tmp_path / 'annotations.json', 5)
    (empty,) = [image for image in read_hico_det(file) if image.size is None]
    detector = load_detector(f'ground-truth:{file}', VOCABULARY)
    assert len(detector.detect([IMAGE], [empty.file_name])[0]) == 0


def _image(name: str, rows: list) -> dict:
    return {'file_name': name, 'width': 60, 'height': 40, 'dets': rows}
