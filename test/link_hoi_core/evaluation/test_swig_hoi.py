"""SWiG-HOI's figures against its evaluator's rules, applied one prediction at a time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from link_hoi_core.data.annotated_image import AnnotatedImage, annotated_image
from link_hoi_core.evaluation.outcome import evaluate
from link_hoi_core.evaluation.pairs import ScoredPairs
from link_hoi_core.evaluation.swig_hoi import SwigHoi
from link_hoi_core.vocabulary import load_vocabulary

VOCABULARY = load_vocabulary('swig-hoi')
COUNTED = [
    int(np.flatnonzero(VOCABULARY.evaluated & (VOCABULARY.frequency == value))[0])
    for value in (0, 1, 2)
]
LEFT_OUT = int(np.flatnonzero(~VOCABULARY.evaluated)[0])

boxes = st.sampled_from(
    [[0, 0, 10, 10], [0, 0, 10, 8], [0, 0, 10, 5], [0, 0, 8, 10], [2, 0, 12, 10], [50, 50, 60, 60]]
)
classes = st.sampled_from([*COUNTED, LEFT_OUT])
scores = st.sampled_from([0.2, 0.2 + 1e-12, 0.5, 0.9])


def image(pairs: list) -> AnnotatedImage:
    """Pairs are (human box, object box, class)."""
    humans, objects = (np.array([p[i] for p in pairs], np.float32).reshape(-1, 4) for i in (0, 1))
    verb, object_ = VOCABULARY.hois[np.array([p[2] for p in pairs], np.int64)].T
    return annotated_image(VOCABULARY, 'a', (99, 99), humans, objects, object_, verb)


def predictions(rows: list) -> ScoredPairs:
    """Rows are (image, human box, object box, class, score)."""
    columns = list(zip(*rows)) or [()] * 5
    return ScoredPairs(
        np.array(columns[0], np.int32),
        np.array(columns[1], np.float32).reshape(-1, 4),
        np.array(columns[2], np.float32).reshape(-1, 4),
        np.array(columns[3], np.int32),
        np.array(columns[4], np.float64),
    )


BOX, LOWER, NARROWER = [0, 0, 10, 10], [0, 0, 10, 5], [0, 0, 8, 10]


@settings(max_examples=25, deadline=None)
@example(  # the first prediction overlaps too little, and leaves the pair to the second
    annotated=[[(NARROWER, BOX, COUNTED[0])], [], []],
    found=[(0, LOWER, BOX, COUNTED[0], 0.5), (0, BOX, BOX, COUNTED[0], 0.2)],
)
@given(
    annotated=st.lists(
        st.lists(st.tuples(boxes, boxes, classes), max_size=4), min_size=3, max_size=3
    ),
    found=st.lists(st.tuples(st.integers(0, 2), boxes, boxes, classes, scores), max_size=25),
)
def test_same_as_the_slow_evaluator(annotated: list, found: list) -> None:
    benchmark = SwigHoi([image(pairs) for pairs in annotated])
    outcome = evaluate(benchmark, [predictions(found)], 0.5)
    expected = {hoi: slow_ap(annotated, found, hoi) for hoi in COUNTED}
    for hoi, ap in expected.items():
        assert outcome.per_class_ap[hoi] == pytest.approx(ap, abs=1e-10)
    assert np.isnan(outcome.per_class_ap[LEFT_OUT])
    novel, rare, non_rare = expected.values()
    figures = [outcome.figures[name] for name in ('full', 'non_rare', 'rare', 'novel')]
    total = novel + rare + non_rare
    assert figures == pytest.approx([total / 5539, non_rare / 1307, rare / 2841, novel / 1391])


def slow_ap(annotated: list, found: list, hoi: int) -> float:
    """AP in percent of one class."""
    rows = sorted(
        (row for row in found if row[3] == hoi), key=lambda row: (-row[4], row[0])
    )  # stable: equal ones of an image stay in their order
    to_find = sum(pair[2] == hoi for pairs in annotated for pair in pairs)
    used, hits = set(), []
    for number, human, object_, _, _ in rows:
        best, best_overlap = None, 0.0
        for index, pair in enumerate(annotated[number]):
            overlap = min(iou(human, pair[0]), iou(object_, pair[1])) if pair[2] == hoi else 0.0
            if overlap > best_overlap:
                best, best_overlap = (number, index), overlap
        hits.append(best_overlap >= 0.5 and best not in used)
        if hits[-1]:
            used.add(best)
    if not to_find:
        return 0.0
    curve = [(sum(hits[: i + 1]), i + 1) for i in range(len(hits))]
    points = [max((r / n for r, n in curve if r / to_find >= t / 10), default=0) for t in range(11)]
    return 100 * sum(points) / 11


def iou(a: list, b: list) -> float:
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return width * height / (sum(areas) - width * height)
