"""The hint at boxes that are a pixel off: given where they are, not where detectors err."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from link_hoi_core.data.annotated_image import AnnotatedImage
from link_hoi_core.evaluation.box_origin import origin_hint
from link_hoi_core.evaluation.pairs import ScoredPairs, annotated_pairs


def annotated(count: int = 60) -> list[AnnotatedImage]:
    random = np.random.default_rng(0)

    def boxes() -> np.ndarray:
        corner = random.integers(0, 300, (3, 2))
        return np.hstack([corner, corner + random.integers(60, 200, (3, 2))]).astype(np.float32)

    ids = np.zeros(3, np.int64)
    return [
        AnnotatedImage(f'{i}.jpg', (500, 500), boxes(), boxes(), ids, ids, ids)
        for i in range(count)
    ]


def found(images: list[AnnotatedImage], move: tuple[int, ...], noise: float = 0) -> ScoredPairs:
    """The annotated pairs as a detector might give them, each five times."""
    pairs = annotated_pairs(images)
    pairs = pairs.take(np.arange(len(pairs)).repeat(5))
    random = np.random.default_rng(1)
    shape = pairs.boxes_h.shape
    moved = [
        (boxes + np.array(move) + random.normal(0, noise, shape)).astype(np.float32)
        for boxes in (pairs.boxes_h, pairs.boxes_o)
    ]
    return replace(pairs, boxes_h=moved[0], boxes_o=moved[1])


@pytest.mark.parametrize('noise', [0, 3])
@pytest.mark.parametrize(
    ('move', 'what'),
    [
        ((1, 1, 1, 1), 'counted from 1'),
        ((-1, -1, -1, -1), 'counted from -1'),
        ((1, 1, 0, 0), '1-based inclusive pixels'),
        ((0, 0, -1, -1), '0-based inclusive pixels'),
    ],
)
def test_a_pixel_off(move: tuple[int, ...], what: str, noise: float) -> None:
    images = annotated()
    hint = origin_hint(images, found(images, move, noise))
    assert hint is not None and f'look {what}, expected 0-based continuous' in hint
    assert '\n' not in hint


@pytest.mark.parametrize('noise', [0, 1, 3, 10])
def test_no_hint_at_boxes_that_only_err(noise: float) -> None:
    images = annotated()
    assert origin_hint(images, found(images, (0, 0, 0, 0), noise)) is None


def test_no_hint_from_little_or_from_nothing() -> None:
    images = annotated(10)
    assert origin_hint(images, found(images, (1, 1, 1, 1))) is None  # ten images might be odd
    assert origin_hint(images, ScoredPairs.concatenate([])) is None
    elsewhere = found(annotated(), (5000, 5000, 5000, 5000))
    assert origin_hint(annotated(), elsewhere) is None
    assert origin_hint([], ScoredPairs.concatenate([])) is None


def test_pairs_without_an_object_say_nothing() -> None:
    """V-COCO's role box of zeros, in half of the predictions."""
    images = annotated()
    pairs = found(images, (1, 1, 1, 1), 1)
    pairs.boxes_o[::2] = 0
    hint = origin_hint(images, pairs)
    assert hint is not None and 'counted from 1' in hint
    pairs.boxes_o[:] = 0
    assert origin_hint(images, pairs) is None
