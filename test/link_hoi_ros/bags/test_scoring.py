"""Frames are scored as images are."""

from __future__ import annotations

import numpy as np
import pytest
from bag_files import SIZE, annotate, detections, key

from link_hoi_core.evaluation.remarks import Remarks
from link_hoi_core.structures import Interactions
from link_hoi_core.vocabulary import load_vocabulary
from link_hoi_ros.bags.scoring import Labels, Score
from link_hoi_ros.messages import DetectionsReader

VOCABULARY = load_vocabulary('hico-det')
KEYS = [key(number) for number in range(4)]


def found(number: int):
    return DetectionsReader('hoi', VOCABULARY).read(detections(1, number), SIZE)[0]


def said(verb: str, score: float = 0.9) -> Interactions:
    """The person (0) does something with the bicycle (1)."""
    ids = np.zeros(1, np.int64)
    scores = np.full(1, score, np.float32)
    return Interactions(ids, ids + 1, ids + VOCABULARY.verb_index(verb), scores, scores)


def figures(labels: Labels, verbs: list[str], times: int = 1) -> dict[str, float]:
    score = Score(labels, Remarks(), times)
    for time in range(times):
        for number, verb in enumerate(verbs):
            score.add(KEYS[number], found(number), said(verb), VOCABULARY, time)
    return score.outcome(0.5).figures


def test_what_is_right_in_every_frame_is_100_and_a_frame_that_does_not_come_is_missed(tmp_path):
    labels = Labels(annotate(tmp_path / 'a.json', KEYS))
    assert figures(labels, ['ride'] * 4)['annotated'] == pytest.approx(100)
    assert figures(labels, ['ride'] * 4)['full'] == pytest.approx(100 / 600)
    assert figures(labels, ['hold'] * 4)['annotated'] == 0
    assert figures(labels, ['ride'] * 2)['annotated'] == pytest.approx(100 * 6 / 11)
    assert figures(labels, [])['annotated'] == 0


def test_a_loop_counts_as_a_longer_bag(tmp_path):
    labels = Labels(annotate(tmp_path / 'a.json', KEYS))
    assert figures(labels, ['ride'] * 4, times=3)['annotated'] == pytest.approx(100)
    assert figures(labels, ['ride'] * 2, 3) == figures(labels, ['ride'] * 2)


def test_names_of_exported_pictures_are_names_of_frames(tmp_path):
    names = [f'front/{KEYS[0]}.png', f'front/{KEYS[1]}.jpg', KEYS[2]]
    labels = Labels(annotate(tmp_path / 'a.json', names))
    assert list(labels.keys) == [f'front/{KEYS[0]}', f'front/{KEYS[1]}', KEYS[2]]


def test_annotations_of_other_frames_are_refused_and_of_some_other_frames_told(tmp_path):
    labels = Labels(annotate(tmp_path / 'a.json', KEYS[:2]))
    with pytest.raises(ValueError, match=f"its first is '{KEYS[0]}', that of the bag '{KEYS[2]}'"):
        labels.check(tmp_path / 'bag', [KEYS[2]], Remarks())
    remarks = Remarks()
    labels.check(tmp_path / 'bag', [KEYS[0]], remarks)
    assert remarks.sentences() == [
        f'annotated frames that are not in the bag, so nothing is found: 1 ({KEYS[1]})'
    ]


def test_annotations_that_cannot_be_meant_are_refused(tmp_path):
    with pytest.raises(ValueError, match='a frame comes twice'):
        Labels(annotate(tmp_path / 'a.json', [KEYS[0], f'{KEYS[0]}.png']))
    (tmp_path / 'b.json').write_text('{}')
    with pytest.raises(ValueError, match='not a HICO-DET annotation file'):
        Labels(tmp_path / 'b.json')
    labels = Labels(annotate(tmp_path / 'c.json', KEYS))
    other, _ = DetectionsReader('hoi', VOCABULARY).read(detections(1, 0), (192, 256))
    with pytest.raises(ValueError, match='is 256 x 192 pixels, but annotated as 128 x 96'):
        Score(labels, Remarks()).add(KEYS[0], other, said('ride'), VOCABULARY)
