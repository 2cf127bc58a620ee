"""Recorded detections: what is written is read again, and a bad file is one sentence."""

from __future__ import annotations

import json

import numpy as np
import pytest

from link_hoi_core.data.recorded import (
    RecordedImage,
    merge_recorded,
    named_entry,
    read_recorded,
    write_named,
    write_recorded,
)
from link_hoi_core.structures import Detections
from link_hoi_core.vocabulary import load_vocabulary

VOCABULARY = load_vocabulary('hico-det')


def content(**changes) -> dict:
    """A small valid file, with some of the keys of its image replaced."""
    image = {
        'file_name': 'a.jpg',
        'width': 100,
        'height': 50,
        'dets': [[1.5, 2, 30, 40, 0.9, 1], [0, 0, 100, 50, 0.25, 0], [3, 3, 9, 9, 0.5, 2]],
    }
    return {'classes': ['bike', 'person', 'trolley'], 'images': [{**image, **changes}]}


def saved(tmp_path, value):
    path = tmp_path / 'detections.json'
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return path


def test_boxes_names_and_sizes_are_read(tmp_path):
    (image,) = read_recorded(saved(tmp_path, content()), VOCABULARY)
    found = image.detections
    assert image.file_name == 'a.jpg'
    assert found.image_size == (50, 100)
    assert found.boxes.tolist() == [[1.5, 2, 30, 40], [0, 0, 100, 50], [3, 3, 9, 9]]
    assert found.scores.tolist() == pytest.approx([0.9, 0.25, 0.5])
    assert found.labels.tolist() == [VOCABULARY.person, VOCABULARY.object_index('bicycle'), -1]
    assert found.names == ('person', 'bike', 'trolley')


@pytest.mark.parametrize('name', ('detections.json', 'detections.json.gz'))
def test_what_is_written_is_read_again(tmp_path, name):
    found = Detections(
        np.array([[0.12, 0, 99.96, 50], [10, 20, 30, 40]]), [0.123456, 1.0], [0, 79], (50, 100)
    )
    images = [RecordedImage('v/000000', found), RecordedImage('v/1', Detections.empty((50, 100)))]
    write_recorded(tmp_path / name, images, VOCABULARY.objects)
    first, second = read_recorded(tmp_path / name, VOCABULARY)
    assert [first.file_name, second.file_name] == ['v/000000', 'v/1']
    assert np.allclose(first.detections.boxes, found.boxes, atol=0.051)
    assert np.allclose(first.detections.scores, found.scores, atol=0.00006)
    assert first.detections.labels.tolist() == [0, 79]
    assert len(second.detections) == 0
    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_files_of_other_classes_are_merged_by_name(tmp_path):
    path = saved(tmp_path, content())
    second = content(file_name='B.jpg', dets=[[0, 0, 9, 9, 0.5, 1]])
    second['classes'] = ['person', 'apple']
    other, merged = tmp_path / 'other.json', tmp_path / 'merged.json.gz'
    other.write_text(json.dumps(second))
    merge_recorded([path, other], merged)
    first, last = read_recorded(merged, VOCABULARY)
    assert [first.file_name, last.file_name] == ['B.jpg', 'a.jpg']
    assert first.detections.names == ('apple',)
    expected = read_recorded(path, VOCABULARY)[0].detections
    assert last.detections.names == expected.names
    assert last.detections.boxes.tolist() == expected.boxes.tolist()
    assert last.detections.scores.tolist() == expected.scores.tolist()

    direct = tmp_path / 'direct.json.gz'
    write_named(direct, [named_entry(last), named_entry(first)], {})
    assert direct.read_bytes() == merged.read_bytes()
    with pytest.raises(ValueError, match="other.json: the image 'B.jpg' comes twice"):
        merge_recorded([other, other], merged)


def test_an_entry_needs_names():
    with pytest.raises(ValueError, match='a.jpg: the detections have no names'):
        named_entry(RecordedImage('a.jpg', Detections([[0, 0, 9, 9]], [0.5], [0], (50, 100))))


@pytest.mark.parametrize(
    ('value', 'message'),
    [
        ('{"classes": [', 'not valid JSON'),
        ([], "expected an object with the lists 'classes' and 'images'"),
        ({'classes': []}, "expected an object with the lists 'classes' and 'images'"),
        ({'classes': [1], 'images': []}, "'classes' holds something else than names"),
        ({'classes': [], 'images': [7]}, "image 0: expected 'file_name' to be of type str"),
        (content(width='100'), "image 0: expected 'width' to be of type int"),
        (content(height=0), 'image 0: image size is 0 x 100'),
        (content(dets=[[1, 2, 3, 4, 0.5]]), r'rows other than \[x1, y1, x2, y2, score, class\]'),
        (content(dets=[[1, 2], [3, 4], [0.5, 1]]), r'rows other than \[x1'),
        (content(dets=[[1, 2, 3, 'x', 0.5, 0]]), r'rows other than \[x1'),
        (content(dets=[[1, 2, 3, 4, 0.5, 3]]), "not an index into the 3 'classes'"),
        (content(dets=[[1, 2, 3, 4, 0.5, 0.5]]), "not an index into the 3 'classes'"),
        (content(dets=[[1, 2, 3, 4, 0.5, -1]]), "not an index into the 3 'classes'"),
        (content(dets=[[5, 2, 3, 4, 0.5, 0]]), 'image 0: box 0 .* has no area'),
        (content(dets=[[1, 2, float('nan'), 4, 0.5, 0]]), 'image 0: box 0 is not finite'),
        (content(dets=[[1, 2, 3, 4, 90, 0]]), 'image 0: score 0 is 90'),
        (content(dets=[[300, 2, 400, 9, 0.5, 0]]), 'box 0 .* lies outside the image of 100 x 50'),
    ],
)
def test_a_bad_file_is_one_sentence_that_names_it(tmp_path, value, message):
    with pytest.raises(ValueError, match=message) as caught:
        read_recorded(saved(tmp_path, value), VOCABULARY)
    assert 'detections.json' in str(caught.value)
    assert '\n' not in str(caught.value)


def test_a_missing_file_is_one_sentence(tmp_path):
    with pytest.raises(FileNotFoundError, match='no such file'):
        read_recorded(tmp_path / 'none.json', VOCABULARY)
