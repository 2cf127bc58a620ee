"""The surest detections that are wrong, and in which way they are."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from link_hoi_core.data.annotated_image import AnnotatedImage
from link_hoi_core.evaluation.matching import MIN_OVERLAP, RankedDetections
from link_hoi_core.evaluation.outcome import Benchmark
from link_hoi_core.evaluation.page.mistakes import (
    NO_ROWS,
    Mistake,
    Mistakes,
    annotated_classes,
    by_image,
    choose_worst,
    count_kinds,
)
from link_hoi_core.evaluation.pairs import ScoredPairs
from link_hoi_core.geometry import box_iou

CONSIDERED = 10_000  # the highest scored, whose kinds are counted
LEAST_OVERLAP = 0.1  # below it a detection has nothing to do with an annotated pair
BACKGROUND = 'background'

# The first that fits is the kind of a false positive.
KINDS = {
    'duplicate': 'the pair and its interaction are annotated, but were found already',
    'wrong verb': 'the pair is annotated with this object, but with other verbs',
    'wrong object': 'the pair is annotated with another object',
    'badly localised': 'the interaction is annotated, but its boxes overlap by less than '
    f'{MIN_OVERLAP:g}',
    'wrong partner': 'person and object are annotated, but not with each other',
    BACKGROUND: 'nothing is annotated there',
}


def false_positives(
    ranked: RankedDetections, predictions: ScoredPairs, benchmark: Benchmark
) -> Mistakes:
    """The worst of the 10,000 highest scored detections that are wrong, by falling score.

    V-COCO's classes are verbs, so that a wrong object counts as none or as a wrong verb there.
    An object that is missing overlaps nothing: a wrong detection without one counts as background.
    """
    wrong = np.flatnonzero(~ranked.correct)
    wrong = wrong[np.argsort(-ranked.score[wrong], kind='stable')[:CONSIDERED]]
    found = predictions.take(ranked.row[wrong])
    names = list(KINDS)
    kind = np.zeros(len(found), np.int64)
    others = [NO_ROWS] * len(found)
    for image, rows in by_image(found.image):
        kinds = _kinds(found.take(rows), benchmark.images[image], benchmark)
        for row, (name, pairs) in zip(rows, kinds):
            kind[row], others[row] = names.index(name), pairs
    worst = [
        Mistake(
            names[kind[row]],
            int(found.image[row]),
            int(found.hoi[row]),
            float(found.score[row]),
            found.boxes_h[row],
            found.boxes_o[row],
            others[row],
        )
        for row in choose_worst(kind, found.image, found.hoi)
    ]
    return Mistakes(worst, count_kinds(names, kind))


def _kinds(
    found: ScoredPairs, image: AnnotatedImage, benchmark: Benchmark
) -> Iterator[tuple[str, np.ndarray]]:
    """The kind of each false positive of one image, and the annotated pairs that say so."""
    human = box_iou(found.boxes_h, image.boxes_h)
    object_ = box_iou(found.boxes_o, image.boxes_o)
    overlap = np.minimum(human, object_)
    there = overlap >= MIN_OVERLAP
    same_class = found.hoi[:, None] == annotated_classes(image, benchmark)
    same_object = np.ones_like(same_class)
    if benchmark.name != 'v-coco':
        same_object = benchmark.vocabulary.hois[found.hoi, 1][:, None] == image.object
    of_human = human >= MIN_OVERLAP
    of_object = (object_ >= MIN_OVERLAP) & same_object
    both = of_human.any(1, keepdims=True) & of_object.any(1, keepdims=True)
    reasons = {
        'duplicate': there & same_class,
        'wrong verb': there & same_object,
        'wrong object': there,
        'badly localised': (overlap >= LEAST_OVERLAP) & same_class,
        'wrong partner': both & (of_human | of_object),
        BACKGROUND: np.zeros_like(there),
    }
    for row in range(len(found)):
        name = next((k for k, reason in reasons.items() if reason[row].any()), BACKGROUND)
        yield name, np.flatnonzero(reasons[name][row])
