"""HICO-DET annotations as published: the MATLAB file `anno_bbox.mat` of hico_20160224_det."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from link_hoi_core.data.annotated_image import (
    AnnotatedImage,
    annotated_image,
    named,
    read_boxes,
    read_ids,
    read_size,
)
from link_hoi_core.optional import require
from link_hoi_core.vocabulary import Vocabulary, load_vocabulary
from link_hoi_core.vocabulary.vocabulary import check_name

_SIDES = ('x1', 'y1', 'x2', 'y2')


def read_hico_mat(path: str | Path, part: str = 'train') -> list[AnnotatedImage]:
    """Read every image of one part, as `read_hico_det` does of the JSON file made from it.

    Pairs stand in the order of the image's interactions, within one in that of its connections.
    Interactions that are marked invisible have no boxes and are left out.

    Args:
        part: 'train' (38,118 images) or 'test' (9,658).

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is malformed, truncated, or another one, e.g. anno.mat; one sentence.
        ImportError: scipy is missing.
    """
    check_name(part, ('train', 'test'), 'part of HICO-DET')
    content = _load(path, f'bbox_{part}')
    vocabulary = load_vocabulary('hico-det')
    return [_image(f'{path}: image {i}', entry, vocabulary) for i, entry in enumerate(content)]


def _load(path: str | Path, name: str) -> list[Any]:
    """The structures of one variable, as dictionaries."""
    scipy_io = require('scipy.io', 'pip install scipy', 'reading anno_bbox.mat')
    if not Path(path).is_file():
        raise FileNotFoundError(f'{path}: no such file')
    try:
        content = scipy_io.loadmat(str(path), variable_names=[name], simplify_cells=True)
    # scipy raises a different exception for each way in which a file can be broken.
    except Exception as error:
        raise ValueError(f'{path}: not a readable MATLAB file ({error})') from error
    if name not in content:
        raise ValueError(f"{path}: not HICO-DET's anno_bbox.mat: {name} is missing")
    return _structures(content[name])


def _image(where: str, entry: Any, vocabulary: Vocabulary) -> AnnotatedImage:
    """One image: its interactions' connected boxes, row by row."""
    with named(where):
        boxes_h, boxes_o, hoi = [], [], []
        for interaction in _structures(entry['hoi']):
            if interaction['invis']:
                continue
            connection = np.reshape(interaction['connection'], (-1, 2))
            humans, objects = (_boxes(interaction[key]) for key in ('bboxhuman', 'bboxobject'))
            boxes_h.append(humans[read_ids(connection[:, 0], len(humans), first=1)])
            boxes_o.append(objects[read_ids(connection[:, 1], len(objects), first=1)])
            hoi += [interaction['id']] * len(connection)
        ids = read_ids(hoi, len(vocabulary.hois), first=1)
        verbs, objects = vocabulary.hois[ids].T
        size = read_size(entry['size']['width'], entry['size']['height'])
        none = [np.zeros((0, 4), np.float32)]
        return annotated_image(
            vocabulary,
            str(entry['filename']),
            size,
            np.concatenate(none + boxes_h),
            np.concatenate(none + boxes_o),
            objects,
            verbs,
        )


def _boxes(structures: Any) -> np.ndarray:
    """Structures with x1, x2, y1, y2 in 1-based inclusive pixels as (N, 4) float32."""
    rows = [[box[side] for side in _SIDES] for box in _structures(structures)]
    return read_boxes(rows, first_pixel=1)


def _structures(value: Any) -> list[Any]:
    """A MATLAB structure array as a list; scipy gives the only element of one as it is."""
    return [value] if isinstance(value, dict) else list(np.atleast_1d(value))
