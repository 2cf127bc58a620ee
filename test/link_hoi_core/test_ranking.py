"""Who takes part where pairs are limited."""

from __future__ import annotations

import numpy as np
import pytest

from link_hoi_core.model.scene import count_pairs, list_pairs
from link_hoi_core.predictor import HoiPredictor
from link_hoi_core.ranking import choose_detections
from link_hoi_core.structures import Detections
from link_hoi_core.vocabulary import load_vocabulary

VOCABULARY = load_vocabulary('hico-det')
PERSON, CUP = VOCABULARY.person, VOCABULARY.object_index('cup')


def in_a_row(labels: list[int], scores: list[float]) -> Detections:
    """Boxes beside each other."""
    left = 40.0 * np.arange(len(labels))
    boxes = np.stack((left, np.zeros_like(left), left + 30, np.full_like(left, 30)), axis=1)
    return Detections(boxes, scores, labels, (480, 640))


def test_no_limit_changes_nothing():
    found = in_a_row([PERSON, CUP, PERSON, CUP], [0.9, 0.8, 0.7, 0.6])
    assert choose_detections(found, VOCABULARY, select=False).tolist() == [0, 1, 2, 3]
    assert choose_detections(found, VOCABULARY, select=False, max_pairs=6).tolist() == [0, 1, 2, 3]


def test_the_surest_pairs_are_kept():
    found = in_a_row([PERSON, CUP, PERSON, CUP], [0.5, 0.3, 0.9, 0.8])
    assert choose_detections(found, VOCABULARY, select=False, max_pairs=2).tolist() == [2, 3]
    assert choose_detections(found, VOCABULARY, select=False, max_pairs=5).tolist() == [0, 2, 3]


def test_a_person_whom_many_sure_things_surround_is_kept():
    found = in_a_row([*[CUP] * 10, PERSON], [0.9] * 10 + [0.2])
    assert choose_detections(found, VOCABULARY, select=False, max_pairs=3).tolist() == [0, 1, 2, 10]


@pytest.mark.parametrize('seed', range(20))
def test_there_are_never_more_pairs_than_asked_for_and_always_the_surest(seed):
    rng = np.random.default_rng(seed)
    labels = np.where(rng.random(14) < 0.4, PERSON, CUP)
    found = in_a_row(labels.tolist(), rng.random(14).tolist())
    most = int(rng.integers(2, 60))
    rows = choose_detections(found, VOCABULARY, select=False, max_pairs=most)
    assert count_pairs(labels[rows], PERSON) <= most
    pairs = list_pairs(labels, PERSON)
    if len(pairs):
        surest = pairs[found.scores[pairs].prod(axis=1).argmax()]
        assert set(surest) <= set(rows.tolist())


def test_a_predictor_looks_at_no_more_pairs_and_names_the_same_detections():
    predictor = HoiPredictor.from_checkpoint('boxes', device='cpu')
    found = in_a_row([PERSON, CUP, PERSON, CUP], [0.5, 0.3, 0.9, 0.8])
    predictor.max_pairs = 2
    triplets = predictor.predict(None, found)
    alone = predictor.predict(None, found.take(np.array([2, 3])))
    assert {*zip(triplets.human.tolist(), triplets.object.tolist())} == {(2, 3)}
    np.testing.assert_allclose(triplets.score, alone.score)
