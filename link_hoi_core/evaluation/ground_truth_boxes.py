"""The ground-truth-box protocol: a model's interactions among the annotated boxes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from link_hoi_core.data.annotated_image import AnnotatedImage
from link_hoi_core.data.hico_det import ground_truth_detections
from link_hoi_core.data.image_folder import ImageFolder
from link_hoi_core.evaluation.pairs import ScoredPairs, predicted_pairs
from link_hoi_core.predictor import HoiPredictor

_BATCH = 1024  # images whose interactions are held as objects at once
_PICTURES = 64  # images whose pixels are held at once


def predict_ground_truth_boxes(
    predictor: HoiPredictor, images: Sequence[AnnotatedImage], folder: ImageFolder | None = None
) -> ScoredPairs:
    """Score all pairs of annotated boxes with all valid verbs; nothing is cut.

    Args:
        predictor: made with `select=False`; its vocabulary is that of the annotations.
        images: those without annotated pairs have no boxes and so give nothing.
        folder: where the pixels are; not opened for a model without.

    Raises:
        ValueError: the predictor needs pixels and there is no folder, or a picture is unreadable
            or of another size than its annotations say.
        FileNotFoundError: a picture is not there.
    """
    folder = folder if predictor.needs_image else None
    most = _BATCH if folder is None else _PICTURES

    def batches() -> Iterator[ScoredPairs]:
        with_boxes = [index for index, image in enumerate(images) if len(image.hoi)]
        for start in range(0, len(with_boxes), most):
            batch = with_boxes[start : start + most]
            detections = [ground_truth_detections(images[index]) for index in batch]
            pictures = folder and list(pool.map(folder.read, (images[i].file_name for i in batch)))
            found = predictor.predict_batch(detections, pictures)
            for index, boxes, interactions in zip(batch, detections, found):
                yield predicted_pairs(index, boxes, interactions, predictor.vocabulary)

    with ThreadPoolExecutor() as pool:  # Pillow decodes without holding the interpreter's lock
        return ScoredPairs.concatenate(batches())
