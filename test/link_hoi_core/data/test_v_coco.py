"""Converted V-COCO annotations: ids, coordinates, sizes from elsewhere, and bad files."""

from __future__ import annotations

import dataclasses
import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from link_hoi_core.data.annotated_image import with_sizes
from link_hoi_core.data.hico_det import ground_truth_detections
from link_hoi_core.data.image_folder import ImageFolder
from link_hoi_core.data.v_coco import guess_sizes, read_coco_sizes, read_v_coco
from link_hoi_core.vocabulary import load_vocabulary

VERBS = load_vocabulary('v-coco').verbs
OBJECTS = ['background', 'person'] + ['thing'] * 79
PAIR = {
    'file_name': 'b.jpg',
    'boxes_h': [[0.5, 1, 10.25, 20]],
    'boxes_o': [[5, 6, 30, 40]],
    'actions': [VERBS.index('ride instr')],
    'objects': [2],  # bicycle, the background being 0
}
NO_PAIR = {'file_name': 'a.jpg', 'boxes_h': [], 'boxes_o': [], 'actions': [], 'objects': []}


def annotation_file(folder: Path, **changes: object) -> Path:
    content = {
        'annotations': [PAIR, NO_PAIR],
        'classes': list(VERBS),
        'objects': OBJECTS,
        **changes,
    }
    path = folder / 'annotations.json'
    path.write_text(json.dumps(content))
    return path


def test_objects_are_rebased_boxes_kept_and_hois_of_the_vocabulary(tmp_path: Path) -> None:
    first, second = read_v_coco(annotation_file(tmp_path))
    assert (first.file_name, first.size) == ('b.jpg', None)
    assert first.boxes_h.tolist() == [[0.5, 1, 10.25, 20]]
    assert first.boxes_o.tolist() == [[5, 6, 30, 40]]
    vocabulary = load_vocabulary('v-coco')
    assert vocabulary.objects[first.object[0]] == 'bicycle'
    assert vocabulary.hois[first.hoi].tolist() == [[first.verb[0], first.object[0]]]
    assert (second.file_name, second.boxes_h.shape, len(second.hoi)) == ('a.jpg', (0, 4), 0)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'annotations': {}}, "with the lists 'annotations', 'classes' and 'objects'"),
        ({'classes': ['hold obj']}, "'classes' are not V-COCO's 24"),
        ({'objects': OBJECTS[1:]}, "to begin with 'background', 'person'"),
        ({'annotations': [{**PAIR, 'objects': [0]}]}, 'image 0: an id is outside 1..80'),
        ({'annotations': [{**PAIR, 'objects': [81]}]}, 'image 0: an id is outside 1..80'),
        ({'annotations': [{**PAIR, 'actions': [24]}]}, 'image 0: an id is outside 0..23'),
        ({'annotations': [{**PAIR, 'actions': [1.5]}]}, 'image 0: an id is no whole number'),
        ({'annotations': [{**PAIR, 'objects': [48]}]}, "'ride instr' with 'apple' is no class"),
        ({'annotations': [NO_PAIR, {**PAIR, 'actions': []}]}, 'image 1: its lists differ'),
        ({'annotations': [{**PAIR, 'boxes_o': [[9, 1, 9, 9]]}]}, 'has no area'),
        ({'annotations': [{**PAIR, 'boxes_o': [[9, 1, 9]]}]}, 'boxes of four numbers'),
        ({'annotations': [{'file_name': 'b.jpg'}]}, "'boxes_h' is missing"),
        ({'annotations': [7]}, 'image 0'),
    ],
)
def test_another_schema_is_one_sentence_with_the_file(
    tmp_path: Path, changes: dict, message: str
) -> None:
    path = annotation_file(tmp_path, **changes)
    with pytest.raises(ValueError, match=message) as error:
        read_v_coco(path)
    assert str(error.value).startswith(str(path))
    assert '\n' not in str(error.value)


def test_a_truncated_file(tmp_path: Path) -> None:
    packed = tmp_path / 'cut.json.gz'
    packed.write_bytes(gzip.compress(annotation_file(tmp_path).read_bytes())[:-20])
    with pytest.raises(ValueError, match=f'^{packed}: cannot be read'):
        read_v_coco(packed)


def test_sizes_come_from_cocos_own_file(tmp_path: Path) -> None:
    coco = tmp_path / 'instances.json'
    entries = [{'file_name': name, 'width': 64, 'height': 48} for name in ('a.jpg', 'b.jpg')]
    coco.write_text(json.dumps({'images': entries}))
    images = with_sizes(read_v_coco(annotation_file(tmp_path)), read_coco_sizes(coco))
    assert [image.size for image in images] == [(48, 64), (48, 64)]
    assert ground_truth_detections(images[0]).labels.tolist() == [0, 1]


def test_a_size_that_is_missing_or_too_small_is_one_sentence(tmp_path: Path) -> None:
    images = read_v_coco(annotation_file(tmp_path))
    with pytest.raises(ValueError, match="no size is known of 1 of 2 images, .* 'a.jpg'"):
        with_sizes(images, {'b.jpg': (48, 64)})
    with pytest.raises(ValueError, match=r"'b.jpg': box \[5.* outside the image of 5 x 48"):
        with_sizes(images, {'a.jpg': (48, 64), 'b.jpg': (48, 5)})
    with pytest.raises(ValueError, match='b.jpg: the annotations give no image size'):
        ground_truth_detections(images[0])


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ({'annotations': []}, "expected the list 'images'"),
        ({'images': [{'file_name': 'a.jpg', 'width': 3}]}, "'height' is missing"),
        ({'images': [{'file_name': 'a.jpg', 'width': 0, 'height': 4}]}, 'its size is 0 x 4'),
    ],
)
def test_another_coco_file(tmp_path: Path, content: dict, message: str) -> None:
    path = tmp_path / 'instances.json'
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=message) as error:
        read_coco_sizes(path)
    assert str(error.value).startswith(str(path))


@pytest.mark.parametrize(
    ('part', 'count', 'with_pairs', 'pairs'),
    [('train', 2533, 2336, 6400), ('trainval', 5400, 4969, 13817), ('test', 4946, 4532, 12402)],
)
def test_real_annotations(shared: Path, part: str, count: int, with_pairs: int, pairs: int) -> None:
    images = read_v_coco(shared / f'data/vcoco/instances_vcoco_{part}.json.gz')
    assert len(images) == count
    assert sum(len(image.hoi) > 0 for image in images) == with_pairs
    hoi = np.concatenate([image.hoi for image in images])
    assert len(hoi) == pairs
    assert 0 <= hoi.min() and hoi.max() < len(load_vocabulary('v-coco').hois)


def test_real_boxes_lie_in_the_real_photos(shared: Path) -> None:
    photos = ImageFolder(shared / 'data/images')
    images = [
        image
        for part in ('trainval', 'test')
        for image in read_v_coco(shared / f'data/vcoco/instances_vcoco_{part}.json.gz')
        if (shared / 'data/images' / image.file_name).is_file()
    ]
    assert len(images) == 29
    for image in with_sizes(images, photos.sizes(image.file_name for image in images)):
        boxes = np.concatenate([image.boxes_h, image.boxes_o])
        assert (boxes >= 0).all() and (boxes[:, 2:] <= np.array(image.size[::-1]) + 0.01).all()
        assert image.size == photos.read(image.file_name).shape[:2]


def test_hico_annotations_are_another_schema(shared: Path) -> None:
    path = shared / 'data/hicodet/instances_test2015.coco80.json.gz'
    with pytest.raises(ValueError, match='not a converted V-COCO annotation file'):
        read_v_coco(path)


@pytest.mark.parametrize(
    ('corner', 'size'),
    [
        ((600, 400), (480, 640)),
        ((100, 100), (480, 640)),
        ((400, 500), (640, 480)),
        ((500, 520), (640, 500)),
        ((640, 640), (640, 640)),
        ((600, 500.5), (501, 640)),
    ],
)
def test_a_size_is_guessed_that_holds_the_boxes(
    tmp_path: Path, corner: tuple[float, float], size: tuple[int, int]
) -> None:
    image = read_v_coco(annotation_file(tmp_path))[0]
    inside = np.array([[0, 0, 10, 10]], np.float32)
    far = np.array([[0, 0, *corner]], np.float32)
    image = dataclasses.replace(image, boxes_h=inside, boxes_o=far)
    assert guess_sizes([image]) == {image.file_name: size}
