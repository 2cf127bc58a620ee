"""anno.mat: what the known-object protocol reads from it, and what it says of another file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from link_hoi_core.evaluation.image_labels import read_known_objects
from link_hoi_core.vocabulary import load_vocabulary

HOI_OBJECTS = load_vocabulary('hico-det').hois[:, 1]


@pytest.fixture
def image_labels(shared: Path) -> Path:
    return shared / 'data/hicodet/anno.mat'


def test_labels_follow_the_given_names(image_labels: Path) -> None:
    names = ['HICO_test2015_00000002.jpg', 'HICO_train2015_00000001.jpg']
    known = read_known_objects(image_labels, names, HOI_OBJECTS)
    assert known.shape == (80, 2)
    assert known[17, 0]  # the horse, and
    assert known[3, 1]  # the motorcycle of the box annotations
    assert np.array_equal(
        read_known_objects(image_labels, names[::-1], HOI_OBJECTS), known[:, ::-1]
    )


def test_an_unlisted_image_is_named(image_labels: Path) -> None:
    with pytest.raises(ValueError, match="for 1 images, the first is 'mine.jpg'"):
        read_known_objects(image_labels, ['mine.jpg'], HOI_OBJECTS)


def test_missing_file() -> None:
    with pytest.raises(FileNotFoundError, match='nowhere.mat: no such file'):
        read_known_objects('nowhere.mat', [], HOI_OBJECTS)


@pytest.mark.parametrize('length', [0, 100, 100_000])
def test_a_truncated_file_is_one_sentence(image_labels: Path, tmp_path: Path, length: int) -> None:
    path = tmp_path / 'anno.mat'
    path.write_bytes(image_labels.read_bytes()[:length])
    with pytest.raises(ValueError, match=f'^{path}: not ') as error:
        read_known_objects(path, [], HOI_OBJECTS)
    assert '\n' not in str(error.value)


def test_another_matlab_file(tmp_path: Path) -> None:
    savemat = pytest.importorskip('scipy.io').savemat
    savemat(tmp_path / 'other.mat', {'anno_train': np.zeros((600, 3))})
    with pytest.raises(ValueError, match="not HICO's anno.mat: anno_test, list_train, list_test"):
        read_known_objects(tmp_path / 'other.mat', [], HOI_OBJECTS)
