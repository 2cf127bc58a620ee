"""A small evaluation to make pages of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from link_hoi_core.data.annotated_image import AnnotatedImage, annotated_image
from link_hoi_core.evaluation.hico_det import HicoDet
from link_hoi_core.evaluation.outcome import Benchmark, Outcome, evaluate
from link_hoi_core.evaluation.pairs import ScoredPairs
from link_hoi_core.vocabulary import load_vocabulary

SIZE = (100, 100)
THRESHOLD = 0.5

Pair = tuple[list, list, str]


@dataclass(frozen=True)
class Evaluation:
    """What `write_report` takes."""

    outcome: Outcome
    predictions: ScoredPairs
    benchmark: Benchmark


@pytest.fixture(scope='session')
def evaluation() -> Callable[..., Evaluation]:
    """Evaluate predictions (image, pair, score) of images that are lists of pairs.

    A pair is a human box, an object box and 'ride bicycle'.
    """

    def make(
        annotated: list[list[Pair]],
        predicted: list[tuple[int, Pair, float]],
        names: list[str] | None = None,
    ) -> Evaluation:
        names = names or [f'{index}.jpg' for index in range(len(annotated))]
        benchmark = HicoDet([_image(*item) for item in zip(names, annotated)])
        pairs = ScoredPairs(
            np.array([image for image, _, _ in predicted], np.int32),
            np.array([pair[0] for _, pair, _ in predicted], np.float32).reshape(-1, 4),
            np.array([pair[1] for _, pair, _ in predicted], np.float32).reshape(-1, 4),
            np.array([_hoi(pair[2]) for _, pair, _ in predicted], np.int32),
            np.array([score for _, _, score in predicted], np.float64),
        )
        return Evaluation(evaluate(benchmark, [pairs], THRESHOLD), pairs, benchmark)

    return make


def _image(name: str, pairs: list[Pair]) -> AnnotatedImage:
    vocabulary = load_vocabulary('hico-det')
    verbs, objects = vocabulary.hois[[_hoi(words) for *_, words in pairs]].T
    boxes = (np.array([pair[i] for pair in pairs], np.float32).reshape(-1, 4) for i in (0, 1))
    return annotated_image(vocabulary, name, SIZE, *boxes, objects, verbs)


def _hoi(words: str) -> int:
    vocabulary = load_vocabulary('hico-det')
    verb, object_ = words.split()
    return int(vocabulary.hoi_index[vocabulary.object_index(object_), vocabulary.verb_index(verb)])
