"""HICO-DET figures as the original evaluators give them (spec sections 10 and 15).

`official` (ywchao/ho-rcnn, eval_one.m): every image and class counts, overlap at least 0.5.
`pvic` (fredzzhang/pvic, utils.py): overlap above 0.5, images without annotated pairs are skipped,
so that false positives there cost nothing.
`gen-vlkt` (YueLiao/gen-vlkt, hico_eval_triplet.py, also QPIC's and CDN's): the best 100 of each
image, numpy's recall points, classes that are not annotated do not count.
The known-object protocol is the official one's; with the others, which have none, it is our
combination.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

import numpy as np

from link_hoi_core.data.annotated_image import AnnotatedImage
from link_hoi_core.evaluation.average_precision import (
    RECALL_POINTS,
    average_precision,
    f1_at,
    mean_of,
)
from link_hoi_core.evaluation.matching import RankedDetections, match, rank_some
from link_hoi_core.evaluation.outcome import Outcome
from link_hoi_core.evaluation.pairs import ScoredPairs, annotated_pairs
from link_hoi_core.evaluation.zero_shot import zero_shot_figures
from link_hoi_core.vocabulary import load_vocabulary


@dataclass(frozen=True)
class _Convention:
    strict: bool = False  # overlap above 0.5, not at least 0.5
    skips_unannotated_images: bool = False
    skips_unannotated_classes: bool = False
    most: int | None = None  # detections of an image, best first
    recall_points: np.ndarray = field(default_factory=lambda: RECALL_POINTS)


_CONVENTIONS = {
    'official': _Convention(),
    'pvic': _Convention(strict=True, skips_unannotated_images=True),
    'gen-vlkt': _Convention(
        skips_unannotated_classes=True, most=100, recall_points=np.arange(0, 1.1, 0.1)
    ),
}
CONVENTIONS = tuple(_CONVENTIONS)


class HicoDet:
    """The `Benchmark` of HICO-DET."""

    name = 'hico-det'

    def __init__(
        self,
        images: Sequence[AnnotatedImage],
        convention: str = 'official',
        known_objects: np.ndarray | None = None,
        unseen: Sequence[int] | np.ndarray = (),
    ) -> None:
        """Take the rules that predictions are held to.

        Args:
            images: all images of the annotation file; `ScoredPairs.image` counts in them.
            convention: one of CONVENTIONS.
            known_objects: (80, images) bool, see `image_labels.read_known_objects`; predictions of
                an object in an image without it are left out (known-object protocol). None:
                default.
            unseen: HOI ids (U,) of a zero-shot setting, of which figures are wanted as well.

        Raises:
            ValueError: there is no such convention.
        """
        if convention not in CONVENTIONS:
            raise ValueError(f'convention is {convention!r}, expected one of {CONVENTIONS}')
        self.vocabulary = load_vocabulary('hico-det')
        self.images = images
        self.convention = convention
        self._rules = _CONVENTIONS[convention]
        self._known_objects = known_objects
        self._unseen = np.asarray(unseen, np.int64)
        self._annotated = annotated_pairs(images)

    def rank(self, predictions: ScoredPairs) -> dict[str, RankedDetections]:
        """Those that the convention and the protocol count, under the convention's name."""
        ranked = rank_some(
            predictions,
            self._counted(predictions),
            lambda kept: match(
                kept, self._annotated, len(self.vocabulary.hois), self._rules.strict
            ),
        )
        return {self.convention: ranked}

    def outcome(self, ranked: Mapping[str, RankedDetections], f1_threshold: float) -> Outcome:
        """'full', 'rare', 'non_rare', with unseen classes 'unseen', 'seen', 'hm', and mF1.

        A class that is not annotated in `images` counts with 0, unless the convention skips it.
        """
        by_convention = ranked[self.convention]
        ap = 100 * average_precision(by_convention, self._rules.recall_points)
        if self._rules.skips_unannotated_classes:
            ap[by_convention.num_annotated == 0] = np.nan
        rare = self.vocabulary.rare
        groups = {'rare': rare, 'non_rare': ~rare}
        figures = {'full': mean_of(ap), 'rare': mean_of(ap[rare]), 'non_rare': mean_of(ap[~rare])}
        if len(self._unseen):
            unseen = np.isin(np.arange(len(ap)), self._unseen)
            groups |= {'unseen': unseen, 'seen': ~unseen}
            figures |= asdict(zero_shot_figures(ap, self._unseen))
        figures |= f1_at(by_convention, f1_threshold, ~np.isnan(ap)).named()
        return Outcome(figures, self.vocabulary.hoi_names, ap, groups, by_convention)

    def _counted(self, predictions: ScoredPairs) -> np.ndarray:
        """(D,) bool: which predictions the convention and the protocol look at."""
        counted = np.ones(len(predictions), bool)
        if self._rules.most is not None:
            counted &= _best_of_each_image(predictions, self._rules.most)
        if self._rules.skips_unannotated_images:
            annotated = np.array([len(image.hoi) > 0 for image in self.images], bool)
            counted &= annotated[predictions.image]
        if self._known_objects is not None:
            objects = self.vocabulary.hois[predictions.hoi, 1]
            counted &= self._known_objects[objects, predictions.image]
        return counted


def _best_of_each_image(predictions: ScoredPairs, most: int) -> np.ndarray:
    """(D,) bool: the first `most` of each image by falling score; equal scores by row."""
    order = np.lexsort((-predictions.score, predictions.image))
    image = predictions.image[order]
    best = np.zeros(len(predictions), bool)
    best[order] = np.arange(len(image)) - np.searchsorted(image, image) < most
    return best
