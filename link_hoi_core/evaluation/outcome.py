"""What an evaluation gives, the same for every benchmark, and what a benchmark has to offer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from link_hoi_core.data.annotated_image import AnnotatedImage
from link_hoi_core.evaluation.average_precision import best_f1_threshold
from link_hoi_core.evaluation.matching import RankedDetections, merge
from link_hoi_core.evaluation.pairs import ScoredPairs
from link_hoi_core.vocabulary import Vocabulary


@dataclass(frozen=True)
class Outcome:
    """The figures of one set of predictions, and what they come from.

    Attributes:
        figures: by the names that tables and JSON use ('full', 'ap_role_s1', 'mf1' ...), the
            headline first; AP in percent, F1 figures as fractions.
        class_names: of C classes, 'ride bicycle'.
        per_class_ap: (C,) percent; NaN for a class that the benchmark leaves out.
        groups: (C,) bool by name ('rare', 'unseen' ...): the classes that a figure is a mean of.
        ranked: the detections by class, each marked as right or wrong by the headline's rule.
        beside: AP in percent of each class by its name, of figures that are means by another rule
            than the headline's ('ap_role_s2', 'ap_agent').
    """

    figures: dict[str, float]
    class_names: tuple[str, ...]
    per_class_ap: np.ndarray
    groups: dict[str, np.ndarray]
    ranked: RankedDetections
    beside: dict[str, dict[str, float]] = field(default_factory=dict)


class Benchmark(Protocol):
    """A benchmark's rules, on one file of annotations.

    Predictions of many images come in parts, each with all predictions of its images: a part is
    ranked by itself, and the ranks are merged (`matching.merge`).

    Attributes:
        name: 'hico-det', 'v-coco' or 'swig-hoi'.
        vocabulary: whose classes `ScoredPairs.hoi` counts in predictions.
        images: `ScoredPairs.image` counts in them.
    """

    name: str
    vocabulary: Vocabulary
    images: Sequence[AnnotatedImage]

    def rank(self, predictions: ScoredPairs) -> dict[str, RankedDetections]:
        """The predictions marked as right or wrong, by the name of each rule; headline's first."""

    def outcome(self, ranked: Mapping[str, RankedDetections], f1_threshold: float) -> Outcome:
        """Figures of all predictions, ranked by every rule."""


def evaluate(
    benchmark: Benchmark, parts: Iterable[ScoredPairs], f1_threshold: float | None
) -> Outcome:
    """Figures of predictions that come in parts; of a part only the ranks are kept.

    Args:
        parts: each has all predictions of its images.
        f1_threshold: of mF1; None takes the best one for these predictions, see
            `best_f1_threshold`.
    """
    ranked, sizes = [], []
    for part in parts:
        ranked.append(benchmark.rank(part))
        sizes.append(len(part))
    if not ranked:
        ranked, sizes = [benchmark.rank(ScoredPairs.concatenate([]))], [0]
    merged = {rule: merge([of[rule] for of in ranked], sizes) for rule in ranked[0]}
    if f1_threshold is None:
        f1_threshold = best_f1_threshold(next(iter(merged.values()))).threshold
    return benchmark.outcome(merged, f1_threshold)
