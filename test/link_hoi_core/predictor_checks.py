"""What the tests of a predictor share: random scenes and pictures, and how results are compared."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from link_hoi_core.predictor import HoiPredictor
from link_hoi_core.structures import Detections, Interactions

MakePredictor = Callable[..., HoiPredictor]
PERSON, BICYCLE, CHAIR = 0, 1, 56
SIZE = (480, 640)


def random_detections(
    count: int, seed: int, size: tuple[int, int] = SIZE, side: float = 150
) -> Detections:
    """About half of them persons."""
    random = np.random.default_rng(seed)
    low = random.uniform(0, np.array(size[::-1]) - 20, (count, 2))
    boxes = np.concatenate((low, low + random.uniform(10, side, (count, 2))), axis=1)
    labels = random.choice([PERSON, PERSON, PERSON, BICYCLE, CHAIR, 63], count)
    return Detections(boxes, random.uniform(0.2, 1, count), labels, size)


def rows(found: Interactions) -> dict[tuple[int, int, int], tuple[float, float]]:
    """(human, object, verb) -> (score, verb score)."""
    keys = zip(found.human.tolist(), found.object.tolist(), found.verb.tolist())
    return dict(zip(keys, zip(found.score.tolist(), found.verb_score.tolist())))


def picture(size: tuple[int, int] = SIZE, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


def same(found: Interactions, expected: Interactions, tolerance: float = 1e-6) -> None:
    assert rows(found).keys() == rows(expected).keys() and len(expected)
    for key, scores in rows(expected).items():
        assert rows(found)[key] == pytest.approx(scores, abs=tolerance)


def one_sentence(error: pytest.ExceptionInfo, *words: str) -> None:
    assert '\n' not in str(error.value)
    assert [word for word in words if word not in str(error.value)] == []
