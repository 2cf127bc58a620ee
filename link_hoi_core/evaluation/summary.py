"""The figures of a benchmark by name, whichever vocabulary it has: what a training run watches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from link_hoi_core.data.annotated_image import AnnotatedImage
from link_hoi_core.evaluation.average_precision import average_precision
from link_hoi_core.evaluation.hico_det import HicoDet
from link_hoi_core.evaluation.matching import match
from link_hoi_core.evaluation.pairs import ScoredPairs, annotated_pairs
from link_hoi_core.evaluation.swig_hoi import SwigHoi
from link_hoi_core.vocabulary import Vocabulary

HEADLINES = {'hico-det': 'full', 'v-coco': 'map', 'swig-hoi': 'full'}  # the first figure of each


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
    if vocabulary.id == 'v-coco':
        return _v_coco(images, predictions, vocabulary)
    benchmark = SwigHoi(images) if vocabulary.id == 'swig-hoi' else HicoDet(images, unseen=unseen)
    figures = benchmark.outcome(benchmark.rank(predictions), f1_threshold=0.5).figures
    return {name: value for name, value in figures.items() if name not in _OF_A_THRESHOLD}


_OF_A_THRESHOLD = ('mf1', 'mprec', 'mrec', 'f1_threshold')  # chosen when a run has ended


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
