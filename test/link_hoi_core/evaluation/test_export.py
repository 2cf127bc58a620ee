"""Exports: what the official scripts would read is what was predicted, in their pixels."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from link_hoi_core.data.annotated_image import AnnotatedImage
from link_hoi_core.evaluation.export import write_matlab, write_vsrl
from link_hoi_core.evaluation.pairs import ScoredPairs
from link_hoi_core.vocabulary import load_vocabulary, v_coco_actions

HICO, COCO = load_vocabulary('hico-det'), load_vocabulary('v-coco')


def images(*names: str) -> list[AnnotatedImage]:
    boxes, ids = np.zeros((0, 4), np.float32), np.zeros(0, np.int64)
    return [AnnotatedImage(name, None, boxes, boxes, ids, ids, ids) for name in names]


PHOTOS = images('COCO_val2014_000000000294.jpg', 'COCO_val2014_000000002473.jpg')


def random_pairs(count: int, num_images: int, classes: int) -> ScoredPairs:
    random = np.random.default_rng(0)
    return ScoredPairs(
        random.integers(num_images, size=count).astype(np.int32),
        random.uniform(1, 500, (count, 4)).astype(np.float32),
        random.uniform(1, 500, (count, 4)).astype(np.float32),
        random.integers(classes, size=count).astype(np.int32),
        random.random(count),
    )


def test_matlab_files_hold_every_prediction_once(tmp_path: Path) -> None:
    scipy_io = pytest.importorskip('scipy.io')
    pairs = random_pairs(3000, 5, 600)
    write_matlab(tmp_path / 'new' / 'folder', images(*'abcde'), pairs, HICO)
    total = 0
    for index in range(80):
        path = tmp_path / 'new' / 'folder' / f'detections_{index + 1:02d}.mat'
        cells = scipy_io.loadmat(str(path))['all_boxes']
        hois = np.flatnonzero(HICO.hois[:, 1] == index)
        assert cells.shape == (len(hois), 5)
        for row, hoi in enumerate(hois):
            for image in range(5):
                at = np.flatnonzero((pairs.hoi == hoi) & (pairs.image == image))
                total += len(at)
                cell = cells[row, image]
                if not len(at):
                    assert cell.shape == (0, 0)
                    continue
                # The script adds 1 to all: then they are 1-based inclusive.
                one_based = cell[:, :8] + 1 - np.tile([1, 1, 0, 0], 2)
                assert np.array_equal(one_based[:, :4], pairs.boxes_h[at])
                assert np.array_equal(one_based[:, 4:], pairs.boxes_o[at])
                assert np.array_equal(cell[:, 8], pairs.score[at])
    assert total == 3000


def test_matlab_files_of_no_predictions(tmp_path: Path) -> None:
    scipy_io = pytest.importorskip('scipy.io')
    write_matlab(tmp_path, images('a'), ScoredPairs.concatenate([]), HICO)
    cells = scipy_io.loadmat(str(tmp_path / 'detections_01.mat'))['all_boxes']
    assert all(cell.shape == (0, 0) for cell in cells.flat)
    assert len(list(tmp_path.iterdir())) == 80


def test_vsrl_pickle_has_every_key_that_the_script_asks_for(tmp_path: Path) -> None:
    path = tmp_path / 'cache.pkl'
    pairs = random_pairs(50, 2, 24)
    pairs.boxes_o[7] = 0  # no object
    some = [COCO.verbs[hoi].split() for hoi in pairs.hoi]
    write_vsrl(path, PHOTOS, pairs)
    entries = pickle.loads(path.read_bytes())  # our own, of a moment ago
    assert len(entries) == 50
    for row, entry in enumerate(entries):
        assert entry['image_id'] == [294, 2473][pairs.image[row]]
        assert entry['person_box'] == pairs.boxes_h[row].tolist()
        predicted = COCO.verbs[pairs.hoi[row]].split()
        for action in v_coco_actions():
            agent = entry[f'{action.name}_agent']
            same = action.name == predicted[0]
            of_none = 0 if action.name not in [name for name, _ in some] else np.nan
            expected = pairs.score[row] if same else of_none
            assert np.array_equal(agent, expected, equal_nan=True)
            for role in action.roles:
                value = entry[f'{action.name}_{role}']
                if [action.name, role] == predicted:
                    assert value == [*pairs.boxes_o[row], pairs.score[row]]
                else:
                    of_none = 0 if [action.name, role] not in some else np.nan
                    assert np.array_equal(value, [of_none] * 5, equal_nan=True)


def test_an_agent_is_said_once_with_its_best_score(tmp_path: Path) -> None:
    """One person, seen with four things; the last hits, too, but is somebody else."""
    pairs = random_pairs(5, 1, 24)
    pairs.boxes_h[:] = [1, 2, 30, 40]
    pairs.boxes_h[4] += 1
    pairs.hoi[:] = [
        COCO.verbs.index(f'hit {role}') for role in ('obj', 'instr', 'obj', 'obj', 'obj')
    ]
    pairs.score[:] = [0.2, 0.7, 0.7, 0.3, 0.1]
    write_vsrl(tmp_path / 'cache.pkl', PHOTOS, pairs)
    entries = pickle.loads((tmp_path / 'cache.pkl').read_bytes())
    agents = [entry['hit_agent'] for entry in entries]
    assert np.array_equal(agents, [np.nan, 0.7, np.nan, np.nan, 0.1], equal_nan=True)
    assert [entry['hit_obj'][4] for entry in entries][2:] == [0.7, 0.3, 0.1]
