"""The figures of a benchmark by name, whichever vocabulary it has: what a training run watches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace

import numpy as np

from link_hoi_core.data.annotated_image import AnnotatedImage
from link_hoi_core.evaluation.average_precision import average_precision
from link_hoi_core.evaluation.hico_det import rank_hico_det
from link_hoi_core.evaluation.matching import RankedDetections, match
from link_hoi_core.evaluation.pairs import ScoredPairs, annotated_pairs
from link_hoi_core.evaluation.zero_shot import zero_shot_figures
from link_hoi_core.vocabulary import Vocabulary

HEADLINES = {'hico-det': 'full', 'v-coco': 'map', 'swig-hoi': 'full'}  # the first figure of each
SWIG_POINTS = np.arange(11) / 10
SWIG_MOST = 19_999  # detections of a class that SWiG-HOI's evaluator looks at, best first


def benchmark_figures(
    images: Sequence[AnnotatedImage],
    predictions: ScoredPairs,
    vocabulary: Vocabulary,
    unseen: np.ndarray,
) -> dict[str, float]:
    """Mean APs in percent by name, the headline first.

    Args:
        images: `predictions.image` counts in them.
        vocabulary: 'hico-det', 'v-coco' or 'swig-hoi'.
        unseen: HOI ids (U,) of a zero-shot setting of HICO-DET; empty otherwise.

    Returns:
        'full', 'rare', 'non_rare' of HICO-DET, and with `unseen` also 'unseen', 'seen', 'hm';
        'map' of V-COCO; 'full', 'non_rare', 'rare', 'novel' of SWiG-HOI.
    """
    if vocabulary.id == 'hico-det':
        return _hico_det(images, predictions, vocabulary, unseen)
    figures = {'v-coco': _v_coco, 'swig-hoi': _swig_hoi}[vocabulary.id]
    return figures(images, predictions, vocabulary)


def _hico_det(
    images: Sequence[AnnotatedImage],
    predictions: ScoredPairs,
    vocabulary: Vocabulary,
    unseen: np.ndarray,
) -> dict[str, float]:
    """As `hico_det_figures` and `zero_shot_figures` (spec section 10)."""
    ap = 100 * average_precision(rank_hico_det(images, predictions, vocabulary))
    rare = vocabulary.rare
    figures = {'full': ap, 'rare': ap[rare], 'non_rare': ap[~rare]}
    means = {name: float(values.mean()) for name, values in figures.items()}
    return means | asdict(zero_shot_figures(ap, unseen)) if len(unseen) else means


def _v_coco(
    images: Sequence[AnnotatedImage], predictions: ScoredPairs, vocabulary: Vocabulary
) -> dict[str, float]:
    """PViC's diagnostic figure (spec section 11): 11-point AP of the 24 'action role' classes.

    The mean is over the classes that are annotated in `images`, 0 if none is: on the test set all
    24, as PViC's, and on a few images of it a figure that can reach 100.
    """
    verb = vocabulary.hois[:, 0].astype(np.int32)
    annotated = annotated_pairs(images)
    of_verbs = replace(annotated, hoi=verb[annotated.hoi])
    ranked = match(predictions, of_verbs, len(vocabulary.verbs))
    ap = average_precision(ranked)[ranked.num_annotated > 0]
    return {'map': 100 * float(ap.mean()) if len(ap) else 0.0}


def _swig_hoi(
    images: Sequence[AnnotatedImage], predictions: ScoredPairs, vocabulary: Vocabulary
) -> dict[str, float]:
    """As its official evaluator (spec section 14): means over the 5,539 evaluated interactions.

    One that is not annotated in `images` counts with 0.
    """
    candidates = predictions.take(vocabulary.evaluated[predictions.hoi])
    ranked = match(candidates, annotated_pairs(images), len(vocabulary.hois))
    ap = 100 * average_precision(_best_of_each(ranked, SWIG_MOST), SWIG_POINTS)
    groups = {'full': (0, 1, 2), 'non_rare': (2,), 'rare': (1,), 'novel': (0,)}
    return {
        name: float(ap[vocabulary.evaluated & np.isin(vocabulary.frequency, frequencies)].mean())
        for name, frequencies in groups.items()
    }


def _best_of_each(ranked: RankedDetections, most: int) -> RankedDetections:
    """The first `most` detections of each class."""
    place = np.arange(len(ranked.hoi)) - np.searchsorted(ranked.hoi, ranked.hoi)
    return ranked.take(place < most)
