"""What false positives and misses have in common: their form, and which of them are shown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from link_hoi_core.data.annotated_image import AnnotatedImage
from link_hoi_core.evaluation.outcome import Benchmark
from link_hoi_core.evaluation.pairs import ScoredPairs
from link_hoi_core.geometry import box_iou

SHOWN = 100  # mistakes of either sort
NO_ROWS = np.zeros(0, np.int64)


@dataclass(frozen=True)
class Mistake:
    """A predicted pair that is wrong, or an annotated one that was missed.

    Attributes:
        image: number of the image.
        label: its class.
        score: of the prediction; of a miss the best one it got, NaN for none.
        human, object: (4,) boxes, predicted, or annotated for a miss.
        others: of a false positive, the annotated pairs (rows of the image) that it is held
            against.
        instead: of a miss, what the pair was predicted as: classes and scores, the best first.
    """

    kind: str
    image: int
    label: int
    score: float
    human: np.ndarray
    object: np.ndarray
    others: np.ndarray = field(default_factory=lambda: NO_ROWS)
    instead: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True)
class Mistakes:
    """The worst ones, and how many of each kind there are among all that were looked at."""

    worst: list[Mistake]
    counts: dict[str, int]


def choose_worst(kind: np.ndarray, image: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Rows (at most a hundred, rising) of mistakes that stand in order, the worst first.

    They are shared evenly among the kinds, so that a rare kind is seen as well; of the same kind,
    image and class only the worst one is taken.
    """
    _, first = np.unique(np.stack([kind, image, label]), axis=1, return_index=True)
    first = np.sort(first)
    place = np.zeros(len(first), np.int64)  # within its kind
    for number in np.unique(kind[first]):
        of_kind = kind[first] == number
        place[of_kind] = np.arange(of_kind.sum())
    return np.sort(first[np.argsort(place, kind='stable')[:SHOWN]])


def count_kinds(names: Sequence[str], kind: np.ndarray) -> dict[str, int]:
    """How many mistakes are of each kind, by its name."""
    return dict(zip(names, np.bincount(kind, minlength=len(names)).tolist()))


def annotated_classes(image: AnnotatedImage, benchmark: Benchmark) -> np.ndarray:
    """The class (P,) of each annotated pair, as predictions count them: V-COCO's are verbs."""
    return image.verb if benchmark.name == 'v-coco' else image.hoi


def pair_overlap(found: ScoredPairs, image: AnnotatedImage, pairs: np.ndarray) -> np.ndarray:
    """The smaller IoU (D, K) of humans and of objects, of predictions and annotated `pairs`."""
    return np.minimum(
        box_iou(found.boxes_h, image.boxes_h[pairs]), box_iou(found.boxes_o, image.boxes_o[pairs])
    )


def by_image(image: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Each image that occurs, with its rows in their order."""
    order = np.argsort(image, kind='stable')
    numbers, starts = np.unique(image[order], return_index=True)
    yield from zip(numbers.tolist(), np.split(order, starts[1:]))
