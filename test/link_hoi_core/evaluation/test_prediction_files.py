"""Prediction files: exact both ways, odd rows left out and counted, one sentence for the rest."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from link_hoi_core.data.annotated_image import AnnotatedImage
from link_hoi_core.evaluation import prediction_files
from link_hoi_core.evaluation.pairs import ScoredPairs
from link_hoi_core.evaluation.prediction_files import read_predictions, write_predictions
from link_hoi_core.evaluation.remarks import Remarks
from link_hoi_core.vocabulary import load_vocabulary

ROW = [0, 1, 10, 20, 5.5, 6, 30, 40, 153, 0.25]
CLASSES = list(load_vocabulary('v-coco').verbs)


def annotated(*names: str, ids: tuple[int | str, ...] = ()) -> list[AnnotatedImage]:
    boxes, labels = np.zeros((0, 4), np.float32), np.zeros(0, np.int64)
    return [
        AnnotatedImage(name, (50, 50), boxes, boxes, labels, labels, labels, id_)
        for name, id_ in zip(names, ids or [None] * len(names))
    ]


IMAGES = annotated('b.jpg', 'a.jpg', 'c.jpg')
COCO = annotated('COCO_val2014_000000000294.jpg', 'COCO_val2014_000000002473.jpg')


def write(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content))
    return path


def one_image(dets: object, name: object = 'a.jpg') -> dict:
    return {'images': [{'file_name': name, 'dets': dets}]}


def read(*paths: Path, strict: bool = False) -> tuple[ScoredPairs, list[str]]:
    """The predictions of HICO-DET, and the remarks but those on images without predictions."""
    remarks = Remarks(strict)
    found = ScoredPairs.concatenate(read_predictions(paths, 'hico-det', IMAGES, remarks))
    return found, [line for line in remarks.sentences() if 'without predictions' not in line]


def test_rows_become_columns_with_images_numbered_as_annotated(tmp_path: Path) -> None:
    other = [*ROW[:8], 7, 0.5]
    content = {
        'images': [
            {'file_name': 'a.jpg', 'dets': [ROW, other]},
            {'file_name': 'b.jpg', 'dets': [other]},
            {'file_name': 'c.jpg', 'dets': []},
        ]
    }
    found, remarks = read(write(tmp_path / 'p.json', content))
    assert found.image.tolist() == [1, 1, 0]
    assert found.hoi.tolist() == [153, 7, 7]
    assert found.score.tolist() == [0.25, 0.5, 0.5]
    assert found.boxes_h[0].tolist() == [0, 1, 10, 20]
    assert found.boxes_o[0].tolist() == [5.5, 6, 30, 40]
    assert remarks == []


@pytest.mark.parametrize(
    ('benchmark', 'images', 'classes'),
    [
        ('hico-det', IMAGES, 600),
        ('v-coco', [*COCO, *annotated('COCO_train2014_000000000009.jpg')], 24),
        ('swig-hoi', annotated('x.jpg', 'y.jpg', 'z.jpg', ids=(7, 'y_1', 9)), 14130),
        ('swig-hoi', annotated('x.jpg', 'y.jpg', 'z.jpg'), 14130),
    ],
)
@pytest.mark.parametrize('name', ['p.json', 'p.json.gz'])
def test_written_predictions_read_back_exactly(
    tmp_path: Path, benchmark: str, images: list[AnnotatedImage], classes: int, name: str
) -> None:
    random = np.random.default_rng(0)
    corner = random.uniform(0, 500, (2, 5, 2))
    boxes = np.concatenate([corner, corner + random.uniform(0, 50, (2, 5, 2))], axis=2)
    boxes[1, 2] = 0  # V-COCO: no object
    pairs = ScoredPairs(
        np.array([0, 0, 2, 2, 2], np.int32),
        *boxes.astype(np.float32),
        random.integers(classes, size=5).astype(np.int32),
        random.random(5),
    )
    path, remarks = tmp_path / name, Remarks(strict=True)
    write_predictions(path, benchmark, images, pairs)
    found = ScoredPairs.concatenate(read_predictions([path], benchmark, images, remarks))
    for column in ('image', 'boxes_h', 'boxes_o', 'hoi', 'score'):
        assert np.array_equal(getattr(found, column), getattr(pairs, column)), column
    assert remarks.sentences() == []
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_writing_takes_no_more_memory_than_the_predictions_have(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    images = annotated(*(f'{i}.jpg' for i in range(400)))
    boxes = random.uniform(0, 500, (2, 40_000, 4)).astype(np.float32)
    image = np.sort(random.integers(400, size=40_000)).astype(np.int32)
    pairs = ScoredPairs(image, *boxes, image, random.random(40_000))
    tracemalloc.start()
    write_predictions(tmp_path / 'p.json', 'hico-det', images, pairs)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < sum(getattr(pairs, field.name).nbytes for field in fields(pairs))


def test_boxes_are_written_with_no_more_digits_than_they_need(tmp_path: Path) -> None:
    boxes = np.array([[0.1, 2.25, 300.7, 400.123456], [0, 1e-3, 1 / 3, 1e5 / 3]], np.float32)
    pairs = ScoredPairs(np.zeros(2, np.int32), boxes, boxes, np.zeros(2, np.int32), np.ones(2))
    path = tmp_path / 'p.json'
    write_predictions(path, 'hico-det', IMAGES, pairs)
    assert '[0.1, 2.25, 300.7, 400.123444, 0.1,' in path.read_text()
    assert np.array_equal(read(path)[0].boxes_h, boxes)


def test_v_coco_names_images_by_the_id_of_coco(tmp_path: Path) -> None:
    rows = [[*ROW[:4], *[none] * 4, 23, 0.5] for none in (0, float('nan'))]
    entries = [{'image_id': 2473, 'dets': rows}]
    path = write(tmp_path / 'p.json', {'classes': CLASSES, 'images': entries})
    (found,) = read_predictions([path], 'v-coco', COCO, Remarks(strict=True))
    assert (found.image.tolist(), found.hoi.tolist()) == ([1, 1], [23, 23])
    assert not found.boxes_o.any()
    for classes in (CLASSES[::-1], None):
        write(path, {'classes': classes, 'images': entries})
        with pytest.raises(ValueError, match="'classes' are not V-COCO's 24 pairs"):
            list(read_predictions([path], 'v-coco', COCO, Remarks()))
    with pytest.raises(ValueError, match="'bus.jpg': expected a name that ends in COCO's id"):
        list(read_predictions([path], 'v-coco', annotated('bus.jpg'), Remarks()))


@pytest.mark.parametrize(('benchmark', 'images'), [('hico-det', IMAGES), ('v-coco', COCO)])
def test_classes_of_another_data_set_leave_the_images_their_names(
    tmp_path: Path, benchmark: str, images: list[AnnotatedImage]
) -> None:
    name = {'file_name': 'a.jpg'} if benchmark == 'hico-det' else {'image_id': 2473}
    row = [*ROW[:8], 9999, 0.5]
    path = write(tmp_path / 'p.json', {'images': [name | {'dets': [row]}]})
    (found,) = read_predictions([path], benchmark, images, Remarks(strict=True), 'swig-hoi')
    assert (found.image.tolist(), found.hoi.tolist()) == ([1], [9999])


def test_classes_of_v_coco_stand_in_files_of_other_images_too(tmp_path: Path) -> None:
    content = one_image([[*ROW[:8], 23, 0.5]])
    path = write(tmp_path / 'p.json', content | {'classes': CLASSES})
    (found,) = read_predictions([path], 'hico-det', IMAGES, Remarks(strict=True), 'v-coco')
    assert found.hoi.tolist() == [23]
    write(path, content)
    with pytest.raises(ValueError, match="'classes' are not V-COCO's 24 pairs"):
        list(read_predictions([path], 'hico-det', IMAGES, Remarks(), 'v-coco'))


def test_parts_hold_whole_images_and_all_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prediction_files, '_PART', 3)
    first = write(
        tmp_path / 'first.json',
        {'images': [one_image([ROW] * n, f'{i}.jpg')['images'][0] for i, n in enumerate([2, 5])]},
    )
    second = write(tmp_path / 'second.json', one_image([ROW], '2.jpg'))
    images = annotated('0.jpg', '1.jpg', '2.jpg', '3.jpg')
    remarks = Remarks()
    parts = list(read_predictions([first, second], 'hico-det', images, remarks))
    assert [part.image.tolist() for part in parts] == [[0] * 2 + [1] * 5, [2]]
    assert "annotated images without predictions: 1 ('3.jpg')" in remarks.sentences()
    assert any(
        line.endswith('5 (at most one of them can be right)') for line in remarks.sentences()
    )


def test_no_predictions(tmp_path: Path) -> None:
    remarks = Remarks(strict=True)
    path = write(tmp_path / 'p.json', {'images': []})
    (part,) = read_predictions([path], 'hico-det', IMAGES, remarks)
    assert len(part) == 0
    (said,) = remarks.sentences()
    assert said == "annotated images without predictions: 3 ('b.jpg', 'a.jpg', 'c.jpg')"


def changed(position: int, value: object) -> list:
    """Three sound rows with an odd one among them."""
    rows = [[*ROW[:9], score] for score in (0.1, 0.2, 0.3, 0.4)]
    rows[1][position] = value
    return rows


@pytest.mark.parametrize(
    ('position', 'value', 'what'),
    [
        (2, float('nan'), 'a NaN or infinite number'),
        (9, float('inf'), 'a NaN or infinite number'),
        (6, 1e300, 'a NaN or infinite number'),
        (2, -1, 'a box of negative width or height'),
        (7, 5.9, 'a box of negative width or height'),
        (8, 600, 'a class other than 0..599'),
        (8, -1, 'a class other than 0..599'),
        (8, 1.5, 'a class other than 0..599'),
    ],
)
def test_odd_rows_are_left_out_and_counted(
    tmp_path: Path, position: int, value: object, what: str
) -> None:
    path = write(tmp_path / 'p.json', one_image(changed(position, value)))
    found, remarks = read(path)
    assert found.score.tolist() == [0.1, 0.3, 0.4]
    (line,) = remarks
    assert what in line and line.endswith(f"left out: 1 ({path}: image 'a.jpg', row 1)")
    with pytest.raises(ValueError, match='strict'):
        read(path, strict=True)


def test_what_is_only_said(tmp_path: Path) -> None:
    """A box without area matches nothing, as with the original evaluators; it is no error."""
    flat = [*ROW[:2], 0, *ROW[3:9], 1.5]
    path = write(tmp_path / 'p.json', one_image([ROW, flat, ROW, [*ROW[:9], -3], ROW]))
    found, remarks = read(path, strict=True)
    assert found.score.tolist() == [0.25, 1.5, 0.25, -3, 0.25]
    assert remarks == [
        'predictions that repeat one of the same image to the last digit: 2 '
        '(at most one of them can be right)',
        'predictions with a score outside 0..1, as is: 2',
    ]


def test_unknown_images_are_left_out_and_counted(tmp_path: Path) -> None:
    names = ['x.jpg', 'a.jpg', 'y.jpg', 3]
    content = {'images': [one_image([ROW], name)['images'][0] for name in names]}
    path = write(tmp_path / 'p.json', content)
    found, remarks = read(path)
    assert found.image.tolist() == [1]
    (line,) = remarks
    assert line.startswith('images that are not in the annotations, left out: 3 (')
    assert "'x.jpg' of p.json" in line
    with pytest.raises(ValueError, match=r"not in the annotations.*'x\.jpg'.*strict"):
        read(path, strict=True)


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ([], "an object with a list 'images'"),
        ({'images': {}}, "an object with a list 'images'"),
        ({'images': [3]}, "lacks 'file_name' or 'dets'"),
        ({'images': [{'file_name': 'a.jpg'}]}, "lacks 'file_name' or 'dets'"),
        (one_image([ROW], ['a.jpg']), "an image has the 'file_name' ['a.jpg']"),
        ({'images': one_image([])['images'] * 2}, "'a.jpg' comes twice"),
        (one_image([ROW, ROW[:9]]), "'a.jpg': expected rows of 10 numbers"),
        (one_image([ROW[:9]]), "'a.jpg': expected rows of 10 numbers"),
        (one_image(ROW), "'a.jpg': expected rows of 10 numbers"),
        (one_image(None), "'a.jpg': expected rows of 10 numbers"),
        (one_image(changed(0, 'left')), "'a.jpg': expected rows of 10 numbers, found text"),
        (one_image(changed(0, '1.5')), "'a.jpg': expected rows of 10 numbers, found text"),
        (one_image(changed(9, None)), "'a.jpg': expected rows of 10 numbers, found text, null"),
        (one_image(changed(2, 10**400)), "'a.jpg': expected rows of 10 numbers, found text, null"),
    ],
)
def test_bad_content_is_one_sentence(tmp_path: Path, content: object, message: str) -> None:
    path = write(tmp_path / 'p.json', content)
    with pytest.raises(ValueError) as error:
        read(path)
    assert message in str(error.value)
    assert str(error.value).startswith(str(path))
    assert '\n' not in str(error.value)


def test_an_image_in_two_files_is_one_sentence(tmp_path: Path) -> None:
    paths = [write(tmp_path / f'{name}.json', one_image([ROW])) for name in 'pq']
    with pytest.raises(ValueError, match=f"^{paths[0]} and {paths[1]}: image 'a.jpg' comes twice"):
        read(*paths)


@pytest.mark.parametrize('name', ['p.json', 'p.json.gz'])
def test_truncated_files_are_one_sentence(tmp_path: Path, name: str) -> None:
    content = json.dumps(one_image([ROW] * 20)).encode()
    path = tmp_path / name
    path.write_bytes((gzip.compress(content) if path.suffix == '.gz' else content)[:-15])
    with pytest.raises(ValueError, match=f'^{path}: '):
        read(path)
