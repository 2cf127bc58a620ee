"""Who takes part, and how scored pairs become triplets: what every predictor shares."""

from __future__ import annotations

import numpy as np

from link_hoi_core.geometry import box_area
from link_hoi_core.model.scene import clamp_boxes
from link_hoi_core.selection import select_detections
from link_hoi_core.structures import Detections, Interactions
from link_hoi_core.vocabulary import Vocabulary


def choose_detections(detections: Detections, vocabulary: Vocabulary, select: bool) -> np.ndarray:
    """Rows (K,) of the detections that take part: in view, and known to the vocabulary.

    Args:
        select: apply LINK's selection as well (NMS, 3 to 15 humans and objects).

    Raises:
        ValueError: a label is outside the vocabulary.
    """
    objects = len(vocabulary.objects)
    if (detections.labels >= objects).any():
        raise ValueError(
            f'label {detections.labels.max()} is outside the vocabulary '
            f'{vocabulary.id} of {objects} objects'
        )
    in_view = box_area(clamp_boxes(detections)) > 0
    rows = np.flatnonzero(in_view & (detections.labels >= 0))
    if not select:
        return rows
    return rows[select_detections(detections.take(rows), vocabulary.person)]


def rank_interactions(
    pairs: np.ndarray,
    verb_scores: np.ndarray,
    scores: np.ndarray,
    wanted: np.ndarray,
    limit: int | None,
) -> Interactions:
    """One image's triplets by falling score.

    Args:
        pairs: (M, 2) rows of human and object, which the triplets keep.
        verb_scores, scores: (M, V), without and with the detector's confidence.
        wanted: (M, V) bool; the others are left out.
        limit: the most triplets, best first; None = all.
    """
    cells = np.flatnonzero(wanted)
    cells = cells[np.argsort(-scores.ravel()[cells], kind='stable')][:limit]
    pair, verb = np.divmod(cells, wanted.shape[1])
    human, object_ = pairs[pair].T
    return Interactions(human, object_, verb, scores.ravel()[cells], verb_scores.ravel()[cells])
