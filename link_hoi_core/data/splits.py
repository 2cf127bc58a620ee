"""What is left of a training set in the zero-shot and few-shot settings (spec sections 12, 13)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from link_hoi_core.data.hico_det import MERGE_IOU, AnnotatedImage
from link_hoi_core.geometry import box_iou
from link_hoi_core.vocabulary import Vocabulary, zero_shot_split

#: 'pair' drops the unseen labels (CMMP, ADA-CM); 'all-labels' drops every label of a pair that has
#: an unseen one (GEN-VLKT).
ZERO_SHOT_CONVENTIONS = ('pair', 'all-labels')


@dataclass(frozen=True)
class SettingConfig:
    """Which annotations a training run may see.

    Attributes:
        split: a zero-shot split, whose unseen classes are kept from it; None = none is.
        convention: what is dropped with an unseen label, one of `ZERO_SHOT_CONVENTIONS`.
        shots: labels of each class, drawn by the run's seed; None = all. A class is an interaction,
            but a verb in V-COCO.
    """

    split: str | None = None
    convention: str = 'pair'
    shots: int | None = None

    def __post_init__(self) -> None:
        if self.split is not None:
            zero_shot_split(self.split)  # says which there are
        if self.convention not in ZERO_SHOT_CONVENTIONS:
            known = ', '.join(ZERO_SHOT_CONVENTIONS)
            raise ValueError(f'setting.convention is {self.convention!r}, expected one of {known}')
        if self.shots is not None and self.shots < 1:
            raise ValueError(f'setting.shots is {self.shots}, expected 1 or more')

    @property
    def limited(self) -> bool:
        """Whether anything is kept from the run."""
        return self.split is not None or self.shots is not None

    @property
    def unseen(self) -> np.ndarray:
        """HOI ids (U,) that are kept from the run."""
        return np.zeros(0, np.int64) if self.split is None else zero_shot_split(self.split)

    def __str__(self) -> str:
        """'fully supervised', 'zero-shot RF-UC (pair)', '4-shot', or both of the latter."""
        parts = [] if self.split is None else [f'zero-shot {self.split} ({self.convention})']
        parts += [] if self.shots is None else [f'{self.shots}-shot']
        return ', '.join(parts) or 'fully supervised'


def training_set(
    images: Sequence[AnnotatedImage], setting: SettingConfig, seed: int, classes: str = 'hoi'
) -> tuple[list[AnnotatedImage], list[AnnotatedImage] | None]:
    """The images with what the setting leaves of their pairs, in order.

    Args:
        classes: as of `draw_shots`.

    Returns:
        the images, and, where shots are drawn, the same images with the pairs that were not drawn.
    """
    left = list(images)
    if setting.split is not None:
        left = training_pairs(left, setting.unseen, setting.convention)
    return (left, None) if setting.shots is None else draw_shots(left, setting.shots, seed, classes)


def training_pairs(
    images: Sequence[AnnotatedImage], unseen: np.ndarray, convention: str = 'pair'
) -> list[AnnotatedImage]:
    """The images without their unseen pairs; those that are left without any are dropped.

    Args:
        unseen: HOI ids, as of `vocabulary.zero_shot_split`.
        convention: one of `ZERO_SHOT_CONVENTIONS`. Labels belong to one pair where both boxes are
            the same but for the annotators' hands, as in `hico_det.ground_truth_detections`.
    """
    left = []
    for image in images:
        dropped = np.isin(image.hoi, unseen)
        if convention == 'all-labels' and dropped.any():
            dropped = _of_one_pair(image)[dropped].any(axis=0)
        if not dropped.all():  # also true of an image without pairs
            left.append(_take(image, ~dropped))
    return left


def seen_verbs(vocabulary: Vocabulary, unseen: np.ndarray) -> np.ndarray:
    """Verbs that go with each object by its seen classes only: (O, V) bool.

    It is the table of training; at test every class counts, so the vocabulary's own is used.
    """
    valid = vocabulary.valid.copy()
    verb, object_ = vocabulary.hois[unseen].T
    valid[object_, verb] = False
    return valid


def draw_shots(
    images: Sequence[AnnotatedImage], shots: int, seed: int, classes: str = 'hoi'
) -> tuple[list[AnnotatedImage], list[AnnotatedImage]]:
    """Draw `shots` pairs of each class, or all of one that has fewer.

    Args:
        classes: 'hoi', or 'verb' for V-COCO, whose classes are its 24 actions (spec section 13).

    Returns:
        the images that have a drawn pair, with those only; and the same images with the others,
        which are known to be true and so must not count as negatives.
    """
    counts = [len(image.hoi) for image in images]
    labels = np.concatenate([np.zeros(0, np.int64), *(getattr(i, classes) for i in images)])
    drawn = np.zeros(len(labels), bool)
    random = np.random.default_rng(seed)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        drawn[random.choice(rows, min(shots, len(rows)), replace=False)] = True
    masks = np.split(drawn, np.cumsum(counts)[:-1])
    kept = [(image, mask) for image, mask in zip(images, masks) if mask.any()]
    learnt = [_take(image, mask) for image, mask in kept]
    return learnt, [_take(image, ~mask) for image, mask in kept]


def _of_one_pair(image: AnnotatedImage) -> np.ndarray:
    """(P, P) bool, both boxes overlap by IoU >= 0.5 and the object's class is the same."""
    human = box_iou(image.boxes_h, image.boxes_h)
    object_ = box_iou(image.boxes_o, image.boxes_o)
    same_class = image.object == image.object[:, None]
    return (np.minimum(human, object_) >= MERGE_IOU) & same_class


def _take(image: AnnotatedImage, rows: np.ndarray) -> AnnotatedImage:
    """The image with the pairs at `rows` (P,) bool."""
    of_the_image = ('file_name', 'size', 'id')
    columns = [field.name for field in fields(image) if field.name not in of_the_image]
    return replace(image, **{name: getattr(image, name)[rows] for name in columns})
