"""The ground-truth-box protocol: a model's interactions among the annotated boxes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from link_hoi_core.data.hico_det import AnnotatedImage, ground_truth_detections
from link_hoi_core.evaluation.pairs import ScoredPairs, predicted_pairs
from link_hoi_core.predictor import HoiPredictor

_BATCH = 1024  # images whose interactions are held as objects at once


def predict_ground_truth_boxes(
    predictor: HoiPredictor, images: Sequence[AnnotatedImage]
) -> ScoredPairs:
    """Score all pairs of annotated boxes with all valid verbs; nothing is cut.

    Args:
        predictor: made with `select=False`; its vocabulary is that of the annotations.
        images: those without annotated pairs have no boxes and so give nothing.
    """

    def batches() -> Iterator[ScoredPairs]:
        with_boxes = [index for index, image in enumerate(images) if len(image.hoi)]
        for start in range(0, len(with_boxes), _BATCH):
            batch = with_boxes[start : start + _BATCH]
            detections = [ground_truth_detections(images[index]) for index in batch]
            found = predictor.predict_batch(detections)
            for index, boxes, interactions in zip(batch, detections, found):
                yield predicted_pairs(index, boxes, interactions, predictor.vocabulary)

    return ScoredPairs.concatenate(batches())
