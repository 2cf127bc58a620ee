"""What a data set of human-object interactions is made of: counts, long tail, boxes (Figure 5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from link_hoi_core.data.annotated_image import AnnotatedImage
from link_hoi_core.evaluation.plots import picture
from link_hoi_core.vocabulary import Vocabulary

FEW = 10  # pairs: a class with fewer is rare (HICO-DET's rule)
SMALL, LARGE = 32, 96  # side in pixels of a square of the same area, as COCO divides boxes
SIDE_TICKS = (8, 16, SMALL, 64, LARGE, 256, 512)
SIDES = np.geomspace(4, 1024, 33)
MOST_PAIRS = 30  # an image with more counts with these in the histogram


@dataclass(frozen=True)
class Statistics:
    """Of one annotation file; a pair is one annotated (human, object, verb).

    Attributes:
        name: of the file, for tables and legends.
        images: all that the file lists.
        pairs_of_image: (images,) int64.
        pairs_of_class: (H,) int64, of each HOI class of the vocabulary.
        pairs_of_object, pairs_of_verb: (O,) and (V,) int64.
        human_sides, object_sides: (pairs,) float32, square root of each box's area in pixels; a
            person in two pairs counts twice.
    """

    name: str
    images: int
    pairs_of_image: np.ndarray
    pairs_of_class: np.ndarray
    pairs_of_object: np.ndarray
    pairs_of_verb: np.ndarray
    human_sides: np.ndarray
    object_sides: np.ndarray


@dataclass(frozen=True)
class Summary:
    """Statistics in numbers that fit a table; shares in [0, 1].

    Attributes:
        classes, objects, verbs: that are annotated at least once, of so many in the vocabulary.
        few: classes annotated, but fewer than `FEW` times.
        head_share: pairs that belong to the most frequent tenth of the vocabulary's classes.
        mean_pairs, median_pairs, most_pairs: of the images with pairs.
        human_small, object_small, human_large, object_large: boxes of less than 32 x 32 pixels,
            and of at least 96 x 96.
    """

    images: int
    images_with_pairs: int
    pairs: int
    classes: tuple[int, int]
    objects: tuple[int, int]
    verbs: tuple[int, int]
    few: int
    head_share: float
    mean_pairs: float
    median_pairs: float
    most_pairs: int
    human_small: float
    human_large: float
    object_small: float
    object_large: float


def statistics(name: str, images: Sequence[AnnotatedImage], vocabulary: Vocabulary) -> Statistics:
    """Count the annotations of one file, of which there may be none."""
    ids = [np.zeros(0, np.int64)]
    boxes = [np.zeros((0, 4), np.float32)]
    hoi = np.concatenate(ids + [image.hoi for image in images])
    verb, object_ = vocabulary.hois[hoi].T
    return Statistics(
        name,
        len(images),
        np.array([len(image.hoi) for image in images], np.int64),
        np.bincount(hoi, minlength=len(vocabulary.hois)),
        np.bincount(object_, minlength=len(vocabulary.objects)),
        np.bincount(verb, minlength=len(vocabulary.verbs)),
        _sides(np.concatenate(boxes + [image.boxes_h for image in images])),
        _sides(np.concatenate(boxes + [image.boxes_o for image in images])),
    )


def summarise(found: Statistics) -> Summary:
    """The numbers of a table."""
    per_image = found.pairs_of_image[found.pairs_of_image > 0]
    per_class = np.sort(found.pairs_of_class)[::-1]
    pairs = int(per_class.sum())
    head = per_class[: -(-len(per_class) // 10)].sum()
    return Summary(
        found.images,
        len(per_image),
        pairs,
        *(
            (int((counts > 0).sum()), len(counts))
            for counts in (found.pairs_of_class, found.pairs_of_object, found.pairs_of_verb)
        ),
        int(((per_class > 0) & (per_class < FEW)).sum()),
        float(head / max(pairs, 1)),
        float(per_image.mean()) if pairs else 0.0,
        float(np.median(per_image)) if pairs else 0.0,
        int(per_image.max(initial=0)),
        *(
            float(share.mean()) if pairs else 0.0
            for sides in (found.human_sides, found.object_sides)
            for share in (sides < SMALL, sides >= LARGE)
        ),
    )


def statistics_table(files: Sequence[Statistics]) -> str:
    """One column a file."""
    columns = [['', *ROWS], *([found.name, *_cells(summarise(found))] for found in files)]
    widths = [max(map(len, column)) for column in columns]
    lines = []
    for first, *rest in zip(*columns):
        cells = [cell.rjust(width) for cell, width in zip(rest, widths[1:])]
        lines.append('   '.join([first.ljust(widths[0]), *cells]).rstrip())
    return '\n'.join(lines)


def statistics_json(found: Statistics, vocabulary: Vocabulary) -> dict[str, Any]:
    """The summary, and the pairs of every class, object and verb by name."""
    lists = {
        'pairs_of_class': (vocabulary.hoi_names, found.pairs_of_class),
        'pairs_of_object': (vocabulary.objects, found.pairs_of_object),
        'pairs_of_verb': (vocabulary.verbs, found.pairs_of_verb),
    }
    # Pairs of a name and a number: 36 of SWiG-HOI's objects share their name with another.
    named = {
        key: [[name, int(count)] for name, count in zip(*columns)] for key, columns in lists.items()
    }
    per_image = np.bincount(found.pairs_of_image).tolist()
    return {'file': found.name} | asdict(summarise(found)) | {'images_by_pairs': per_image} | named


def draw_statistics(path: Path, files: Sequence[Statistics]) -> None:
    """Long tail, pairs an image and box sizes of all files, each file in its colour."""
    with picture(path, 10, 7) as figure:
        (tail, images), (humans, objects) = figure.subplots(2, 2)
        bins = np.arange(1, MOST_PAIRS + 2) - 0.5
        for found in files:
            ranked = np.sort(found.pairs_of_class[found.pairs_of_class > 0])[::-1]
            tail.plot(np.arange(1, len(ranked) + 1), ranked, label=found.name)
            per_image = found.pairs_of_image[found.pairs_of_image > 0].clip(max=MOST_PAIRS)
            _steps(images, per_image, bins)
            _steps(humans, found.human_sides, SIDES)
            _steps(objects, found.object_sides, SIDES)
        tail.axhline(FEW, color='black', linewidth=0.8, linestyle=':')
        tail.text(1, 0.9 * FEW, f'fewer than {FEW}', va='top', fontsize=8)
        tail.set(xscale='log', yscale='log', title='Long tail')
        tail.set(xlabel='class, by rank', ylabel='pairs')
        images.set(title='Pairs an image', xlabel='pairs', ylabel='% of the images with pairs')
        ticks = [1, *range(5, MOST_PAIRS + 1, 5)]
        images.set_xticks(ticks, [*map(str, ticks[:-1]), f'{MOST_PAIRS} or more'])
        for axes, what in ((humans, 'Human'), (objects, 'Object')):
            axes.set(xscale='log', title=f'{what} boxes', ylabel='% of the pairs')
            axes.set(xlabel='square root of the area in pixels')
            axes.set_xticks(SIDE_TICKS, map(str, SIDE_TICKS))
            axes.minorticks_off()
        figure.legend(*tail.get_legend_handles_labels(), loc='outside upper center', ncols=2)


ROWS = (
    'images',
    'with pairs',
    'pairs (human, object, verb)',
    'HOI classes annotated',
    'objects annotated',
    'verbs annotated',
    f'classes with 1 to {FEW - 1} pairs',
    'pairs in the top tenth of classes (%)',
    'pairs an image with pairs, mean',
    'median',
    'most',
    f'human boxes below {SMALL} x {SMALL} (%)',
    f'human boxes from {LARGE} x {LARGE} (%)',
    f'object boxes below {SMALL} x {SMALL} (%)',
    f'object boxes from {LARGE} x {LARGE} (%)',
)


def _cells(summary: Summary) -> list[str]:
    """In the order of `ROWS`."""
    shares = ('head_share', 'human_small', 'human_large', 'object_small', 'object_large')
    cells = []
    for key, value in asdict(summary).items():
        if key in shares:
            cells.append(f'{100 * value:.1f}')
        elif isinstance(value, tuple):
            cells.append(f'{value[0]:,} of {value[1]:,}')
        else:
            cells.append(f'{value:,.1f}' if isinstance(value, float) else f'{value:,}')
    return cells


def _sides(boxes: np.ndarray) -> np.ndarray:
    return np.sqrt((boxes[:, 2:] - boxes[:, :2]).prod(axis=1))


def _steps(axes: Any, values: np.ndarray, bins: np.ndarray) -> None:
    """A histogram in percent of the values, as an outline, so that several can be told apart."""
    counts, _ = np.histogram(values.clip(bins[0], bins[-1]), bins)
    axes.stairs(100 * counts / max(len(values), 1), bins, linewidth=1.4)
