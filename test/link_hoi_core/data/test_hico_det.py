"""HICO-DET annotations: coordinates, order, the ground-truth-box protocol, and bad files."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from link_hoi_core.data.hico_det import AnnotatedImage, ground_truth_detections, read_hico_det

PAIR = {
    'boxes_h': [[1, 1, 10, 20]],
    'boxes_o': [[5, 6, 30, 40]],
    'hoi': [153],
    'object': [3],
    'verb': [76],
}
NO_PAIR = {'boxes_h': [], 'boxes_o': [], 'hoi': [], 'object': [], 'verb': []}


def annotation_file(folder: Path, **changes: object) -> Path:
    content = {
        'annotation': [PAIR, NO_PAIR],
        'filenames': ['b.jpg', 'a.jpg'],
        'size': [[64, 48], None],
        'objects': ['person'] + ['thing'] * 79,
        **changes,
    }
    path = folder / 'annotations.json'
    path.write_text(json.dumps(content))
    return path


def image(boxes_h: list, boxes_o: list, objects: list) -> AnnotatedImage:
    ids = np.array(objects, np.int64)
    boxes = (np.array(rows, np.float32).reshape(-1, 4) for rows in (boxes_h, boxes_o))
    return AnnotatedImage('x.jpg', (480, 640), *boxes, hoi=ids, object=ids, verb=ids)


def test_boxes_become_continuous_and_sizes_height_first(tmp_path: Path) -> None:
    first, second = read_hico_det(annotation_file(tmp_path))
    assert (first.file_name, first.size) == ('b.jpg', (48, 64))
    assert first.boxes_h.tolist() == [[0, 0, 10, 20]]
    assert first.boxes_o.tolist() == [[4, 5, 30, 40]]
    assert (first.hoi.tolist(), first.object.tolist(), first.verb.tolist()) == ([153], [3], [76])
    assert (second.file_name, second.size, second.boxes_h.shape) == ('a.jpg', None, (0, 4))


def test_gzipped_and_plain_files_are_the_same(tmp_path: Path) -> None:
    plain = annotation_file(tmp_path)
    packed = tmp_path / 'annotations.json.gz'
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert read_hico_det(packed)[0].boxes_o.tolist() == read_hico_det(plain)[0].boxes_o.tolist()


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'size': [[64, 48]]}, 'of one length'),
        ({'annotation': {}}, 'of one length'),
        ({'objects': ['airplane', 'apple']}, 'COCO-80 object order'),
        ({'annotation': [{**PAIR, 'hoi': [600]}, NO_PAIR]}, "'b.jpg': an id is outside 0..599"),
        ({'annotation': [{**PAIR, 'verb': [1, 2]}, NO_PAIR]}, "'b.jpg': its lists differ"),
        ({'annotation': [{**PAIR, 'boxes_h': [[1, 1, 9]]}, NO_PAIR]}, 'boxes of four numbers'),
        ({'annotation': [{**PAIR, 'boxes_h': [[9, 1, 1, 9]]}, NO_PAIR]}, 'has no area'),
        ({'annotation': [{**PAIR, 'boxes_h': [[1, 1, None, 9]]}, NO_PAIR]}, "'b.jpg'"),
        ({'annotation': [{'boxes_h': []}, NO_PAIR]}, "'boxes_o' is missing"),
        ({'annotation': [[], NO_PAIR]}, "'b.jpg'"),
        ({'size': [None, None]}, 'pairs but no size'),
        ({'size': [[64, 5], None]}, r"'b.jpg': box \[4.* lies outside the image of 64 x 5 pixels"),
        ({'size': [[64], None]}, "'b.jpg': not enough values"),
    ],
)
def test_another_schema_is_one_sentence_with_the_file(
    tmp_path: Path, changes: dict, message: str
) -> None:
    path = annotation_file(tmp_path, **changes)
    with pytest.raises(ValueError, match=message) as error:
        read_hico_det(path)
    assert str(error.value).startswith(str(path))
    assert '\n' not in str(error.value)


@pytest.mark.parametrize('name', ['cut.json', 'cut.json.gz', 'plain.json.gz', 'list.json'])
def test_unreadable_files_are_one_sentence_with_the_file(tmp_path: Path, name: str) -> None:
    content = annotation_file(tmp_path).read_bytes()
    path = tmp_path / name
    contents = {
        'cut.json': content[:-20],
        'cut.json.gz': gzip.compress(content)[:-20],
        'plain.json.gz': content,
        'list.json': b'[]',
    }
    path.write_bytes(contents[name])
    with pytest.raises(ValueError, match=f'^{path}'):
        read_hico_det(path)


def test_missing_file() -> None:
    with pytest.raises(FileNotFoundError, match='nowhere.json: no such file'):
        read_hico_det('nowhere.json')


def test_ground_truth_boxes_are_merged_within_a_class_first_kept() -> None:
    person, shifted, far = [0, 0, 10, 10], [0, 0, 10, 5], [20, 0, 30, 10]
    found = ground_truth_detections(
        image([person, shifted, person], [far, shifted, person], [0, 3, 3])
    )
    # `shifted` overlaps `person` by exactly 0.5: merged among people, kept first among bicycles,
    # where `person`, listed later, is merged into it. `far` is a person that is an object.
    assert found.labels.tolist() == [0, 0, 3]
    assert found.boxes.tolist() == [person, far, shifted]
    assert found.scores.tolist() == [1, 1, 1]
    assert found.image_size == (480, 640)


def test_a_box_merged_away_merges_nothing() -> None:
    # b overlaps a, c overlaps b but not a: c stays, because b was not kept.
    a, b, c = [0, 0, 10, 10], [4, 0, 10, 10], [4, 0, 8, 10]
    found = ground_truth_detections(image([a, b, c], [[50, 50, 60, 60]] * 3, [2, 2, 2]))
    assert found.boxes[found.labels == 0].tolist() == [a, c]


def test_ground_truth_detections_of_an_empty_image() -> None:
    assert len(ground_truth_detections(image([], [], []))) == 0


def test_real_annotations(shared: Path) -> None:
    images = read_hico_det(shared / 'data/hicodet/instances_test2015.coco80.json.gz')
    assert len(images) == 9658
    assert sum(len(image.hoi) for image in images) == 33405
    assert sum(len(image.hoi) == 0 for image in images) == 112
    assert images[0].boxes_h[0].tolist() == [319, 305, 359, 349]
    detections = [ground_truth_detections(image) for image in images]
    assert all((np.diff(found.labels) >= 0).all() for found in detections)
    assert all((found.labels[:1] == 0).all() for found in detections)
