"""SWiG-HOI figures as its evaluator gives them (scwangdyd/promting_hoi, swig_evaluator.py)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from link_hoi_core.data.annotated_image import AnnotatedImage
from link_hoi_core.evaluation.average_precision import average_precision, f1_at, mean_of
from link_hoi_core.evaluation.matching import RankedDetections, match, rank_some
from link_hoi_core.evaluation.outcome import Outcome
from link_hoi_core.evaluation.pairs import ScoredPairs, annotated_pairs
from link_hoi_core.vocabulary import load_vocabulary

RECALL_POINTS = np.arange(11) / 10
MOST = 19_999  # detections of a class that the original looks at, best first


class SwigHoi:
    """The `Benchmark` of SWiG-HOI (spec section 14): 5,539 of the 14,130 interactions count.

    Predictions of the others are left out. A class that is not annotated in `images` counts with 0.
    """

    name = 'swig-hoi'

    def __init__(self, images: Sequence[AnnotatedImage]) -> None:
        self.vocabulary = load_vocabulary('swig-hoi')
        self.images = images
        self._annotated = annotated_pairs(images)

    def rank(self, predictions: ScoredPairs) -> dict[str, RankedDetections]:
        """The predictions of evaluated classes, under the name 'official'."""
        evaluated = self.vocabulary.evaluated[predictions.hoi]
        ranked = rank_some(
            predictions,
            evaluated,
            lambda kept: match(kept, self._annotated, len(self.vocabulary.hois)),
        )
        return {'official': ranked}

    def outcome(self, ranked: Mapping[str, RankedDetections], f1_threshold: float) -> Outcome:
        """'full', 'non_rare', 'rare', 'novel', and mF1 over all evaluated classes."""
        best = _best_of_each(ranked['official'], MOST)
        evaluated, frequency = self.vocabulary.evaluated, self.vocabulary.frequency
        ap = np.where(evaluated, 100 * average_precision(best, RECALL_POINTS), np.nan)
        groups = {
            name: evaluated & (frequency == value)
            for name, value in {'non_rare': 2, 'rare': 1, 'novel': 0}.items()
        }
        figures = {'full': mean_of(ap)} | {name: mean_of(ap[of]) for name, of in groups.items()}
        figures |= f1_at(best, f1_threshold, evaluated).named()
        return Outcome(figures, self.vocabulary.hoi_names, ap, groups, best)


def _best_of_each(ranked: RankedDetections, most: int) -> RankedDetections:
    """The first `most` detections of each class."""
    place = np.arange(len(ranked.hoi)) - np.searchsorted(ranked.hoi, ranked.hoi)
    return ranked.take(place < most)
