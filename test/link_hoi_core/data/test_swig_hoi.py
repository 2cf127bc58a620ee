"""SWiG-HOI annotations: pairs of indexed boxes, ids of the vocabulary, and bad files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from link_hoi_core.data.hico_det import ground_truth_detections
from link_hoi_core.data.json_files import read_json
from link_hoi_core.data.swig_hoi import read_swig_hoi
from link_hoi_core.vocabulary import load_vocabulary

VOCABULARY = load_vocabulary('swig-hoi')
VERB, OBJECT = VOCABULARY.hois[10000].tolist()
NO_VERB = int(np.flatnonzero(~VOCABULARY.valid[OBJECT])[0])  # does not go with the object
BOXES = [
    {'bbox': [5, 6, 30, 40], 'category_id': OBJECT, 'aux_category_id': [1, 2]},
    {'bbox': [0, 1.5, 10, 20], 'category_id': 0, 'aux_category_id': []},
]
HOI = {'subject_id': 1, 'object_id': 0, 'action_id': VERB}
IMAGE = {
    'img_id': 'adjusting_1',
    'file_name': 'adjusting_1.jpg',
    'width': 64,
    'height': 48,
    'box_annotations': BOXES,
    'hoi_annotations': [HOI],
}
EMPTY = {**IMAGE, 'file_name': 'no_pair.jpg', 'box_annotations': [], 'hoi_annotations': []}


def annotation_file(folder: Path, content: object) -> Path:
    path = folder / 'swig.json'
    path.write_text(json.dumps(content))
    return path


def test_pairs_take_the_boxes_that_they_point_at(tmp_path: Path) -> None:
    first, second = read_swig_hoi(annotation_file(tmp_path, [IMAGE, EMPTY]))
    assert (first.file_name, first.size) == ('adjusting_1.jpg', (48, 64))
    assert first.boxes_h.tolist() == [[0, 1.5, 10, 20]]
    assert first.boxes_o.tolist() == [[5, 6, 30, 40]]
    assert first.hoi.tolist() == [10000]
    assert (first.verb.tolist(), first.object.tolist()) == ([VERB], [OBJECT])
    assert (second.file_name, second.boxes_o.shape, len(second.hoi)) == ('no_pair.jpg', (0, 4), 0)
    assert ground_truth_detections(first).labels.tolist() == sorted([VOCABULARY.person, OBJECT])


def test_ids_are_those_of_the_published_tables(shared: Path, tmp_path: Path) -> None:
    """The file's action and category ids are positions in the tables published beside it."""
    interactions = read_json(shared / 'data/swig/swig_v1_interactions.json.gz')[::100]
    entries = []
    for row in interactions:
        boxes = [BOXES[1], {**BOXES[0], 'category_id': row['object_id']}]
        hoi = {'subject_id': 0, 'object_id': 1, 'action_id': row['action_id']}
        entries.append({**IMAGE, 'box_annotations': boxes, 'hoi_annotations': [hoi]})
    images = read_swig_hoi(annotation_file(tmp_path, entries))
    assert [image.hoi.tolist() for image in images] == [[row['id']] for row in interactions]


def changed(**changes: object) -> list[dict]:
    return [EMPTY, {**IMAGE, **changes}]


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ({'annotations': []}, 'not a SWiG-HOI annotation file'),
        ([{'file_name': 'a.jpg'}], 'not a SWiG-HOI annotation file'),
        ([IMAGE, {'file_name': 'a.jpg'}], "image 1: 'box_annotations' is missing"),
        (changed(hoi_annotations=[{**HOI, 'object_id': 2}]), r'image 1: an id is outside 0\.\.1'),
        (changed(hoi_annotations=[{**HOI, 'subject_id': -1}]), r'image 1: an id is outside 0\.\.1'),
        (changed(hoi_annotations=[{**HOI, 'action_id': 407}]), r'an id is outside 0\.\.406'),
        (changed(box_annotations=[{**BOXES[0], 'category_id': 1000}, BOXES[1]]), r'0\.\.999'),
        (changed(hoi_annotations=[{**HOI, 'action_id': 'x'}]), 'image 1: invalid literal'),
        (changed(box_annotations=[{**BOXES[0], 'bbox': [9, 9, 9, 12]}, BOXES[1]]), 'has no area'),
        (changed(width=5), r'box \[5.0, .* outside the image of 5 x 48 pixels'),
        (changed(height=0), 'its size is 64 x 0'),
        (changed(width=None), 'image 1'),
        (changed(img_id=['a']), r"image 1: its 'img_id' is \['a'\], expected a whole number or"),
        (changed(img_id=1.5), "image 1: its 'img_id' is 1.5, expected a whole number or a text"),
        (changed(hoi_annotations=[{**HOI, 'action_id': NO_VERB}]), ' is no class of swig-hoi'),
    ],
)
def test_another_schema_is_one_sentence_with_the_file(
    tmp_path: Path, content: object, message: str
) -> None:
    path = annotation_file(tmp_path, content)
    with pytest.raises(ValueError, match=message) as error:
        read_swig_hoi(path)
    assert str(error.value).startswith(str(path))
    assert '\n' not in str(error.value)


def test_a_truncated_file(tmp_path: Path) -> None:
    path = annotation_file(tmp_path, [IMAGE])
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(ValueError, match=f'^{path}: not valid JSON or truncated'):
        read_swig_hoi(path)
