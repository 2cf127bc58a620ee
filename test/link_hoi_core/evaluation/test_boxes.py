"""Whose boxes a model is given, and that it gives every image its own interactions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from link_hoi_core.checkpoint import Checkpoint, load_checkpoint
from link_hoi_core.data.annotated_image import AnnotatedImage
from link_hoi_core.data.hico_det import ground_truth_detections, read_hico_det
from link_hoi_core.data.image_folder import ImageFolder
from link_hoi_core.data.recorded import RecordedImage, write_recorded
from link_hoi_core.evaluation import boxes
from link_hoi_core.evaluation.boxes import (
    ground_truth_boxes,
    predict_boxes,
    predict_ground_truth_boxes,
    recorded_boxes,
)
from link_hoi_core.evaluation.pairs import ScoredPairs, predicted_pairs
from link_hoi_core.evaluation.perturbation import Perturbation, perturb_all
from link_hoi_core.evaluation.remarks import Remarks
from link_hoi_core.model.link import Link
from link_hoi_core.predictor import HoiPredictor
from link_hoi_core.structures import Detections
from link_hoi_core.vocabulary import load_vocabulary

Image = pytest.importorskip('PIL.Image')


@pytest.fixture
def predictor(seeing_checkpoint: Path) -> HoiPredictor:
    return HoiPredictor(load_checkpoint(seeing_checkpoint), select=False)


@pytest.fixture
def images(tmp_path: Path, write_annotations: Callable[..., Path]) -> list[AnnotatedImage]:
    """Ten images of noise, two without pairs, of which there are no pictures either."""
    images = read_hico_det(write_annotations(tmp_path / 'test.json', 10))
    random = np.random.default_rng(0)
    for image in images:
        if len(image.hoi):
            noise = random.integers(0, 256, (*image.size, 3), np.uint8)
            Image.fromarray(noise).save(tmp_path / image.file_name)
    return images


def test_each_picture_is_looked_at_with_its_own_boxes(
    predictor: HoiPredictor,
    images: list[AnnotatedImage],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(boxes, '_PICTURES', 3)  # several, one of them not full
    folder = ImageFolder(tmp_path)
    together = predict_ground_truth_boxes(predictor, images, folder)
    alone = []
    for index, image in enumerate(images):
        if len(image.hoi):
            found = ground_truth_detections(image)
            interactions = predictor.predict(folder.read(image.file_name), found)
            alone.append(predicted_pairs(index, found, interactions, predictor.vocabulary))
    expected = ScoredPairs.concatenate(alone)
    assert len(together) == len(expected) > 0
    np.testing.assert_allclose(together.score, expected.score, rtol=0, atol=1e-5)
    assert np.array_equal(together.image, expected.image)


def test_a_picture_that_is_not_there_is_named(
    predictor: HoiPredictor, images: list[AnnotatedImage], tmp_path: Path
) -> None:
    name = images[3].file_name
    (tmp_path / name).unlink()
    with pytest.raises(FileNotFoundError, match=name):
        predict_ground_truth_boxes(predictor, images, ImageFolder(tmp_path))


def test_a_model_that_sees_asks_for_the_pictures(
    predictor: HoiPredictor, images: list[AnnotatedImage]
) -> None:
    with pytest.raises(ValueError, match='needs the image'):
        predict_ground_truth_boxes(predictor, images)


def test_parts_together_are_all_and_no_image_is_in_two(
    make_predictor: Callable[..., HoiPredictor],
    images: list[AnnotatedImage],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    predictor = make_predictor(select=False)
    whole = predict_ground_truth_boxes(predictor, images)
    monkeypatch.setattr(boxes, '_PART', 4)
    monkeypatch.setattr(boxes, '_BATCH', 2)
    given = ground_truth_boxes(images)
    for most, sizes in ((10**6, [4, 4]), (1, [1] * 8)):  # two images have no boxes
        monkeypatch.setattr(boxes, '_MOST', most)
        parts = list(predict_boxes(predictor, given, [image.file_name for image in images]))
        assert [len(set(part.image)) for part in parts] == sizes
        together = ScoredPairs.concatenate(parts)
        for column in ('image', 'hoi'):
            assert np.array_equal(getattr(together, column), getattr(whole, column))
        np.testing.assert_allclose(together.score, whole.score, rtol=0, atol=1e-6)


def test_an_image_without_boxes_gives_nothing_and_needs_no_picture(
    predictor: HoiPredictor, images: list[AnnotatedImage], tmp_path: Path
) -> None:
    given = ground_truth_boxes(images)
    assert [boxes is None for boxes in given] == [len(image.hoi) == 0 for image in images]
    given[1], given[2] = None, Detections.empty(images[2].size)
    names = [image.file_name for image in images]
    for name in names[1:3]:
        (tmp_path / name).unlink()
    found = ScoredPairs.concatenate(predict_boxes(predictor, given, names, ImageFolder(tmp_path)))
    assert set(found.image) == {3, 4, 6, 7, 8, 9}


def test_recorded_boxes_go_to_their_images(tmp_path: Path, images: list[AnnotatedImage]) -> None:
    """By name, with or without folders; what has no counterpart is counted, or stops if strict."""
    vocabulary = load_vocabulary('hico-det')
    found = Detections([[1, 2, 30, 40], [50, 60, 70, 80]], [0.9, 0.5], [0, 1], images[1].size)
    names = [images[3].file_name, images[1].file_name, 'other.jpg']
    recorded = [RecordedImage(name, found) for name in names]
    path = tmp_path / 'recorded.json'
    write_recorded(path, recorded, ('unicorn', 'person'))
    in_folders = [replace(image, file_name=f'test/{image.file_name}') for image in images]
    remarks = Remarks()
    given = recorded_boxes(path, in_folders, vocabulary, remarks)
    assert [i for i, boxes in enumerate(given) if boxes] == [1, 3]
    assert given[1].labels.tolist() == [-1, 0]
    lacking, unknown = remarks.sentences()
    assert 'recorded.json lacks' in lacking and f'8 (test/{images[0].file_name}, ' in lacking
    assert 'not in the annotations' in unknown and '1 (other.jpg)' in unknown
    with pytest.raises(ValueError, match='recorded.json lacks'):
        recorded_boxes(path, in_folders, vocabulary, Remarks(strict=True))


def test_recorded_boxes_of_other_images_are_refused(
    tmp_path: Path, images: list[AnnotatedImage]
) -> None:
    vocabulary, path = load_vocabulary('hico-det'), tmp_path / 'recorded.json'
    small = RecordedImage(images[1].file_name, Detections.empty((240, 320)))
    write_recorded(path, [small], vocabulary.objects)
    with pytest.raises(ValueError, match='640 x 480 .* 320 x 240'):
        recorded_boxes(path, images, vocabulary, Remarks())
    write_recorded(path, [small, small], vocabulary.objects)
    with pytest.raises(ValueError, match='comes twice'):
        recorded_boxes(path, images, vocabulary, Remarks())


def test_a_class_of_v_coco_is_its_verb(make_model: Callable[..., Link]) -> None:
    """Whatever the object: 'hold' is one class, of a cup as of a ball."""
    vocabulary = load_vocabulary('v-coco')
    predictor = HoiPredictor(Checkpoint('small', make_model(vocabulary='v-coco'), None, {}))
    cup, ball = (vocabulary.object_index(name) for name in ('cup', 'sports ball'))
    detections = Detections(
        [[0, 0, 50, 90], [20, 20, 60, 60], [50, 50, 99, 99]], [1, 1, 1], [0, cup, ball], (100, 100)
    )
    (found,) = predict_boxes(predictor, [None, detections], ['a.jpg', 'b.jpg'])
    assert set(found.image) == {1}
    of_cup = found.hoi[(found.boxes_o == detections.boxes[1]).all(1)]
    of_ball = found.hoi[(found.boxes_o == detections.boxes[2]).all(1)]
    assert set(of_cup) == set(np.flatnonzero(vocabulary.valid[cup]))
    assert set(of_ball) == set(np.flatnonzero(vocabulary.valid[ball]))
    assert vocabulary.verbs.index('hold obj') in set(of_cup) & set(of_ball)


def test_a_model_sees_other_boxes_than_are_reported(
    make_predictor: Callable[..., HoiPredictor], images: list[AnnotatedImage]
) -> None:
    predictor = make_predictor(select=False)
    names = [image.file_name for image in images]
    given = ground_truth_boxes(images)
    seen, reported = perturb_all(given, names, Perturbation(shift=0.5), 0)
    as_seen, as_reported = (
        ScoredPairs.concatenate(predict_boxes(predictor, seen, names, None, boxes))
        for boxes in (None, reported)
    )
    assert np.array_equal(as_seen.score, as_reported.score)
    of_first = as_reported.take(as_reported.image == 1)
    assert {tuple(box) for box in of_first.boxes_h} <= {tuple(box) for box in given[1].boxes}
    assert not np.allclose(as_seen.boxes_h, as_reported.boxes_h)
