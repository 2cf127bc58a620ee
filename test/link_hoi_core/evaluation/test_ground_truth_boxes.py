"""The ground-truth-box protocol with pictures: all of them, each with its own boxes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from link_hoi_core.checkpoint import load_checkpoint
from link_hoi_core.data.annotated_image import AnnotatedImage
from link_hoi_core.data.hico_det import ground_truth_detections, read_hico_det
from link_hoi_core.data.image_folder import ImageFolder
from link_hoi_core.evaluation import ground_truth_boxes
from link_hoi_core.evaluation.ground_truth_boxes import predict_ground_truth_boxes
from link_hoi_core.evaluation.pairs import ScoredPairs, predicted_pairs
from link_hoi_core.predictor import HoiPredictor

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
    monkeypatch.setattr(ground_truth_boxes, '_PICTURES', 3)  # several, one of them not full
    folder = ImageFolder(tmp_path)
    found = predict_ground_truth_boxes(predictor, images, folder)
    alone = []
    for index, image in enumerate(images):
        if len(image.hoi):
            boxes = ground_truth_detections(image)
            interactions = predictor.predict(folder.read(image.file_name), boxes)
            alone.append(predicted_pairs(index, boxes, interactions, predictor.vocabulary))
    expected = ScoredPairs.concatenate(alone)
    assert len(found) == len(expected) > 0
    np.testing.assert_allclose(found.score, expected.score, rtol=0, atol=1e-5)
    assert np.array_equal(found.image, expected.image)


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
