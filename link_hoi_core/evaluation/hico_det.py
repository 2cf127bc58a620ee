"""HICO-DET figures as the original evaluators give them (spec sections 10 and 15).

`official` (ywchao/ho-rcnn, eval_one.m): every image counts, overlap at least 0.5.
`pvic` (fredzzhang/pvic, utils.py): overlap above 0.5, images without annotated pairs are skipped,
so that false positives there cost nothing.
The known-object protocol is the official one's; with `pvic`, which has none, it is our combination.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from link_hoi_core.data.hico_det import AnnotatedImage
from link_hoi_core.evaluation.average_precision import F1Figures, average_precision, f1_at
from link_hoi_core.evaluation.matching import RankedDetections, match
from link_hoi_core.evaluation.pairs import ScoredPairs, annotated_pairs, predicted_pairs
from link_hoi_core.structures import Detections, Interactions
from link_hoi_core.vocabulary import Vocabulary

CONVENTIONS = ('official', 'pvic')


@dataclass(frozen=True)
class HicoDetFigures:
    """AP in percent, F1 figures as fractions."""

    full: float
    rare: float
    non_rare: float
    f1: F1Figures
    per_class_ap: np.ndarray  # (600,)


def rank_hico_det(
    images: Sequence[AnnotatedImage],
    predictions: ScoredPairs,
    vocabulary: Vocabulary,
    convention: str = 'official',
    known_objects: np.ndarray | None = None,
) -> RankedDetections:
    """Mark the predictions right or wrong.

    Args:
        images: all images of the annotation file; `predictions.image` counts in it.
        convention: 'official' or 'pvic'.
        known_objects: (80, images) bool, see `image_labels.read_known_objects`; predictions of
            an object in an image without it are left out (known-object protocol). None: default.
    """
    if convention not in CONVENTIONS:
        raise ValueError(f'convention is {convention!r}, expected one of {CONVENTIONS}')
    keep = np.ones(len(predictions), bool)
    if convention == 'pvic':
        keep &= np.array([len(image.hoi) > 0 for image in images], bool)[predictions.image]
    if known_objects is not None:
        keep &= known_objects[vocabulary.hois[predictions.hoi, 1], predictions.image]
    kept = predictions if keep.all() else predictions.take(keep)
    strict = convention == 'pvic'
    ranked = match(kept, annotated_pairs(images), len(vocabulary.hois), strict)
    return replace(ranked, row=np.flatnonzero(keep)[ranked.row])


def hico_det_figures(
    ranked: RankedDetections, vocabulary: Vocabulary, f1_threshold: float
) -> HicoDetFigures:
    """Full, Rare and Non-rare mAP, and mF1 of the detections scored above `f1_threshold`.

    Every class counts, as in the original; one that is not annotated in `images` counts with 0.
    """
    ap = 100 * average_precision(ranked)
    rare = vocabulary.rare
    return HicoDetFigures(
        full=float(ap.mean()),
        rare=float(ap[rare].mean()),
        non_rare=float(ap[~rare].mean()),
        f1=f1_at(ranked, f1_threshold),
        per_class_ap=ap,
    )


def evaluate_interactions(
    images: Sequence[AnnotatedImage],
    detections: Sequence[Detections],
    interactions: Sequence[Interactions],
    vocabulary: Vocabulary,
    convention: str = 'official',
    f1_threshold: float = 0.5,
) -> HicoDetFigures:
    """Figures of a model's output; item i of all three sequences belongs to image i."""
    predictions = ScoredPairs.concatenate(
        predicted_pairs(index, found, triplets, vocabulary)
        for index, (found, triplets) in enumerate(zip(detections, interactions))
    )
    ranked = rank_hico_det(images, predictions, vocabulary, convention)
    return hico_det_figures(ranked, vocabulary, f1_threshold)
