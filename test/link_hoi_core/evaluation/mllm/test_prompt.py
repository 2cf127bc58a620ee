"""What the model is told."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np

from link_hoi_core.evaluation.mllm.prompt import has_pairs, instructions, question_text
from link_hoi_core.structures import Detections
from link_hoi_core.vocabulary import load_vocabulary

VOCABULARY = load_vocabulary('hico-det')


def test_instructions_name_every_verb_and_class_with_its_id() -> None:
    lines = instructions(VOCABULARY).splitlines()
    for title, names in {'Verb ids: ': VOCABULARY.verbs, 'Class ids: ': VOCABULARY.objects}.items():
        (line,) = (line for line in lines if line.startswith(title))
        expected = [f'{i} {name.replace("_", " ")}' for i, name in enumerate(names)]
        assert line.removeprefix(title).split(', ') == expected
    text = '\n'.join(lines)
    assert '57 (no interaction)' in text
    for key in ('"boxes"', '"classes"', '"interactions"', '"human_idx"', '"object_idx"', '"verb"'):
        assert key in text
    assert '{{' not in text and '}}' not in text


def test_question_tells_boxes_in_order_and_the_verbs_that_go_with_them(boxes: Detections) -> None:
    text = question_text(replace(boxes, scores=np.full(4, 0.123)), VOCABULARY)
    assert '640 x 480' in text
    assert '0.123' not in text
    assert re.findall(r'^(\d): class (\d+) \((.+)\), \[(.*)\]$', text, re.MULTILINE) == [
        ('0', '0', 'person', '10, 20, 110, 220'),
        ('1', '0', 'person', '300, 30, 380, 230'),
        ('2', '1', 'bicycle', '0, 100, 150, 300'),
        ('3', '16', 'dog', '400, 300, 500, 400'),
    ]
    told = dict(re.findall(r'^class (\d+) \(.+\): (.*)$', text, re.MULTILINE))
    assert set(told) == {'0', '1', '16'}
    for label, words in told.items():
        ids = [int(word.split(' ')[0]) for word in words.split(', ')]
        assert ids == np.flatnonzero(VOCABULARY.valid[int(label)]).tolist()


def test_a_single_person_is_no_object(boxes: Detections) -> None:
    text = question_text(boxes.take(np.array([0, 2])), VOCABULARY)
    assert 'class 1 (bicycle): ' in text
    assert 'class 0 (person): ' not in text


def test_a_pair_needs_a_person_and_another_box(boxes: Detections) -> None:
    cases = {(0, 2): True, (0, 1): True, (0,): False, (2, 3): False, (): False}
    for rows, expected in cases.items():
        assert has_pairs(boxes.take(np.array(rows, np.int64)), VOCABULARY) is expected
