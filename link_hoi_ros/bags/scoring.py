"""The figures of HICO-DET's rules for frames of a bag, whichever way their triplets came about."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np

from link_hoi_core.data.annotations import read_annotations
from link_hoi_core.evaluation.average_precision import mean_of
from link_hoi_core.evaluation.cross_domain import translate
from link_hoi_core.evaluation.hico_det import HicoDet
from link_hoi_core.evaluation.outcome import Outcome, evaluate
from link_hoi_core.evaluation.pairs import ScoredPairs, predicted_pairs
from link_hoi_core.evaluation.remarks import Remarks
from link_hoi_core.evaluation.sources import map_to
from link_hoi_core.structures import Detections, Interactions
from link_hoi_core.vocabulary import Vocabulary

_PICTURES = ('.png', '.jpg', '.jpeg')


class Labels:
    """The annotated frames of a bag.

    Attributes:
        images: their annotations; a `file_name` is a frame's key.
        keys: all of these.
    """

    def __init__(self, path: Path) -> None:
        """Read annotations as of HICO-DET, whose file names are keys of frames, or pictures' names.

        Raises:
            FileNotFoundError, ValueError: as of `read_annotations`, or a frame comes twice, or none
                has a pair.
        """
        self.images = [
            replace(image, file_name=_key(image.file_name))
            for image in read_annotations(path, 'hico-det')
        ]
        self.keys = {image.file_name: index for index, image in enumerate(self.images)}
        if len(self.keys) < len(self.images):
            raise ValueError(f'{path}: a frame comes twice')
        if not any(len(image.hoi) for image in self.images):
            raise ValueError(f'{path}: no pair is annotated in any frame')
        self._path = path

    def check(self, bag: Path, frames: Collection[str], remarks: Remarks) -> None:
        """Remark on annotated frames that are not among those of the bag.

        Raises:
            ValueError: none is.
        """
        missing = [key for key in self.keys if key not in frames]
        if len(missing) == len(self.keys):
            wanted, found = next(iter(self.keys), 'none'), next(iter(frames), 'none')
            raise ValueError(
                f'{self._path} annotates no frame of {bag}: its first is {wanted!r}, that of the '
                f"bag {found!r} (a frame's key is the stamp of its image, <sec>_<nanosec>)"
            )
        for key in missing:
            remarks.note('annotated frames that are not in the bag, so nothing is found', key)


class Score:
    """Takes the triplets of frames one by one, and holds them against the annotations.

    Args:
        times: how often each frame comes, as a bag played in a loop brings it.
    """

    def __init__(self, labels: Labels, remarks: Remarks, times: int = 1) -> None:
        self._labels = labels
        self._remarks = remarks
        self._benchmark = HicoDet(labels.images * times)
        self._parts: list[ScoredPairs] = []

    def add(
        self,
        key: str,
        detections: Detections,
        interactions: Interactions,
        vocabulary: Vocabulary,
        time: int = 0,
    ) -> None:
        """Take a frame's triplets; a frame that is not annotated counts nothing.

        Raises:
            ValueError: it has another size than its annotations say, or no map leads from the
                vocabulary's classes to HICO-DET's.
        """
        number = self._labels.keys.get(key)
        if number is None:
            return
        size = self._labels.images[number].size
        if size not in (None, detections.image_size):
            (height, width), (h, w) = size, detections.image_size
            raise ValueError(
                f'frame {key} is {w} x {h} pixels, but annotated as {width} x {height}'
            )
        classes = map_to(self._benchmark, vocabulary, self._remarks)
        number += time * len(self._labels.images)
        part = predicted_pairs(number, detections, interactions, vocabulary)
        self._parts.append(part if classes is None else translate(part, classes))

    def outcome(self, f1_threshold: float) -> Outcome:
        """The figures of what came; frames that did not come have found nothing.

        'annotated' is the mean AP of the classes that the annotations have: in the others a class
        that nobody shows counts with 0.
        """
        # By image, as equal scores are ranked by it; what a frame has keeps its order.
        found = ScoredPairs.concatenate(self._parts)
        found = found.take(np.argsort(found.image, kind='stable'))
        outcome = evaluate(self._benchmark, [found], f1_threshold)
        annotated = outcome.ranked.num_annotated > 0
        figures = {'annotated': mean_of(outcome.per_class_ap[annotated]), **outcome.figures}
        return replace(outcome, figures=figures, groups={'annotated': annotated, **outcome.groups})


def _key(file_name: str) -> str:
    """A frame's key, from its own name or from that of a picture which was exported."""
    path = PurePosixPath(file_name)
    return str(path.with_suffix('')) if path.suffix.lower() in _PICTURES else file_name
