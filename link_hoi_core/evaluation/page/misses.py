"""The annotated interactions that were not found, and why."""

from __future__ import annotations

import numpy as np

from link_hoi_core.data.annotated_image import AnnotatedImage
from link_hoi_core.evaluation.matching import MIN_OVERLAP
from link_hoi_core.evaluation.outcome import Benchmark, Outcome
from link_hoi_core.evaluation.page.mistakes import (
    NO_ROWS,
    Mistake,
    Mistakes,
    annotated_classes,
    by_image,
    choose_worst,
    count_kinds,
    pair_overlap,
)
from link_hoi_core.evaluation.pairs import ScoredPairs

INSTEAD = 2  # classes that a miss is said to be predicted as
NOT_DETECTED, NOT_THIS, LOW_SCORE = range(3)
KINDS = {
    'not detected': 'no predicted pair overlaps it enough',
    'other interaction': 'the pair is predicted, but with other interactions only',
    'low score': 'it is predicted, but not scored above the threshold',
}


def misses(
    outcome: Outcome, predictions: ScoredPairs, benchmark: Benchmark, threshold: float
) -> Mistakes:
    """The annotated pairs that no detection scored above `threshold` overlaps enough.

    Worst first is: the pairs without a score, of them the one that is largest in its image; then
    the others by rising score.
    """
    predictions = predictions.take(np.sort(outcome.ranked.row))
    rows_of = dict(by_image(predictions.image))
    missed = _all_misses(outcome, predictions, rows_of, benchmark, threshold)
    image, pair, label, kind = missed[:, :4].astype(np.int64).T
    worst = []
    for row in choose_worst(kind, image, label):
        annotated = benchmark.images[image[row]]
        found = predictions.take(rows_of.get(image[row], NO_ROWS))
        worst.append(
            Mistake(
                list(KINDS)[kind[row]],
                int(image[row]),
                int(label[row]),
                float(missed[row, 4]),
                annotated.boxes_h[pair[row]],
                annotated.boxes_o[pair[row]],
                instead=_predicted_as(found, annotated, pair[row]),
            )
        )
    return Mistakes(worst, count_kinds(list(KINDS), kind))


def _all_misses(
    outcome: Outcome,
    predictions: ScoredPairs,
    rows_of: dict[int, np.ndarray],
    benchmark: Benchmark,
    threshold: float,
) -> np.ndarray:
    """(K, 6) image, pair, class, kind, score and size of each, the worst first."""
    counted = ~np.isnan(outcome.per_class_ap)
    tables = [np.zeros((0, 6))]
    for number, image in enumerate(benchmark.images):
        classes = annotated_classes(image, benchmark)
        found = predictions.take(rows_of.get(number, NO_ROWS))
        score, is_found = _best_scores(found, image, classes)
        scored = ~np.isnan(score)
        kind = np.where(scored, LOW_SCORE, np.where(is_found, NOT_THIS, NOT_DETECTED))
        columns = (np.full(len(score), number), np.arange(len(score)), classes, kind, score)
        missed = counted[classes] & ~(scored & (score > threshold))
        tables.append(np.stack([*columns, _size(image)], axis=1)[missed])
    table = np.concatenate(tables)
    return table[np.lexsort((-table[:, 5], table[:, 4], ~np.isnan(table[:, 4])))]


def _best_scores(
    found: ScoredPairs, image: AnnotatedImage, classes: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Of each annotated pair: the best score of its class (NaN: none), and whether it is found."""
    score = np.full(len(classes), np.nan)
    for label in np.unique(classes):
        rows, pairs = np.flatnonzero(found.hoi == label), np.flatnonzero(classes == label)
        if len(rows):
            fits = pair_overlap(found.take(rows), image, pairs) >= MIN_OVERLAP
            best = np.where(fits, found.score[rows][:, None], -np.inf).max(0)
            score[pairs] = np.where(fits.any(0), best, np.nan)
    is_found = ~np.isnan(score)
    rest = np.flatnonzero(~is_found)
    if len(rest) and len(found):
        is_found[rest] = (pair_overlap(found, image, rest) >= MIN_OVERLAP).any(0)
    return score, is_found


def _size(image: AnnotatedImage) -> np.ndarray:
    """How much of the image the smaller box of each pair fills; pixels where no size is known."""
    areas = np.stack([(b[:, 2:] - b[:, :2]).prod(1) for b in (image.boxes_h, image.boxes_o)])
    return areas.min(0) / (np.prod(image.size) if image.size else 1)


def _predicted_as(
    found: ScoredPairs, image: AnnotatedImage, pair: int
) -> tuple[tuple[int, float], ...]:
    """The classes that are scored highest for an annotated pair of an image."""
    fits = pair_overlap(found, image, np.array([pair]))[:, 0] >= MIN_OVERLAP
    best: dict[int, float] = {}  # one pair may be predicted by several boxes
    for row in np.flatnonzero(fits)[np.argsort(-found.score[fits], kind='stable')]:
        best.setdefault(int(found.hoi[row]), float(found.score[row]))
    return tuple(best.items())[:INSTEAD]
