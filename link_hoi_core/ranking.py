"""Who takes part, and how scored pairs become triplets: what every predictor shares."""

from __future__ import annotations

import numpy as np

from link_hoi_core.geometry import box_area
from link_hoi_core.model.scene import clamp_boxes, count_pairs, list_pairs
from link_hoi_core.selection import select_detections
from link_hoi_core.structures import Detections, Interactions
from link_hoi_core.vocabulary import Vocabulary


def choose_detections(
    detections: Detections, vocabulary: Vocabulary, select: bool, max_pairs: int | None = None
) -> np.ndarray:
    """Rows (K,) of the detections that take part: in view, and known to the vocabulary.

    Args:
        select: apply LINK's selection as well (NMS, 3 to 15 humans and objects).
        max_pairs: leave out what the surest pairs of this number can do without; None = nothing.

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
    if select:
        rows = rows[select_detections(detections.take(rows), vocabulary.person)]
    if max_pairs is None or count_pairs(detections.labels[rows], vocabulary.person) <= max_pairs:
        return rows
    return rows[_of_surest_pairs(detections.take(rows), vocabulary.person, max_pairs)]


def _of_surest_pairs(detections: Detections, person: int, max_pairs: int) -> np.ndarray:
    """Mask (K,) of the detections of the surest pairs, as many as make `max_pairs` pairs at most.

    The surest pair itself is always kept.
    """
    pairs = list_pairs(detections.labels, person)
    confidence = detections.scores[pairs].prod(axis=1)
    kept = np.zeros(len(detections), bool)
    for pair in pairs[np.argsort(-confidence, kind='stable')]:
        wanted = kept.copy()
        wanted[pair] = True
        if kept.any() and count_pairs(detections.labels[wanted], person) > max_pairs:
            break
        kept = wanted
    return kept


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
