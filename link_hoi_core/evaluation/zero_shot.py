"""Zero-shot figures: means over unseen and over seen classes (spec section 10)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from link_hoi_core.evaluation.average_precision import mean_of


@dataclass(frozen=True)
class ZeroShotFigures:
    """AP in percent; `hm` is the harmonic mean of the other two, 2 US / (U + S)."""

    unseen: float
    seen: float
    hm: float


def zero_shot_figures(per_class_ap: np.ndarray, unseen: np.ndarray) -> ZeroShotFigures:
    """Mean AP over the HOI ids `unseen` and over all others, of the AP (H,) of each class."""
    mask = np.zeros(len(per_class_ap), bool)
    mask[unseen] = True
    u, s = mean_of(per_class_ap[mask]), mean_of(per_class_ap[~mask])
    return ZeroShotFigures(u, s, 2 * u * s / (u + s) if u + s else 0.0)
