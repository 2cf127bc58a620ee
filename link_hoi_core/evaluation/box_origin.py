"""Boxes that count pixels otherwise than we do: suspected where moving them makes them fit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from link_hoi_core.data.annotated_image import AnnotatedImage
from link_hoi_core.evaluation.matching import MIN_OVERLAP
from link_hoi_core.evaluation.pairs import ScoredPairs
from link_hoi_core.geometry import box_iou

# What was written instead of 0-based continuous boxes: pixels to add to (x1, y1) and to (x2, y2).
_MOVES = {
    'counted from 1': (-1, -1),
    'counted from -1': (1, 1),
    '1-based inclusive pixels': (-1, 0),
    '0-based inclusive pixels': (0, 1),
}
_SAMPLE = 500  # images
_LEAST = 20  # images, for a suspicion
_SURE = 5  # standard errors, which chance does not reach


def origin_hint(images: Sequence[AnnotatedImage], predictions: ScoredPairs) -> str | None:
    """A sentence, if the predicted boxes overlap the annotated pairs clearly better once moved.

    Every predicted pair is held against all annotated pairs of its image, whatever their classes.
    Of those that overlap one by 0.5, moved or not, the mean overlap is compared, image by image:
    a sample of at most 500 images is enough to see a single pixel.

    Args:
        images: `predictions.image` counts in them.
    """
    overlaps = _overlaps(images, predictions)
    if len(overlaps) < _LEAST:
        return None
    gain = overlaps[:, 1:] - overlaps[:, :1]
    error = gain.std(axis=0, ddof=1) / np.sqrt(len(gain))
    best = int(gain.mean(axis=0).argmax())
    if not gain[:, best].mean() > _SURE * error[best]:
        return None
    name, (first, second) = list(_MOVES.items())[best]
    as_is, moved = overlaps.mean(axis=0)[[0, 1 + best]]
    return (
        f'the predicted boxes look {name}, expected 0-based continuous ones: with {first:+d} on '
        f'x1, y1 and {second:+d} on x2, y2 their mean overlap with the annotated pairs is '
        f'{moved:.3f} instead of {as_is:.3f}'
    )


def _overlaps(images: Sequence[AnnotatedImage], predictions: ScoredPairs) -> np.ndarray:
    """Mean overlaps (S, 1 + moves), as they are and moved, of images where anything overlaps."""
    order = np.argsort(predictions.image, kind='stable')
    bounds = np.searchsorted(predictions.image[order], np.arange(len(images) + 1))
    both = [i for i, image in enumerate(images) if len(image.hoi) and bounds[i] < bounds[i + 1]]
    moves = np.array([(0, 0), *_MOVES.values()], np.float64).repeat(2, axis=1)
    means = [np.zeros((0, len(moves)))]
    for index in both[:: max(1, -(-len(both) // _SAMPLE))]:
        pairs = predictions.take(order[bounds[index] : bounds[index + 1]])
        best = np.stack([_best_overlap(images[index], pairs, move) for move in moves])
        matched = best.max(axis=0) >= MIN_OVERLAP
        if matched.any():
            means.append(best[:, matched].mean(axis=1)[None])
    return np.concatenate(means)


def _best_overlap(image: AnnotatedImage, predictions: ScoredPairs, move: np.ndarray) -> np.ndarray:
    """(D,) the largest min(IoU of humans, IoU of objects) of each prediction."""
    humans = box_iou(predictions.boxes_h + move, image.boxes_h)
    objects = box_iou(predictions.boxes_o + move, image.boxes_o)
    return np.minimum(humans, objects).max(axis=1)
