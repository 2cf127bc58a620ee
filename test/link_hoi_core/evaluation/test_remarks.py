"""Remarks on an input: counted, few examples, and the end of it where they are strict."""

from __future__ import annotations

import pytest

from link_hoi_core.evaluation.remarks import Remarks


def test_the_same_is_counted_with_few_examples() -> None:
    remarks = Remarks()
    remarks.say('scores above 1')
    for name in 'abcde':
        remarks.note('unknown images, left out', f'{name}.jpg')
    remarks.note('rows with NaN, left out', 'a.jpg, row 3', count=4)
    remarks.note('rows of no class', 'row 1', count=1)
    remarks.say('scores above 1')
    assert remarks.sentences() == [
        'unknown images, left out: 5 (a.jpg, b.jpg, c.jpg ...)',
        'rows with NaN, left out: 4 (a.jpg, row 3 ...)',
        'rows of no class: 1 (row 1)',
        'scores above 1',
    ]


def test_strict_stops_at_a_note_but_not_at_a_sentence() -> None:
    remarks = Remarks(strict=True)
    remarks.say('scores above 1')
    with pytest.raises(ValueError, match=r'^unknown images, left out: a\.jpg \(strict'):
        remarks.note('unknown images, left out', 'a.jpg')
    assert remarks.sentences() == ['scores above 1']
