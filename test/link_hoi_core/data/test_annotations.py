"""Each data set's file goes to its own reader."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from link_hoi_core.data.annotations import DATA_SETS, read_annotations
from link_hoi_core.vocabulary import load_vocabulary


def content(data_set: str) -> object:
    """One image without pairs."""
    if data_set == 'v-coco':
        lists = dict.fromkeys(['boxes_h', 'boxes_o', 'actions', 'objects'], [])
        return {
            'annotations': [{'file_name': 'a.jpg', **lists}],
            'classes': list(load_vocabulary('v-coco').verbs),
            'objects': ['background', 'person'] + ['thing'] * 79,
        }
    lists = dict.fromkeys(['box_annotations', 'hoi_annotations'], [])
    return [{'file_name': 'a.jpg', 'width': 64, 'height': 48, **lists}]


@pytest.mark.parametrize('data_set', ['v-coco', 'swig-hoi'])
def test_each_data_set_has_its_own_reader(tmp_path: Path, data_set: str) -> None:
    path = tmp_path / 'annotations.json'
    path.write_text(json.dumps(content(data_set)))
    assert [image.file_name for image in read_annotations(path, data_set)] == ['a.jpg']
    for other in set(DATA_SETS) - {data_set}:
        with pytest.raises(ValueError, match=f'^{path}: '):
            read_annotations(path, other)


def test_hico_det_comes_as_json(tmp_path: Path, write_annotations: Callable[..., Path]) -> None:
    images = read_annotations(write_annotations(tmp_path / 'test.json', 6), 'hico-det')
    assert [len(image.hoi) > 0 for image in images] == [False, True, True, True, True, False]


def test_hico_det_comes_as_matlab_with_both_parts(tmp_path: Path) -> None:
    scipy_io = pytest.importorskip('scipy.io')
    parts = {}
    for part in ('train', 'test'):
        size = np.array([[(64, 48, 3)]], [(key, object) for key in ('width', 'height', 'depth')])
        no_pairs = np.empty((1, 0), [('id', object)])
        entry = np.empty((1, 1), [(key, object) for key in ('filename', 'size', 'hoi')])
        entry[0, 0] = (f'{part}.jpg', size, no_pairs)
        parts[f'bbox_{part}'] = entry
    path = tmp_path / 'anno_bbox.mat'
    scipy_io.savemat(path, parts)
    for part in ('train', 'test'):
        (image,) = read_annotations(path, 'hico-det', part)
        assert (image.file_name, image.size) == (f'{part}.jpg', (48, 64))
