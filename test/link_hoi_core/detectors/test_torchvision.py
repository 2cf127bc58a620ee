"""Faster R-CNN of torchvision, with random weights on small pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from link_hoi_core.detectors import load_detector
from link_hoi_core.detectors.torchvision import FasterRcnn
from link_hoi_core.vocabulary import COCO80, load_vocabulary

pytest.importorskip('torchvision')

VOCABULARY = load_vocabulary('hico-det')
SIDE = 64


@pytest.fixture(scope='module')
def detector() -> FasterRcnn:
    return small()


@pytest.fixture
def images() -> list[np.ndarray]:
    random = np.random.default_rng(0)
    sizes = [(48, 64), (64, 40), (48, 64)]
    return [random.integers(0, 256, (*size, 3), np.uint8) for size in sizes]


def small(name: str = 'faster-rcnn-r50', **options: object) -> FasterRcnn:
    """A random detector whose own resizing goes to small sides."""
    detector = load_detector(name, VOCABULARY, **{'weights': 'random', **options})
    detector.model.transform.min_size = (SIDE,)
    return detector


def test_a_batch_gives_what_single_images_give(
    detector: FasterRcnn, images: list[np.ndarray]
) -> None:
    for image, found in zip(images, detector.detect(images)):
        (alone,) = detector.detect([image])
        assert len(found) > 0 and found.image_size == image.shape[:2]
        assert found.scores == pytest.approx(alone.scores, abs=1e-4)  # float32, 50 layers
        # Boxes of nearly the same score may change places with the rounding of several threads.
        apart = np.abs(found.boxes[:, None] - alone.boxes).max(axis=2)
        assert apart.min(axis=0).max() < 1e-3 and apart.min(axis=1).max() < 1e-3


def test_no_unused_category_leaves_it(images: list[np.ndarray]) -> None:
    """Random networks like every output alike, the background and the ten unused ids too."""
    detector = small(score_threshold=0.0)
    rows = detector.model.roi_heads.box_predictor.cls_score.weight
    torch.nn.init.zeros_(rows)
    torch.nn.init.zeros_(detector.model.roi_heads.box_predictor.cls_score.bias)
    detector.model.roi_heads.detections_per_img = 10_000
    names = {name for found in detector.detect(images) for name in found.names}
    assert {name.replace(' ', '_') for name in names} == set(COCO80)
    assert not detector.unknown


def test_the_threshold(images: list[np.ndarray]) -> None:
    (default,) = small().detect(images[:1])
    middle = float(np.median(default.scores))
    (few,) = small(score_threshold=middle).detect(images[:1])
    assert default.scores.min() >= 0.05
    assert 0 < len(few) < len(default) and few.scores.min() >= middle


def test_pictures_of_other_kinds(detector: FasterRcnn) -> None:
    pictures = [
        np.zeros((30, 30, 4), np.uint8),
        np.zeros((30, 30), np.uint16),
        np.ones((1, 1), bool),
    ]
    assert [found.image_size for found in detector.detect(pictures)] == [(30, 30)] * 2 + [(1, 1)]


def test_a_file_of_weights(tmp_path: Path, images: list[np.ndarray]) -> None:
    drawn = small(seed=4)
    torch.save(drawn.model.state_dict(), tmp_path / 'mine.pth')
    (expected,) = drawn.detect(images[:1])
    (found,) = small(weights=str(tmp_path / 'mine.pth')).detect(images[:1])
    assert np.array_equal(found.scores, expected.scores)


def test_files_that_hold_something_else(tmp_path: Path) -> None:
    torch.save({'weight': torch.zeros(3)}, tmp_path / 'other.pth')
    (tmp_path / 'text.pth').write_text('no weights')
    torch.save({'model': Path('a pickled object')}, tmp_path / 'pickle.pth')
    for name in ('other', 'text', 'pickle'):
        with pytest.raises(ValueError, match=f'{name}.pth holds no weights of faster-rcnn-r50'):
            small(weights=str(tmp_path / f'{name}.pth'))
    with pytest.raises(FileNotFoundError, match='missing.pth'):
        small(weights=str(tmp_path / 'missing.pth'))


def test_the_second_version_and_no_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, images: list[np.ndarray]
) -> None:
    assert small('faster-rcnn-r50-v2').detect(images[:1])[0].image_size == (48, 64)
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    monkeypatch.setenv('https_proxy', 'http://127.0.0.1:9')  # nobody listens
    with pytest.raises(ConnectionError, match=r'https://.*\.pth could not be downloaded'):
        small('faster-rcnn-r50-v2', weights='pretrained')


def test_where_the_published_weights_are_is_what_torchvision_says() -> None:
    from torchvision.models import get_model_weights

    from link_hoi_core.detectors import DETECTORS

    for name in ('faster-rcnn-r50', 'faster-rcnn-r50-v2'):
        row = DETECTORS[name]
        assert row.repository == get_model_weights(row.architecture).DEFAULT.url
