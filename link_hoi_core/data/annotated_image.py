"""The annotated pairs of one image, the same for every data set, and the checks of its readers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from link_hoi_core.vocabulary import Vocabulary


@dataclass(frozen=True)
class AnnotatedImage:
    """The annotated human-object pairs of one image; pair p is row p of every array.

    Boxes are xyxy in pixels of the original image, 0-based continuous. The same person or thing
    is often annotated once a pair, with the same or a slightly different box. Ids are those of the
    data set's vocabulary.
    """

    file_name: str
    size: tuple[int, int] | None  # (height, width); None where the file does not say
    boxes_h: np.ndarray  # (P, 4) float32
    boxes_o: np.ndarray  # (P, 4) float32
    hoi: np.ndarray  # (P,) int64
    object: np.ndarray  # (P,) int64
    verb: np.ndarray  # (P,) int64
    id: int | str | None = None  # SWiG-HOI's, by which its prediction files name it


def annotated_image(
    vocabulary: Vocabulary,
    file_name: str,
    size: tuple[int, int] | None,
    boxes_h: np.ndarray,
    boxes_o: np.ndarray,
    objects: np.ndarray,
    verbs: np.ndarray,
) -> AnnotatedImage:
    """An image whose HOI ids follow from its objects and verbs.

    Raises:
        ValueError: the arrays differ in length, a box lies outside the image, or the vocabulary
            has no class of a verb and its object.
    """
    if len({len(boxes_h), len(boxes_o), len(objects), len(verbs)}) != 1:
        raise ValueError('its lists differ in length')
    hoi = vocabulary.hoi_index[objects, verbs]
    if (hoi < 0).any():
        row = int(np.flatnonzero(hoi < 0)[0])
        verb, name = vocabulary.verbs[verbs[row]], vocabulary.objects[objects[row]]
        raise ValueError(f'{verb!r} with {name!r} is no class of {vocabulary.id}')
    if size is not None:
        check_inside(np.concatenate([boxes_h, boxes_o]), size)
    return AnnotatedImage(file_name, size, boxes_h, boxes_o, hoi, objects, verbs)


def with_sizes(
    images: Sequence[AnnotatedImage], sizes: Mapping[str, tuple[int, int]]
) -> list[AnnotatedImage]:
    """The images, those without a size with the one of their file name.

    Args:
        sizes: (height, width) by file name, from `ImageFolder.sizes` or `read_coco_sizes`.

    Raises:
        ValueError: some sizes are not there, or a box lies outside its image.
    """
    wanted = [image.file_name for image in images if image.size is None]
    missing = [name for name in wanted if name not in sizes]
    if missing:
        raise ValueError(
            f'no size is known of {len(missing)} of {len(wanted)} images, the first is '
            f'{missing[0]!r}'
        )
    sized = [replace(i, size=sizes[i.file_name]) if i.size is None else i for i in images]
    for image in sized:
        with named(f'image {image.file_name!r}'):
            check_inside(np.concatenate([image.boxes_h, image.boxes_o]), image.size)
    return sized


def unsized(images: Sequence[AnnotatedImage]) -> list[AnnotatedImage]:
    """Those that need a size, having pairs, and have none."""
    return [image for image in images if image.size is None and len(image.hoi)]


def with_needed_sizes(
    images: Sequence[AnnotatedImage], sizes: Mapping[str, tuple[int, int]]
) -> list[AnnotatedImage]:
    """The images, those that need a size with the one of their file name; as of `with_sizes`."""
    sized = {image.file_name: image for image in with_sizes(unsized(images), sizes)}
    return [sized.get(image.file_name, image) for image in images]


@contextmanager
def named(where: str) -> Iterator[None]:
    """Turn what goes wrong with one entry of a file into a ValueError that begins with `where`."""
    try:
        yield
    except KeyError as error:
        raise ValueError(f'{where}: {error} is missing') from error
    except (AttributeError, IndexError, OverflowError, TypeError, ValueError) as error:
        raise ValueError(f'{where}: {error}') from error


def read_boxes(rows: Any, first_pixel: int = 0) -> np.ndarray:
    """Rows x1, y1, x2, y2 as 0-based continuous boxes, (N, 4) float32.

    Args:
        first_pixel: 1 where the file has 1-based inclusive pixels: x1 and y1 move by one.

    Raises:
        ValueError: a row is not of four numbers, or a box is NaN or has no area.
    """
    boxes = np.array(rows, np.float32)
    if boxes.size == 0:
        return np.zeros((0, 4), np.float32)
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(f'expected boxes of four numbers, found an array of {boxes.shape}')
    boxes[:, :2] -= first_pixel
    sound = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)  # also false for NaN
    if not sound.all():
        raise ValueError(f'a box is NaN or has no area: {boxes[~sound][0].tolist()}')
    return boxes


def read_ids(values: Any, count: int, first: int = 0) -> np.ndarray:
    """Ids that a file counts from `first`, as 0-based ones: (N,) int64.

    Raises:
        ValueError: one is no whole number, or not among the `count` that there are.
    """
    ids = np.array(values, np.int64).reshape(-1)
    if not np.array_equal(ids, np.reshape(values, -1)):
        raise ValueError('an id is no whole number')
    if len(ids) and not (first <= ids.min() and ids.max() < first + count):
        raise ValueError(f'an id is outside {first}..{first + count - 1}')
    return ids - first


def read_size(width: Any, height: Any) -> tuple[int, int]:
    """(height, width), both at least 1."""
    size = int(height), int(width)
    if min(size) < 1:
        raise ValueError(f'its size is {width} x {height}')
    return size


def check_inside(boxes: np.ndarray, size: tuple[int, int]) -> None:
    """Refuse a box that lies wholly outside an image of (height, width); one may stick out."""
    outside = (boxes[:, 2:] <= 0) | (boxes[:, :2] >= (size[1], size[0]))
    if outside.any():
        box = boxes[outside.any(axis=1)][0].tolist()
        raise ValueError(f'box {box} lies outside the image of {size[1]} x {size[0]} pixels')
