"""The figures of a benchmark by name, whichever vocabulary it has: what a training run watches."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from link_hoi_core.data.annotated_image import AnnotatedImage
from link_hoi_core.evaluation.hico_det import HicoDet
from link_hoi_core.evaluation.outcome import evaluate
from link_hoi_core.evaluation.pairs import ScoredPairs
from link_hoi_core.evaluation.swig_hoi import SwigHoi
from link_hoi_core.evaluation.v_coco import VCoco
from link_hoi_core.vocabulary import Vocabulary

# V-COCO's AP_role needs more than annotated pairs: who does something without an object.
_WATCHED = {
    'hico-det': ('full', 'rare', 'non_rare', 'unseen', 'seen', 'hm'),
    'v-coco': ('map',),
    'swig-hoi': ('full', 'non_rare', 'rare', 'novel'),
}
HEADLINES = {name: figures[0] for name, figures in _WATCHED.items()}


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
        benchmark = HicoDet(images, unseen=unseen)
    else:
        benchmark = {'v-coco': VCoco, 'swig-hoi': SwigHoi}[vocabulary.id](images)
    figures = evaluate(benchmark, [predictions], f1_threshold=0.5).figures
    return {name: figures[name] for name in _WATCHED[vocabulary.id] if name in figures}
