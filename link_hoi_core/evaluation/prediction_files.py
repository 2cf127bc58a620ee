"""Prediction files of HICO-DET, V-COCO and SWiG-HOI, read into arrays and written.

`{"images": [{"file_name", "dets": [[hx1,hy1,hx2,hy2, ox1,oy1,ox2,oy2, class, score], …]}]}`, boxes
0-based continuous in pixels of the original image; gzipped if named .gz. An image of V-COCO is
named by COCO's "image_id", one of SWiG-HOI by the annotations' "img_id". The class is the HOI id of
HICO-DET and SWiG-HOI; of V-COCO it indexes "classes", the 24 "action role", which stands beside
"images", and an object box of zeros (or NaN) there means that there is no object.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np

from link_hoi_core.data.annotated_image import AnnotatedImage
from link_hoi_core.data.json_files import open_whole
from link_hoi_core.data.json_stream import stream_json
from link_hoi_core.data.v_coco import coco_id
from link_hoi_core.evaluation.pairs import ScoredPairs
from link_hoi_core.evaluation.remarks import Remarks, counted
from link_hoi_core.progress import track
from link_hoi_core.vocabulary import load_vocabulary

ROW_LENGTH = 10
_NAMED_BY = {'hico-det': 'file_name', 'v-coco': 'image_id', 'swig-hoi': 'img_id'}
_PART = 1_000_000  # rows; about 0.1 GB


def read_predictions(
    paths: Sequence[Path],
    benchmark: str,
    images: Sequence[AnnotatedImage],
    remarks: Remarks,
    classes_of: str | None = None,
) -> Iterator[ScoredPairs]:
    """Read the predictions for `images` from one file or from many, part after part.

    A part has all predictions of its images and seldom more than a million; at least one comes.
    Left out, and noted: images that are not in `images`, and rows with NaN, a box whose x2 < x1 or
    y2 < y1, or a class that there is not. Said: images without an entry, scores outside 0..1, and
    rows that come twice.

    Args:
        benchmark: of the images, which are named as its files name them.
        classes_of: the data set whose classes are predicted, where it is not the benchmark.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a file is malformed or truncated, or an image comes twice, be it in two files;
            or there is something to note, and the remarks are strict. One sentence.
    """
    reader = _Reader(benchmark, images, remarks, classes_of or benchmark)
    entries = (entry for path in paths for entry in reader.read(path))
    rows: list[tuple[int, np.ndarray]] = []
    held = 0
    for image, found in track(entries, 'reading predictions', len(images)):
        rows.append((image, found))
        held += len(found)
        if held >= _PART:
            part = _pairs(rows)
            rows, held = [], 0
            yield part
    yield _pairs(rows)
    reader.finish()


def write_predictions(
    path: Path, benchmark: str, images: Sequence[AnnotatedImage], predictions: ScoredPairs
) -> None:
    """Write an entry for each of `images`, in their order; numbers are written exactly.

    Raises:
        ValueError: the images have no id by which the benchmark's files could name them.
    """
    names = image_names(benchmark, images)
    order = np.argsort(predictions.image, kind='stable')
    bounds = np.searchsorted(predictions.image[order], np.arange(len(images) + 1))
    classes = f'"classes": {json.dumps(_v_coco_classes())}, ' if benchmark == 'v-coco' else ''
    # Image after image: the text of all takes several times the memory of the arrays.
    with open_whole(path) as file:
        file.write(f'{{{classes}"images": [')
        for index, name in enumerate(names):
            pairs = predictions.take(order[bounds[index] : bounds[index + 1]])
            entry = {_NAMED_BY[benchmark]: name, 'dets': _numbers(pairs)}
            file.write(', ' * (index > 0) + json.dumps(entry))
        file.write(']}\n')


def image_names(benchmark: str, images: Sequence[AnnotatedImage]) -> list[str | int]:
    """What a prediction file of the benchmark calls each image.

    Raises:
        ValueError: a file name of V-COCO does not end in COCO's id, or two images have one name.
    """
    if benchmark == 'hico-det':
        names = [image.file_name for image in images]
    elif benchmark == 'v-coco':
        names = [coco_id(image.file_name) for image in images]
    else:
        names = [image.file_name if image.id is None else image.id for image in images]
    (name, count) = max(Counter(names).items(), key=itemgetter(1), default=('', 0))
    if count > 1:
        raise ValueError(f'the annotations have {count} images called {name!r}')
    return names


def _numbers(pairs: ScoredPairs) -> list[list[float]]:
    """The rows of a prediction file; the inverse of `_pairs`, of one image."""
    boxes = _short(pairs.boxes_h), _short(pairs.boxes_o)
    return np.concatenate([*boxes, pairs.hoi[:, None], pairs.score[:, None]], axis=1).tolist()


def _short(values: np.ndarray) -> np.ndarray:
    """The float32 `values` as float64 of two or six decimals, where these read back the same.

    Exact ones have 17 digits, and the files twice the size.
    """
    short = values.astype(np.float64)
    for decimals in (6, 2):
        rounded = np.round(values.astype(np.float64), decimals)
        short = np.where(rounded.astype(np.float32) == values, rounded, short)
    return short


class _Reader:
    """Reads files of one benchmark; remembers which images have come."""

    def __init__(
        self, benchmark: str, images: Sequence[AnnotatedImage], remarks: Remarks, classes_of: str
    ) -> None:
        self._key = _NAMED_BY[benchmark]
        self._classes = _v_coco_classes() if classes_of == 'v-coco' else None
        self._count = len(self._classes or load_vocabulary(classes_of).hois)
        self._number = {name: i for i, name in enumerate(image_names(benchmark, images))}
        self._remarks = remarks
        self._file_of: dict[str | int, Path] = {}
        self._repeated = 0
        self._outside = 0

    def read(self, path: Path) -> Iterator[tuple[int, np.ndarray]]:
        """The number of each image that is known, and its sound rows (D, 10) of float64."""
        classes = None
        for key, value in stream_json(path, 'images'):
            if key == 'images':
                name, rows = self._entry(path, value)
                if name in self._number:
                    yield self._number[name], self._sound(f'{path}: image {name!r}', rows)
                else:
                    what = 'images that are not in the annotations, left out'
                    self._remarks.note(what, f'{name!r} of {path.name}')
            elif key == 'classes':
                classes = value
        if self._classes is not None and classes != list(self._classes):
            raise ValueError(f"{path}: 'classes' are not V-COCO's 24 pairs of an action and a role")

    def finish(self) -> None:
        """Say what only shows when all files have been read."""
        missing = [repr(name) for name in self._number if name not in self._file_of]
        if missing:
            what = 'annotated images without predictions'
            self._remarks.say(counted(what, len(missing), missing))
        if self._repeated:
            self._remarks.say(
                f'predictions that repeat one of the same image to the last digit: '
                f'{self._repeated} (at most one of them can be right)'
            )
        if self._outside:
            self._remarks.say(f'predictions with a score outside 0..1, as is: {self._outside}')

    def _entry(self, path: Path, entry: Any) -> tuple[str | int, np.ndarray]:
        """An image's name, which has not come before, and its rows."""
        if not isinstance(entry, dict) or not {self._key, 'dets'} <= entry.keys():
            raise ValueError(f"{path}: an image lacks {self._key!r} or 'dets'")
        name = entry[self._key]
        if not isinstance(name, (str, int)):
            raise ValueError(f'{path}: an image has the {self._key!r} {name!r}')
        if name in self._file_of:
            files = ' and '.join(dict.fromkeys([str(self._file_of[name]), str(path)]))
            raise ValueError(f'{files}: image {name!r} comes twice')
        self._file_of[name] = path
        return name, _rows(f'{path}: image {name!r}', entry['dets'])

    def _sound(self, where: str, rows: np.ndarray) -> np.ndarray:
        """The rows that can be evaluated; the others are noted, remarkable ones counted."""
        boxes, class_, score = rows[:, :8], rows[:, 8], rows[:, 9]
        if self._classes is not None:  # the official evaluator takes NaN for no object, too
            boxes[np.isnan(boxes[:, 4:]).all(axis=1), 4:] = 0
        finite = (np.abs(rows) < np.finfo(np.float32).max).all(axis=1)  # also false for NaN
        corners = boxes.reshape(-1, 2, 2, 2)
        inverted = finite & (corners[:, :, 1] < corners[:, :, 0]).any(axis=(1, 2))
        known = (class_ >= 0) & (class_ < self._count) & (class_ == np.floor(class_))
        self._note('predictions with a NaN or infinite number, left out', where, ~finite)
        self._note('predictions with a box of negative width or height, left out', where, inverted)
        what = f'predictions of a class other than 0..{self._count - 1}, left out'
        self._note(what, where, finite & ~known)
        keep = finite & known & ~inverted
        rows = rows if keep.all() else rows[keep]
        self._outside += int(((score < 0) | (score > 1))[keep].sum())
        self._repeated += _repeated(rows)
        return rows

    def _note(self, what: str, where: str, bad: np.ndarray) -> None:
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            self._remarks.note(what, f'{where}, row {row}', int(bad.sum()))


def _rows(where: str, dets: Any) -> np.ndarray:
    """The rows of one image as an array (D, 10) of float64."""
    expected = f'{where}: expected rows of {ROW_LENGTH} numbers'
    try:
        rows = np.array(dets)
    except ValueError as error:
        raise ValueError(f'{expected} ({error})') from error
    if rows.shape == (0,):
        return np.zeros((0, ROW_LENGTH))
    if rows.ndim != 2 or rows.shape[1] != ROW_LENGTH:
        raise ValueError(f'{expected}, found an array of {rows.shape}')
    if rows.dtype.kind not in 'iuf':  # numpy would make numbers of text and of null
        raise ValueError(f'{expected}, found text, null or a whole number beyond 64 bits')
    return rows.astype(np.float64, copy=False)


def _repeated(rows: np.ndarray) -> int:
    """How many of the rows equal an earlier one in every bit."""
    key = rows.view(np.uint64) @ _MIX  # far quicker than to sort whole rows
    return len(rows) - len(np.unique(key))


_MIX = np.random.default_rng(0).integers(1 << 63, size=ROW_LENGTH, dtype=np.uint64) * 2 + 1


def _pairs(images: Sequence[tuple[int, np.ndarray]]) -> ScoredPairs:
    """The rows of some images as columns, in the same order."""
    number = np.array([image for image, _ in images], np.int32)
    length = np.array([len(rows) for _, rows in images], np.int64)
    rows = np.concatenate([np.zeros((0, ROW_LENGTH)), *(rows for _, rows in images)])
    return ScoredPairs(
        np.repeat(number, length),
        rows[:, 0:4].astype(np.float32),
        rows[:, 4:8].astype(np.float32),
        rows[:, 8].astype(np.int32),
        rows[:, 9].copy(),  # a view would keep all of `rows`
    )


def _v_coco_classes() -> tuple[str, ...]:
    return load_vocabulary('v-coco').verbs
