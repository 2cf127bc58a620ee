"""Where a model went wrong: its surest false positives and the worst of its misses, by kind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from link_hoi_core.data.annotated_image import AnnotatedImage
from link_hoi_core.evaluation.matching import MIN_OVERLAP, RankedDetections
from link_hoi_core.evaluation.outcome import Benchmark, Outcome
from link_hoi_core.evaluation.pairs import ScoredPairs
from link_hoi_core.geometry import box_iou

SHOWN = 100  # mistakes of either sort
CONSIDERED = 10_000  # false positives, the highest scored, whose kinds are counted
INSTEAD = 2  # classes that a miss is said to be predicted as
LEAST_OVERLAP = 0.1  # below it a detection has nothing to do with an annotated pair

FALSE_POSITIVE_KINDS = {
    'duplicate': 'a pair with this interaction that a higher scored detection has found',
    'wrong verb': 'a pair that is annotated with this object, but with other verbs',
    'wrong object': 'a pair that is annotated with another object',
    'badly localised': f'the interaction is annotated, but its boxes overlap by less than '
    f'{MIN_OVERLAP:g}',
    'wrong partner': 'person and object are annotated, but not with each other',
    'background': 'nothing is annotated there',
}
MISS_KINDS = {
    'not detected': 'no predicted pair overlaps it enough',
    'without this interaction': 'the pair is predicted, but with other interactions only',
    'low score': 'it is predicted, but not scored above the threshold',
}

_NO_ROWS = np.zeros(0, np.int64)


@dataclass(frozen=True)
class Mistake:
    """A predicted pair that is wrong, or an annotated one that was missed.

    Attributes:
        image: number of the image.
        label: its class.
        score: of the prediction; of a miss the best one it got, NaN for none.
        human, object: (4,) boxes, predicted, or annotated for a miss.
        others: the annotated pairs (rows of the image) that it is held against; none for a miss.
        instead: for a miss, what the pair was predicted as: classes and scores, the best first.
    """

    kind: str
    image: int
    label: int
    score: float
    human: np.ndarray
    object: np.ndarray
    others: np.ndarray
    instead: list[tuple[int, float]]


@dataclass(frozen=True)
class Mistakes:
    """The worst ones, and how many of each kind there are among all that were looked at."""

    worst: list[Mistake]
    counts: dict[str, int]


def false_positives(
    ranked: RankedDetections, predictions: ScoredPairs, benchmark: Benchmark
) -> Mistakes:
    """The highest scored detections that are wrong.

    The hundred that are shown are shared evenly among the kinds that occur, within a kind by
    falling score, so that a rare kind is seen as well; `counts` are of the 10,000 highest scored.
    """
    wrong = np.flatnonzero(~ranked.correct)
    wrong = wrong[np.argsort(-ranked.score[wrong], kind='stable')[:CONSIDERED]]
    found = predictions.take(ranked.row[wrong])
    kind = np.zeros(len(found), np.int64)
    others: list[np.ndarray] = [_NO_ROWS] * len(found)
    for image, rows in _by_image(found.image):
        for row, (number, pairs) in zip(
            rows, _wrong_kinds(found.take(rows), benchmark.images[image], benchmark)
        ):
            kind[row], others[row] = number, pairs
    names = list(FALSE_POSITIVE_KINDS)
    shown = _shared_evenly([np.flatnonzero(kind == number) for number in range(len(names))])
    worst = [
        Mistake(
            names[kind[row]],
            int(found.image[row]),
            int(found.hoi[row]),
            float(found.score[row]),
            found.boxes_h[row],
            found.boxes_o[row],
            others[row],
            [],
        )
        for row in sorted(shown)
    ]
    return Mistakes(worst, _counts(names, kind))


def misses(
    outcome: Outcome, predictions: ScoredPairs, benchmark: Benchmark, threshold: float
) -> Mistakes:
    """The annotated pairs that no detection scored above `threshold` overlaps enough.

    Worst first is: of pairs without a detection the one that is largest in its image; of the
    others the one with the lowest score. The hundred are shared evenly among the kinds.
    """
    counted = ~np.isnan(outcome.per_class_ap)
    predictions = predictions.take(np.sort(outcome.ranked.row))
    names = list(MISS_KINDS)
    columns = []  # image, pair, kind, score, how bad
    by_image = dict(_by_image(predictions.image))
    for number, image in enumerate(benchmark.images):
        found = predictions.take(by_image.get(number, _NO_ROWS))
        classes = annotated_classes(image, benchmark)
        score, is_found = _best_scores(found, image, classes)
        for_class = ~np.isnan(score)
        kind = np.where(for_class, 2, np.where(is_found, 1, 0))
        rows = np.flatnonzero(counted[classes] & ~(for_class & (score > threshold)))
        bad = np.where(for_class, -score, _visible(image))
        columns.append(
            np.stack([np.full(len(rows), number), rows, kind[rows], score[rows], bad[rows]], 1)
        )
    table = np.concatenate([np.zeros((0, 5)), *columns])
    kind = table[:, 2].astype(np.int64)
    worst_first = np.argsort(-table[:, 4], kind='stable')
    shown = _shared_evenly([worst_first[kind[worst_first] == k] for k in range(len(names))])
    worst = []
    for row in shown:
        number, pair = table[row, :2].astype(int)
        image = benchmark.images[number]
        worst.append(
            Mistake(
                names[kind[row]],
                int(number),
                int(annotated_classes(image, benchmark)[pair]),
                float(table[row, 3]),
                image.boxes_h[pair],
                image.boxes_o[pair],
                _NO_ROWS,
                _predicted_as(predictions.take(by_image.get(number, _NO_ROWS)), image, pair),
            )
        )
    return Mistakes(worst, _counts(names, kind))


def annotated_classes(image: AnnotatedImage, benchmark: Benchmark) -> np.ndarray:
    """The class (P,) of each annotated pair, as predictions count them: V-COCO's are verbs."""
    return image.verb if benchmark.name == 'v-coco' else image.hoi


def _wrong_kinds(
    found: ScoredPairs, image: AnnotatedImage, benchmark: Benchmark
) -> Iterator[tuple[int, np.ndarray]]:
    """The kind of each false positive of one image, and the annotated pairs that say so."""
    if not len(image.hoi):
        yield from ((5, _NO_ROWS) for _ in range(len(found)))
        return
    human = box_iou(found.boxes_h, image.boxes_h)
    object_ = box_iou(found.boxes_o, image.boxes_o)
    pair = np.minimum(human, object_)
    same_class = found.hoi[:, None] == annotated_classes(image, benchmark)
    same_object = np.ones_like(same_class)  # V-COCO's classes do not say the object
    if benchmark.name != 'v-coco':
        same_object = benchmark.vocabulary.hois[found.hoi, 1][:, None] == image.object
    there = pair >= MIN_OVERLAP
    partners = (human >= MIN_OVERLAP).any(1) & ((object_ >= MIN_OVERLAP) & same_object).any(1)
    partner = (human >= MIN_OVERLAP) | ((object_ >= MIN_OVERLAP) & same_object)
    reasons = [
        there & same_class,
        there & same_object,
        there,
        (pair >= LEAST_OVERLAP) & same_class,
        partner & partners[:, None],
    ]
    for row in range(len(found)):
        number = next((k for k, reason in enumerate(reasons) if reason[row].any()), len(reasons))
        pairs = reasons[number][row] if number < len(reasons) else np.zeros(len(image.hoi), bool)
        yield number, np.flatnonzero(pairs)


def _best_scores(
    found: ScoredPairs, image: AnnotatedImage, classes: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Of each annotated pair: the best score of its class (NaN: none), and whether it is found."""
    score = np.full(len(classes), np.nan)
    for label in np.unique(classes):
        rows, pairs = np.flatnonzero(found.hoi == label), np.flatnonzero(classes == label)
        if len(rows):
            overlap = _overlap(found.take(rows), image, pairs) >= MIN_OVERLAP
            best = np.where(overlap, found.score[rows][:, None], -np.inf).max(0)
            score[pairs] = np.where(overlap.any(0), best, np.nan)
    is_found = ~np.isnan(score)
    rest = np.flatnonzero(~is_found)
    if len(rest) and len(found):
        is_found[rest] = (_overlap(found, image, rest) >= MIN_OVERLAP).any(0)
    return score, is_found


def _predicted_as(found: ScoredPairs, image: AnnotatedImage, pair: int) -> list[tuple[int, float]]:
    """The classes that are scored highest for an annotated pair of an image."""
    rows = np.flatnonzero(_overlap(found, image, np.array([pair]))[:, 0] >= MIN_OVERLAP)
    best = rows[np.argsort(-found.score[rows], kind='stable')]
    labels = dict.fromkeys(found.hoi[best].tolist())  # one pair may be predicted by several boxes
    return [
        (label, float(found.score[rows][found.hoi[rows] == label].max()))
        for label in list(labels)[:INSTEAD]
    ]


def _overlap(found: ScoredPairs, image: AnnotatedImage, pairs: np.ndarray) -> np.ndarray:
    return np.minimum(
        box_iou(found.boxes_h, image.boxes_h[pairs]), box_iou(found.boxes_o, image.boxes_o[pairs])
    )


def _visible(image: AnnotatedImage) -> np.ndarray:
    """How much of the image the smaller box of each pair fills; pixels where no size is known."""
    areas = np.stack([(b[:, 2:] - b[:, :2]).prod(1) for b in (image.boxes_h, image.boxes_o)])
    return areas.min(0) / (np.prod(image.size) if image.size else 1)


def _by_image(image: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Each image that occurs, with its rows in their order."""
    order = np.argsort(image, kind='stable')
    numbers, starts = np.unique(image[order], return_index=True)
    yield from zip(numbers.tolist(), np.split(order, starts[1:]))


def _shared_evenly(kinds: Sequence[np.ndarray]) -> list[int]:
    """The first rows of every kind, a hundred in all: one of each in turn while there are some."""
    depth = np.concatenate([np.arange(len(rows)) for rows in kinds])
    rows = np.concatenate(kinds)
    first = np.sort(np.argsort(depth, kind='stable')[:SHOWN])  # again by kind
    return rows[first].tolist()


def _counts(names: Sequence[str], kind: np.ndarray) -> dict[str, int]:
    return dict(zip(names, np.bincount(kind, minlength=len(names)).tolist()))
