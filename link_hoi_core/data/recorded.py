"""Recorded detections: what a detector found in each image of a set or frame of a video, as JSON.

`{"classes": [name, ...], "images": [{"file_name", "width", "height",
"dets": [[x1, y1, x2, y2, score, class], ...]}, ...]}`; boxes are xyxy in pixels of the original
image, 0-based continuous; `class` indexes `classes`. Training, evaluation and the demo read it.
Beside the lists there may be a "detector": the name and the settings that it was made with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from link_hoi_core.data.annotated_image import AnnotatedImage
from link_hoi_core.data.json_files import read_json, write_json
from link_hoi_core.structures import Detections
from link_hoi_core.vocabulary import Vocabulary

COLUMNS = 6  # x1, y1, x2, y2, score, class


@dataclass(frozen=True)
class RecordedImage:
    """The detections of one image; of a video, `file_name` is '<video>/<frame index>'."""

    file_name: str
    detections: Detections


def read_recorded(path: str | Path, vocabulary: Vocabulary) -> list[RecordedImage]:
    """Read every image of a file of recorded detections, in the file's order.

    Class names are looked up in the vocabulary, synonyms included. Objects that it lacks get the
    label -1; `Detections.names` has the detector's own name of every object.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is malformed, or a box lies wholly outside its image; one sentence.
    """
    content = read_json(path)
    classes, images = _lists(path, content)
    labels = [vocabulary.object_index(name) for name in classes]
    table = np.array([-1 if label is None else label for label in labels], np.int64)
    return [_image(f'{path}: image {i}', image, classes, table) for i, image in enumerate(images)]


def find_recorded(
    path: str | Path, images: Sequence[AnnotatedImage], vocabulary: Vocabulary
) -> tuple[list[Detections | None], list[str]]:
    """The recorded detections of annotated images, and the names that no image has.

    An image is found by its file name, or by the last part of it; one that the file lacks has
    None.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is malformed, has an image twice or one of another size; one sentence.
    """
    found: dict[str, Detections] = {}
    for image in read_recorded(path, vocabulary):
        if image.file_name in found:
            raise ValueError(f'{path}: the image {image.file_name!r} comes twice')
        found[image.file_name] = image.detections
    names = [image.file_name for image in images]
    names = [name if name in found else Path(name).name for name in names]
    each = [found.get(name) for name in names]
    for image, detections in zip(images, each):
        if detections is not None and image.size not in (None, detections.image_size):
            (height, width), (h, w) = image.size, detections.image_size
            raise ValueError(
                f'{image.file_name} is {width} x {height} pixels, its detections in {path} are of '
                f'an image of {w} x {h}'
            )
    known = set(names)
    return each, [name for name in found if name not in known]


def recorded_detector(path: str | Path) -> str | None:
    """The name of the detector that made a file; None where it does not say.

    Raises:
        FileNotFoundError, ValueError: there is no such file, or it is malformed.
    """
    content = read_json(path)
    _lists(path, content)
    made_by = content.get('detector')
    return made_by.get('detector') if isinstance(made_by, dict) else None


def write_recorded(
    path: str | Path, images: Sequence[RecordedImage], classes: Sequence[str]
) -> None:
    """Write detections whose labels index `classes`, boxes to 0.1 pixel and scores to 0.0001."""
    entries = [_entry(image, image.detections.labels.tolist()) for image in images]
    write_json(path, {'classes': list(classes), 'images': entries})


def named_entry(image: RecordedImage) -> dict[str, Any]:
    """What a file says of one image, but with `Detections.names` in place of class numbers.

    Its numbers are rounded as in the file, so that it may be kept as JSON meanwhile.

    Raises:
        ValueError: the detections have no names.
    """
    if image.detections.names is None:
        raise ValueError(f'{image.file_name}: the detections have no names')
    return _entry(image, image.detections.names)


def write_named(
    path: str | Path, entries: Sequence[dict[str, Any]], detector: dict[str, Any]
) -> None:
    """Write entries as of `named_entry`, in the order of their file names.

    The classes are the names that occur, in alphabetical order, so that the same images give the
    same file whichever way they came together.

    Args:
        detector: what made them; kept beside 'classes' and 'images', for `merge_recorded`.
    """
    classes = sorted({row[-1] for entry in entries for row in entry['dets']})
    number = {name: index for index, name in enumerate(classes)}
    images = [
        {**entry, 'dets': [[*row[:-1], number[row[-1]]] for row in entry['dets']]}
        for entry in sorted(entries, key=lambda entry: entry['file_name'])
    ]
    write_json(path, {'detector': detector, 'classes': classes, 'images': images})


def merge_recorded(paths: Sequence[str | Path], output: str | Path) -> list[dict[str, Any]]:
    """Write the images of several files that one detector made as one file.

    Returns:
        the merged images, as of `named_entry`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a file is malformed, an image comes twice, or the files were not made by the
            same detector with the same settings.
    """
    entries: dict[str, dict[str, Any]] = {}
    detectors = []
    for path in paths:
        content = read_json(path)
        classes, images = _lists(path, content)
        detectors.append(content.get('detector', {}))
        if detectors[-1] != detectors[0]:
            raise ValueError(
                f'{path} was made with {detectors[-1]}, but {paths[0]} with {detectors[0]}'
            )
        for i, image in enumerate(images):
            read = _image(f'{path}: image {i}', image, classes, np.arange(len(classes)))
            if read.file_name in entries:
                raise ValueError(f'{path}: the image {read.file_name!r} comes twice')
            entries[read.file_name] = named_entry(read)
    write_named(output, list(entries.values()), detectors[0])
    return list(entries.values())


def _entry(image: RecordedImage, classes: Sequence[int | str]) -> dict[str, Any]:
    """An image's JSON, with the classes of its detections."""
    found = image.detections
    height, width = found.image_size
    rows = [
        [round(x, 1) for x in box] + [round(score, 4), class_]
        for box, score, class_ in zip(found.boxes.tolist(), found.scores.tolist(), classes)
    ]
    return {'file_name': image.file_name, 'width': width, 'height': height, 'dets': rows}


def _lists(path: str | Path, content: Any) -> tuple[list[str], list[Any]]:
    """The classes and the images of a parsed file."""
    if not isinstance(content, dict) or not all(
        isinstance(content.get(key), list) for key in ('classes', 'images')
    ):
        raise ValueError(
            f'{path}: not a file of recorded detections: expected an object with the lists '
            f"'classes' and 'images'"
        )
    if not all(isinstance(name, str) for name in content['classes']):
        raise ValueError(f"{path}: 'classes' holds something else than names")
    return content['classes'], content['images']


def _image(where: str, entry: Any, classes: list[str], table: np.ndarray) -> RecordedImage:
    keys = {'file_name': str, 'width': int, 'height': int, 'dets': list}
    for key, kind in keys.items():
        if not isinstance(entry, dict) or not isinstance(entry.get(key), kind):
            raise ValueError(f'{where}: expected {key!r} to be of type {kind.__name__}')
    try:
        rows = np.array(entry['dets'] or np.zeros((0, COLUMNS)), dtype=np.float64)
    except (TypeError, ValueError):
        rows = np.zeros(0)
    if rows.ndim != 2 or rows.shape[1] != COLUMNS:
        raise ValueError(
            f"{where}: 'dets' has rows other than [x1, y1, x2, y2, score, class] of numbers"
        )
    ids = rows[:, 5].astype(np.int64)
    if not (np.isfinite(rows[:, 5]) & (ids == rows[:, 5]) & (0 <= ids) & (ids < len(table))).all():
        raise ValueError(f"{where}: a class is not an index into the {len(table)} 'classes'")
    size = (entry['height'], entry['width'])
    names = tuple(classes[i] for i in ids)
    try:
        found = Detections(rows[:, :4], rows[:, 4], table[ids], size, names=names)
    except ValueError as error:
        raise ValueError(f'{where}: {error}') from error
    outside = (found.boxes[:, 2:] <= 0) | (found.boxes[:, :2] >= (size[1], size[0]))
    if outside.any():
        row = int(np.flatnonzero(outside.any(axis=1))[0])
        raise ValueError(
            f'{where}: box {row} {found.boxes[row].tolist()} lies outside the image of '
            f'{size[1]} x {size[0]} pixels (recorded at another size?)'
        )
    return RecordedImage(entry['file_name'], found)
