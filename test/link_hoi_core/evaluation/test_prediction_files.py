"""HICO-DET prediction files: exact both ways, and one sentence for whatever is wrong."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from link_hoi_core.evaluation.pairs import ScoredPairs
from link_hoi_core.evaluation.prediction_files import read_predictions, write_predictions

NAMES = ['b.jpg', 'a.jpg', 'c.jpg']
ROW = [0, 1, 10, 20, 5.5, 6, 30, 40, 153, 0.25]


def write(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content))
    return path


def one_image(dets: object, name: object = 'a.jpg') -> dict:
    return {'images': [{'file_name': name, 'dets': dets}]}


def test_rows_become_columns_with_images_numbered_as_annotated(tmp_path: Path) -> None:
    other = [*ROW[:8], 7, 0.5]
    content = {
        'images': [
            {'file_name': 'a.jpg', 'dets': [ROW, other]},
            {'file_name': 'b.jpg', 'dets': [other]},
            {'file_name': 'c.jpg', 'dets': []},
        ]
    }
    found = read_predictions(write(tmp_path / 'p.json', content), NAMES)
    assert found.image.tolist() == [1, 1, 0]
    assert found.hoi.tolist() == [153, 7, 7]
    assert found.score.tolist() == [0.25, 0.5, 0.5]
    assert found.boxes_h[0].tolist() == [0, 1, 10, 20]
    assert found.boxes_o[0].tolist() == [5.5, 6, 30, 40]


@pytest.mark.parametrize('name', ['p.json', 'p.json.gz'])
def test_written_predictions_read_back_exactly(tmp_path: Path, name: str) -> None:
    random = np.random.default_rng(0)
    pairs = ScoredPairs(
        np.array([0, 0, 2, 2, 2], np.int32),
        random.uniform(0, 500, (5, 4)).astype(np.float32),
        random.uniform(0, 500, (5, 4)).astype(np.float32),
        random.integers(600, size=5).astype(np.int32),
        random.random(5),
    )
    write_predictions(tmp_path / name, NAMES, pairs)
    found = read_predictions(tmp_path / name, NAMES)
    for column in ('image', 'boxes_h', 'boxes_o', 'hoi', 'score'):
        assert np.array_equal(getattr(found, column), getattr(pairs, column)), column
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_no_predictions(tmp_path: Path) -> None:
    assert len(read_predictions(write(tmp_path / 'p.json', {'images': []}), NAMES)) == 0


def changed(position: int, value: object) -> list:
    return [ROW, [*ROW[:position], value, *ROW[position + 1 :]]]


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ([], "an object with a list 'images'"),
        ({'images': {}}, "an object with a list 'images'"),
        ({'images': [3]}, "lacks 'file_name' or 'dets'"),
        ({'images': [{'file_name': 'a.jpg'}]}, "lacks 'file_name' or 'dets'"),
        (one_image([ROW], 'unknown.jpg'), "'unknown.jpg' is not in the annotations"),
        (one_image([ROW], ['a.jpg']), 'is not in the annotations'),
        ({'images': one_image([])['images'] * 2}, "'a.jpg' comes twice"),
        (one_image([ROW, ROW[:9]]), "'a.jpg': expected rows of 10 numbers"),
        (one_image([ROW[:9]]), "'a.jpg': expected rows of 10 numbers"),
        (one_image(ROW), "'a.jpg': expected rows of 10 numbers"),
        (one_image(None), "'a.jpg': expected rows of 10 numbers"),
        (one_image(changed(0, 'left')), "'a.jpg': expected rows of 10 numbers"),
        (one_image(changed(8, 600)), "'a.jpg': a hoi_id is not a whole number in 0..599"),
        (one_image(changed(8, -1)), "'a.jpg': a hoi_id is not a whole number in 0..599"),
        (one_image(changed(8, 1.5)), "'a.jpg': a hoi_id is not a whole number in 0..599"),
        (one_image(changed(9, float('nan'))), "'a.jpg': a box or score is NaN or infinite"),
        (one_image(changed(2, float('nan'))), "'a.jpg': a box or score is NaN or infinite"),
        (one_image(changed(6, 1e300)), "'a.jpg': a box or score is NaN or infinite"),
        (one_image(changed(9, None)), "'a.jpg': a box or score is NaN or infinite"),
    ],
)
def test_bad_content_is_one_sentence(tmp_path: Path, content: object, message: str) -> None:
    path = write(tmp_path / 'p.json', content)
    with pytest.raises(ValueError) as error:
        read_predictions(path, NAMES)
    assert message in str(error.value)
    assert str(error.value).startswith(str(path))
    assert '\n' not in str(error.value)


@pytest.mark.parametrize('name', ['p.json', 'p.json.gz'])
def test_truncated_files_are_one_sentence(tmp_path: Path, name: str) -> None:
    content = json.dumps(one_image([ROW] * 20)).encode()
    path = tmp_path / name
    path.write_bytes((gzip.compress(content) if path.suffix == '.gz' else content)[:-15])
    with pytest.raises(ValueError, match=f'^{path}: '):
        read_predictions(path, NAMES)
