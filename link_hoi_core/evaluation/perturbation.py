"""Boxes that are not where they should be: shifted, scaled and redundant ones (LINK A.12)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from link_hoi_core.structures import Detections

REPORTS = ('original', 'perturbed')
LEAST_SIDE = 1.0  # pixels that stay of a box
JITTER = 0.1  # of a redundant box: it keeps an IoU above 0.6 with the box that it repeats
LEAST_SCORE = 0.5  # of a redundant box, as a share of the score that it repeats


@dataclass(frozen=True)
class Perturbation:
    """How far boxes are off (LINK A.12, Table 12).

    Attributes:
        shift: delta of box-shift: the centre is uniform within delta widths and delta heights.
        scale: delta of box-scale: width and height are each multiplied by their own uniform number
            between 1 - delta and 1 + delta; the centre stays.
        copies: redundant boxes beside each box, for the predictor's NMS to drop.
        report: the boxes that the interactions are reported with: the 'original' ones, so that only
            what the model sees is off, or the 'perturbed' ones. What limits the figure of
            'perturbed' is first of all that a displaced box no longer overlaps its annotation: by a
            shift of delta = 1 only one box in sixteen keeps an IoU of 0.5, and one pair in 250. Of
            the paper's 42.93 mAP 38.05 remain there, so it must report the original ones.

    Raises:
        ValueError: a value is out of range.
    """

    shift: float = 0.0
    scale: float = 0.0
    copies: int = 0
    report: str = 'original'

    def __post_init__(self) -> None:
        for name in ('shift', 'scale'):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f'{name} is {getattr(self, name)}, expected 0 to 1')
        if self.copies < 0:
            raise ValueError(f'copies are {self.copies}, expected 0 or more')
        if self.report not in REPORTS:
            raise ValueError(f'report is {self.report!r}, expected one of {REPORTS}')


def perturb(detections: Detections, perturbation: Perturbation, seed: int, name: str) -> Detections:
    """What the model sees of an image: the boxes displaced, then the redundant ones.

    Boxes are cut at the image's border. Of one that would leave the image or vanish, a strip of one
    pixel stays, at the border where it left, so that no detection is lost. A redundant box is a
    displaced one that is shifted and scaled once more, by up to a tenth, and scores 0.5 to 1 times
    as much.

    The numbers depend on the seed and the image's name alone, not on other images, and delta only
    multiplies them: as delta grows, a box goes on in one direction.
    """
    random = np.random.default_rng([seed, *name.encode()])
    count, copies = len(detections), perturbation.copies
    directions = random.uniform(-1, 1, (count, 4))
    moved = detections
    if perturbation.shift or perturbation.scale:
        boxes = _move(detections, directions, perturbation.shift, perturbation.scale)
        moved = replace(detections, boxes=boxes)
    if not copies:
        return moved
    redundant = moved.take(_rows(count, copies - 1))
    boxes = _move(redundant, random.uniform(-1, 1, (len(redundant), 4)), JITTER, JITTER)
    scores = redundant.scores * random.uniform(LEAST_SCORE, 1, len(redundant))
    return replace(
        moved.take(_rows(count, copies)),
        boxes=np.concatenate([moved.boxes, boxes]),
        scores=np.concatenate([moved.scores, scores]),
    )


def perturb_all(
    detections: Sequence[Detections | None],
    names: Sequence[str],
    perturbation: Perturbation,
    seed: int,
) -> tuple[list[Detections | None], list[Detections | None]]:
    """What the model sees of each image, and what is reported, row by row; None stays None."""
    seen = [
        found and perturb(found, perturbation, seed, name) for found, name in zip(detections, names)
    ]
    if perturbation.report == 'perturbed':
        return seen, seen
    copies = perturbation.copies
    return seen, [found and found.take(_rows(len(found), copies)) for found in detections]


def _rows(count: int, copies: int) -> np.ndarray:
    """Rows of the boxes themselves, then, so many times, of the ones that are repeated."""
    return np.tile(np.arange(count), copies + 1)


def _move(detections: Detections, directions: np.ndarray, shift: float, scale: float) -> np.ndarray:
    """Boxes (N, 4) moved and resized by `directions` (N, 4) in [-1, 1]: x, y, width, height."""
    boxes = detections.boxes.astype(np.float64)
    size = boxes[:, 2:] - boxes[:, :2]
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2 + shift * directions[:, :2] * size
    half = size * (1 + scale * directions[:, 2:]) / 2
    height, width = detections.image_size
    border = np.array([width, height], np.float64)
    least = np.minimum(LEAST_SIDE, border)
    start = (centre - half).clip(0, border - least)
    end = np.maximum((centre + half).clip(0, border), start + least)
    return np.concatenate([start, end], axis=1)
