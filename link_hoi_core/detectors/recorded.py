"""Detections that are in a file already: recorded ones, and HICO-DET's annotated boxes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from link_hoi_core.data.hico_det import AnnotatedImage, ground_truth_detections, read_hico_det
from link_hoi_core.data.recorded import read_recorded
from link_hoi_core.detectors.detector import Detector, Found
from link_hoi_core.detectors.options import DetectorOptions
from link_hoi_core.structures import Detections
from link_hoi_core.vocabulary import COCO80

GROUND_TRUTH = 'ground-truth:'

#: What was found in an image, and its (height, width); None where the file does not say.
Entry = tuple[Found, tuple[int, int] | None]


def build(name: str, architecture: str, repository: str, options: DetectorOptions) -> Recorded:
    """The detections in the file `architecture`; HICO-DET's annotations if `name` says so.

    Raises:
        FileNotFoundError, ValueError: there is no such file, or it is malformed.
    """
    if name.startswith(GROUND_TRUTH):
        found = {image.file_name: _annotated(image) for image in read_hico_det(architecture)}
    else:
        recorded = read_recorded(architecture, options.vocabulary)
        found = {image.file_name: _recorded(image.detections) for image in recorded}
    return Recorded(name, architecture, found, options)


class Recorded(Detector):
    """Looks images up by their file names, with or without folders."""

    def __init__(
        self, name: str, file: str, found: dict[str, Entry], options: DetectorOptions
    ) -> None:
        """`found`: what was found by file name; `file`: where that comes from."""
        super().__init__(name, options, 0.0)
        self._file, self._found = file, found

    def find(self, images: Sequence[np.ndarray], files: Sequence[str]) -> list[Found]:
        """As of `Detector.find`.

        Raises:
            ValueError: a file is not among the recorded ones, or was recorded at another size.
        """
        return [self._look_up(image, file) for image, file in zip(images, files)]

    def _look_up(self, image: np.ndarray, file: str) -> Found:
        entry = self._found.get(file, self._found.get(Path(file).name))
        if entry is None:
            raise ValueError(f'{self._file} has no detections of the image {file!r}')
        found, size = entry
        if size not in (None, image.shape[:2]):
            (height, width), (h, w) = image.shape[:2], size
            raise ValueError(
                f'{file} is {width} x {height} pixels, its detections in {self._file} are of an '
                f'image of {w} x {h}'
            )
        return found


def _recorded(found: Detections) -> Entry:
    return Found(found.boxes, found.scores, found.names), found.image_size


def _annotated(image: AnnotatedImage) -> Entry:
    if image.size is None:  # HICO-DET gives no size of an image without pairs
        return Found(np.zeros((0, 4)), np.zeros(0), ()), None
    found = ground_truth_detections(image)
    return Found(found.boxes, found.scores, [COCO80[i] for i in found.labels]), image.size
