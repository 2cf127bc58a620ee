"""The boxes that a model is given in an evaluation, and its interactions among them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from link_hoi_core.data.annotated_image import AnnotatedImage
from link_hoi_core.data.hico_det import ground_truth_detections
from link_hoi_core.data.image_folder import ImageFolder
from link_hoi_core.data.recorded import find_recorded
from link_hoi_core.evaluation.pairs import ScoredPairs, predicted_pairs
from link_hoi_core.evaluation.remarks import Remarks
from link_hoi_core.predictor import HoiPredictor
from link_hoi_core.progress import progress
from link_hoi_core.structures import Detections
from link_hoi_core.vocabulary import Vocabulary

_PART = 2048  # images whose pairs make one part, unless
_MOST = 1_000_000  # pairs, about 50 MB, are reached before
_BATCH = 1024  # images whose interactions are held as objects at once
_PICTURES = 64  # images whose pixels are held at once


def ground_truth_boxes(images: Sequence[AnnotatedImage]) -> list[Detections | None]:
    """The annotated boxes of each image, merged (`ground_truth_detections`); None without pairs.

    Labels are those of the annotations; for a model of another data set see
    `cross_domain.as_source`.

    Raises:
        ValueError: an image with pairs has no size, see `annotated_image.with_sizes`.
    """
    return [ground_truth_detections(image) if len(image.hoi) else None for image in images]


def recorded_boxes(
    path: str | Path, images: Sequence[AnnotatedImage], vocabulary: Vocabulary, remarks: Remarks
) -> list[Detections | None]:
    """The recorded detections of each image; None for one that the file lacks, which is noted.

    Args:
        vocabulary: the model's, whose objects the labels are; other objects get the label -1.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is malformed, or of other images; one sentence.
    """
    found, unknown = find_recorded(path, images, vocabulary)
    for image, boxes in zip(images, found):
        if boxes is None:
            remarks.note(f'images that {path} lacks, which so have no boxes', image.file_name)
    for name in unknown:
        remarks.note(f'images of {path} that are not in the annotations, left out', name)
    return found


def predict_boxes(
    predictor: HoiPredictor,
    detections: Sequence[Detections | None],
    names: Sequence[str],
    folder: ImageFolder | None = None,
    reported: Sequence[Detections | None] | None = None,
) -> Iterator[ScoredPairs]:
    """A model's interactions among given boxes, in parts of whole images.

    With a predictor made with `select=False` every pair of boxes is scored with every verb that is
    valid for its object, as the ground-truth-box protocol asks.

    Args:
        predictor: its vocabulary is that of the labels; `ScoredPairs.hoi` counts in its classes.
        detections: of each image; one without boxes gives nothing, and no picture is opened.
        names: of the pictures; item i of both belongs to image i.
        folder: where the pictures are; not opened for a model without a backbone.
        reported: the detections whose boxes the pairs have, row by row, where these are others
            than the model sees (`perturbation.perturb_all`).

    Raises:
        ValueError: the predictor needs pixels and there is no folder, or a picture is unreadable
            or of another size than its boxes say.
        FileNotFoundError: a picture is not there.
    """
    folder = folder if predictor.needs_image else None
    reported = detections if reported is None else reported
    most = _BATCH if folder is None else _PICTURES
    with_boxes = [index for index, boxes in enumerate(detections) if boxes]
    with (
        ThreadPoolExecutor() as pool,  # Pillow decodes without holding the interpreter's lock
        progress('predicting', len(with_boxes)) as show,
    ):
        part: list[ScoredPairs] = []
        held = 0
        for start in range(0, len(with_boxes), most):
            batch = with_boxes[start : start + most]
            seen = [detections[index] for index in batch]
            pictures = folder and list(pool.map(folder.read, (names[i] for i in batch)))
            for index, found in zip(batch, predictor.predict_batch(seen, pictures)):
                pairs = predicted_pairs(index, reported[index], found, predictor.vocabulary)
                part.append(pairs)
                held += len(pairs)
                if len(part) == _PART or held >= _MOST:
                    yield ScoredPairs.concatenate(part)
                    part, held = [], 0
            show(start + len(batch))
        if part:
            yield ScoredPairs.concatenate(part)


def predict_ground_truth_boxes(
    predictor: HoiPredictor, images: Sequence[AnnotatedImage], folder: ImageFolder | None = None
) -> ScoredPairs:
    """All at once: `predict_boxes` on `ground_truth_boxes` of the predictor's own data set."""
    boxes = ground_truth_boxes(images)
    names = [image.file_name for image in images]
    return ScoredPairs.concatenate(predict_boxes(predictor, boxes, names, folder))
