"""HICO-DET's MATLAB file gives what the JSON file made from it gives, and bad files a sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from link_hoi_core.data.hico_det import read_hico_det
from link_hoi_core.data.hico_mat import read_hico_mat
from link_hoi_core.vocabulary import load_vocabulary

scipy_io = pytest.importorskip('scipy.io')

HUMANS = [[1, 1, 10, 20], [30, 5, 60, 48]]
BIKES = [[5, 6, 30, 40], [1, 1, 64, 48]]
DOG = [[2, 3, 9, 9]]


def structures(rows: list[dict[str, Any]]) -> np.ndarray:
    """A 1 x N structure array, as MATLAB saves one."""
    array = np.empty((1, len(rows)), [(key, object) for key in (rows[0] if rows else ['id'])])
    for column, row in enumerate(rows):
        for key, value in row.items():
            array[0, column][key] = value
    return array


def boxes(rows: list[list[int]]) -> np.ndarray:
    """From rows x1, y1, x2, y2; the file has the fields in another order."""
    sides = [(x1, x2, y1, y2) for x1, y1, x2, y2 in rows]
    return structures([dict(zip(('x1', 'x2', 'y1', 'y2'), np.uint16(row))) for row in sides])


def interaction(hoi: int, humans: list, objects: list, connection: list, **other: Any) -> dict:
    """`hoi` and `connection` are 1-based."""
    return {
        'id': np.uint16(hoi),
        'bboxhuman': boxes(humans),
        'bboxobject': boxes(objects),
        'connection': np.array(connection, np.uint8).reshape(-1, 2),
        'invis': np.uint8(0),
        **other,
    }


def image(name: str, interactions: list[dict], width: int = 64, height: int = 48) -> dict:
    size = structures([{'width': width, 'height': height, 'depth': 3}])
    return {'filename': name, 'size': size, 'hoi': structures(interactions)}


IMAGES = [
    image(
        'b.jpg',
        [
            interaction(154, HUMANS, BIKES, [[1, 2], [2, 1], [1, 1]]),
            interaction(155, [], [], [], invis=np.uint8(1)),
            interaction(600, HUMANS[:1], DOG, [[1, 1]]),
        ],
    ),
    image('one.jpg', [interaction(1, HUMANS[:1], DOG, [[1, 1]])], width=100),
    image('a.jpg', [interaction(2, [], [], [], invis=np.uint8(1))]),
    image('none.jpg', []),
]


def write_mat(folder: Path, images: list[dict], **others: Any) -> Path:
    path = folder / 'anno_bbox.mat'
    content = {'bbox_train': structures(images), 'bbox_test': structures(IMAGES[1:2]), **others}
    scipy_io.savemat(path, content)
    return path


def write_same_json(folder: Path) -> Path:
    """What fredzzhang/hicodet makes of `IMAGES`: rows of pairs, 0-based ids, boxes as they are."""
    table = load_vocabulary('hico-det').hois
    rows = {
        'b.jpg': [
            (153, HUMANS[0], BIKES[1]),
            (153, HUMANS[1], BIKES[0]),
            (153, HUMANS[0], BIKES[0]),
            (599, HUMANS[0], DOG[0]),
        ],
        'one.jpg': [(0, HUMANS[0], DOG[0])],
        'a.jpg': [],
        'none.jpg': [],
    }
    content = {
        'annotation': [
            {
                'boxes_h': [human for _, human, _ in pairs],
                'boxes_o': [object_ for _, _, object_ in pairs],
                'hoi': [hoi for hoi, _, _ in pairs],
                'verb': [int(table[hoi, 0]) for hoi, _, _ in pairs],
                'object': [int(table[hoi, 1]) for hoi, _, _ in pairs],
            }
            for pairs in rows.values()
        ],
        'filenames': list(rows),
        'size': [[64, 48], [100, 48], [64, 48], [64, 48]],
        'objects': ['person'] + ['thing'] * 79,
    }
    path = folder / 'annotations.json'
    path.write_text(json.dumps(content))
    return path


def test_it_gives_what_the_json_file_gives(tmp_path: Path) -> None:
    found = read_hico_mat(write_mat(tmp_path, IMAGES), 'train')
    expected = read_hico_det(write_same_json(tmp_path))
    assert [(i.file_name, i.size) for i in found] == [(i.file_name, i.size) for i in expected]
    for one, other in zip(found, expected):
        for key in ('boxes_h', 'boxes_o', 'hoi', 'object', 'verb'):
            np.testing.assert_array_equal(getattr(one, key), getattr(other, key), err_msg=key)
            assert getattr(one, key).dtype == getattr(other, key).dtype


def test_the_parts_are_two(tmp_path: Path) -> None:
    path = write_mat(tmp_path, IMAGES)
    assert [image.file_name for image in read_hico_mat(path, 'test')] == ['one.jpg']
    with pytest.raises(ValueError, match="unknown part of HICO-DET 'val'"):
        read_hico_mat(path, 'val')


@pytest.mark.parametrize(
    ('interactions', 'message'),
    [
        ([interaction(601, HUMANS, DOG, [[1, 1]])], r'an id is outside 1\.\.600'),
        ([interaction(0, HUMANS, DOG, [[1, 1]])], r'an id is outside 1\.\.600'),
        ([interaction(9, HUMANS, DOG, [[1, 2]])], r'an id is outside 1\.\.1'),
        ([interaction(9, HUMANS, DOG, [[0, 1]])], r'an id is outside 1\.\.2'),
        ([interaction(9, [[9, 1, 3, 9]], DOG, [[1, 1]])], 'has no area'),
        ([interaction(9, HUMANS, [[65, 1, 70, 9]], [[1, 1]])], 'outside the image of 64 x 48'),
        ([{'id': np.uint16(3)}], "'invis' is missing"),
    ],
)
def test_bad_content_is_one_sentence_with_the_file(
    tmp_path: Path, interactions: list[dict], message: str
) -> None:
    path = write_mat(tmp_path, [IMAGES[0], image('bad.jpg', interactions)])
    with pytest.raises(ValueError, match=message) as error:
        read_hico_mat(path)
    assert str(error.value).startswith(f'{path}: image 1: ')
    assert '\n' not in str(error.value)


def test_a_truncated_file(tmp_path: Path) -> None:
    path = write_mat(tmp_path, IMAGES)
    path.write_bytes(path.read_bytes()[:-700])
    with pytest.raises(ValueError, match=f'^{path}: not a readable MATLAB file') as error:
        read_hico_mat(path, 'test')
    assert '\n' not in str(error.value)


def test_no_matlab_file_and_no_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match='not a readable MATLAB file'):
        read_hico_mat(write_same_json(tmp_path))
    with pytest.raises(FileNotFoundError, match='nowhere.mat: no such file'):
        read_hico_mat('nowhere.mat')


def test_the_image_level_labels_are_another_file(shared: Path) -> None:
    with pytest.raises(ValueError, match="not HICO-DET's anno_bbox.mat: bbox_train is missing"):
        read_hico_mat(shared / 'data/hicodet/anno.mat')
