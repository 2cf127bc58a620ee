"""V-COCO's own files with COCO's boxes give the pairs of the converted files, and bad ones a
sentence.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from link_hoi_core.data.annotated_image import AnnotatedImage
from link_hoi_core.data.v_coco import read_v_coco
from link_hoi_core.data.v_coco_official import Coco, CocoBox, read_coco, read_v_coco_official
from link_hoi_core.vocabulary import load_vocabulary, v_coco_actions

PERSON, OTHER, RACKET, BALL = 11, 12, 21, 22  # ids of COCO's annotations, in image 7
COCO = {
    'images': [
        {'id': 7, 'file_name': 'COCO_val2014_000000000007.jpg', 'width': 640, 'height': 480},
        {'id': 8, 'file_name': 'COCO_val2014_000000000008.jpg', 'width': 480, 'height': 640},
    ],
    'annotations': [
        {'id': PERSON, 'image_id': 7, 'category_id': 1, 'bbox': [10, 20, 30, 40.5]},
        {'id': OTHER, 'image_id': 7, 'category_id': 1, 'bbox': [60, 20, 30, 40]},
        {'id': RACKET, 'image_id': 7, 'category_id': 43, 'bbox': [5, 6, 7, 8]},
        {'id': BALL, 'image_id': 7, 'category_id': 37, 'bbox': [1, 2, 3, 4]},
        {'id': 31, 'image_id': 8, 'category_id': 1, 'bbox': [1, 2, 3, 4]},
    ],
}


def write(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content))
    return path


def official(**hit: object) -> list[dict]:
    """Two people and one of image 8; the first hits a ball with a racket, the second nothing."""
    entries = []
    for action in v_coco_actions():
        agents = [PERSON, OTHER, 31]
        entry = {
            'action_name': action.name,
            'role_name': ['agent', *action.roles],
            'image_id': [7, 7, 8],
            'ann_id': agents,
            'label': [0, 0, 0],
            'role_object_id': agents + [0, 0, 0] * len(action.roles),
        }
        if action.name == 'hit':
            objects = [RACKET, 0, 0, BALL, 0, 0]
            entry |= {'label': [1, 1, 0], 'role_object_id': agents + objects, **hit}
        entries.append(entry)
    return entries


def test_each_role_of_an_action_is_a_pair(tmp_path: Path) -> None:
    coco = read_coco(write(tmp_path / 'coco.json', COCO))
    path = write(tmp_path / 'vcoco.json', official())
    first, second = read_v_coco_official(path, coco)
    vocabulary = load_vocabulary('v-coco')
    assert (first.file_name, first.size) == ('COCO_val2014_000000000007.jpg', (480, 640))
    assert [vocabulary.verbs[verb] for verb in first.verb] == ['hit instr', 'hit obj']
    assert [vocabulary.objects[i] for i in first.object] == ['tennis_racket', 'sports_ball']
    assert first.boxes_h.tolist() == [[10, 20, 40, 60.5]] * 2
    assert first.boxes_o.tolist() == [[5, 6, 12, 14], [1, 2, 4, 6]]
    assert (second.file_name, len(second.hoi)) == ('COCO_val2014_000000000008.jpg', 0)


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ({'annotations': []}, 'expected a list of 26 actions'),
        (official()[:25], 'expected a list of 26 actions'),
        (official()[::-1], "action 'hold': found 'snowboard'"),
        (official(label=[1, 1]), "action 'hit': its lists differ"),
        (official(role_object_id=[1, 2]), "action 'hit': cannot reshape"),
        (official(role_object_id=[0, 0, 0, 99, 0, 0, 0, 0, 0]), 'image 7: .* 99 is not among'),
        (official(role_object_id=[0, 0, 0, 31, 0, 0, 0, 0, 0]), 'image 7: .* 31 is not among'),
    ],
)
def test_another_schema_is_one_sentence_with_the_file(
    tmp_path: Path, content: object, message: str
) -> None:
    path = write(tmp_path / 'vcoco.json', content)
    coco = read_coco(write(tmp_path / 'coco.json', COCO))
    with pytest.raises(ValueError, match=message) as error:
        read_v_coco_official(path, coco)
    assert str(error.value).startswith(str(path))
    assert '\n' not in str(error.value)


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ([], 'expected an object'),
        ({'annotations': [{'id': 1, 'image_id': 7, 'bbox': [1, 2, 3, 4]}]}, "'category_id' is"),
        ({'1': {'image_id': 7, 'category': 1}}, "'bbox_xyxy' is missing"),
        ({'classes': ['hold obj']}, 'invalid literal'),
    ],
)
def test_boxes_of_another_schema(tmp_path: Path, content: object, message: str) -> None:
    path = write(tmp_path / 'coco.json', content)
    with pytest.raises(ValueError, match=message) as error:
        read_coco(path)
    assert str(error.value).startswith(str(path))


def test_an_extract_has_the_boxes_of_cocos_file(tmp_path: Path) -> None:
    extract = {'22': {'image_id': 7, 'category': 33, 'bbox_xyxy': [1, 2, 4, 6]}}
    found = read_coco(write(tmp_path / 'extract.json', extract))
    assert found == Coco({BALL: CocoBox(7, 32, (1, 2, 4, 6))}, {})
    whole = read_coco(write(tmp_path / 'coco.json', COCO))
    assert whole.boxes[BALL] == found.boxes[BALL]


def rows(image: AnnotatedImage) -> list:
    ids = (image.hoi[:, None], image.object[:, None], image.verb[:, None])
    return sorted(np.concatenate([image.boxes_h, image.boxes_o, *ids], axis=1).tolist())


@pytest.mark.parametrize('part', ['train', 'val'])
def test_the_real_files_agree_with_the_converted_ones(shared: Path, part: str) -> None:
    folder = shared / 'data/vcoco'
    coco = read_coco(folder / f'official/vcoco_{part}_boxes_by_ann_id.json.gz')
    found = read_v_coco_official(folder / f'official/vcoco_{part}.json.gz', coco)
    converted = read_v_coco(folder / f'instances_vcoco_{part}.json.gz')
    other = {image.file_name: rows(image) for image in converted}
    assert {image.file_name: rows(image) for image in found} == other
