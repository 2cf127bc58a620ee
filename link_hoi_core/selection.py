"""Which detections take part: the region proposals of LINK (spec section 1)."""

from __future__ import annotations

import numpy as np

from link_hoi_core.geometry import class_wise_nms
from link_hoi_core.structures import Detections

NMS_IOU = 0.5
SCORE_THRESHOLD = 0.05
FEWEST = 3
MOST = 15


def select_detections(detections: Detections, person: int) -> np.ndarray:
    """At most 15 humans and 15 objects, and 3 of each even where the scores are low.

    After class-wise NMS, humans with a score of at least 0.05 are kept; if fewer than 3 are, the
    3 best whatever their scores; if more than 15, the 15 best. Objects, separately, the same.

    Args:
        detections: what the detector found.
        person: the label of a human.

    Returns:
        (K,) int64 rows of `detections`, humans first, each part by falling score.
    """
    is_human = detections.labels == person
    return np.concatenate(
        [_best(detections, np.flatnonzero(is_human)), _best(detections, np.flatnonzero(~is_human))]
    )


def _best(detections: Detections, rows: np.ndarray) -> np.ndarray:
    boxes = detections.boxes[rows]
    scores, labels = detections.scores[rows], detections.labels[rows]
    kept = class_wise_nms(boxes, scores, labels, NMS_IOU, limit=MOST)
    confident = int((scores[kept] >= SCORE_THRESHOLD).sum())
    return rows[kept[: max(confident, FEWEST)]]
