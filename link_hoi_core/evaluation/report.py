"""HICO-DET figures for people (a small table) and for programs (a JSON object)."""

from __future__ import annotations

from typing import Any

from link_hoi_core.evaluation.hico_det import HicoDetFigures
from link_hoi_core.vocabulary import Vocabulary


def hico_det_table(figures: HicoDetFigures) -> str:
    """Six figures in three lines; AP in percent, F1 figures as fractions."""
    f1 = figures.f1
    return (
        f'mAP (%)    Full {figures.full:6.2f}   Rare {figures.rare:6.2f}   '
        f'Non-rare {figures.non_rare:6.2f}\n'
        f'F1         mF1  {f1.mf1:6.4f}   mPrec {f1.mprec:5.4f}  mRec {f1.mrec:10.4f}\n'
        f'           of detections scored above {f1.threshold:g}'
    )


def hico_det_json(figures: HicoDetFigures, vocabulary: Vocabulary) -> dict[str, Any]:
    """The same with the keys of all figures, and the AP of each class by its name."""
    names = (f'{vocabulary.verbs[v]} {vocabulary.objects[o]}' for v, o in vocabulary.hois)
    return {
        'full': figures.full,
        'rare': figures.rare,
        'non_rare': figures.non_rare,
        'mf1': figures.f1.mf1,
        'mprec': figures.f1.mprec,
        'mrec': figures.f1.mrec,
        'f1_threshold': figures.f1.threshold,
        'per_class_ap': dict(zip(names, figures.per_class_ap.tolist())),
    }
