"""HICO-DET prediction files, read into arrays and written.

`{"images": [{"file_name", "dets": [[hx1,hy1,hx2,hy2, ox1,oy1,ox2,oy2, hoi_id, score], …]}]}`,
boxes 0-based continuous in pixels of the original image, hoi_id 0-based; gzipped if named .gz.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from link_hoi_core.data.hico_det import NUM_HOIS
from link_hoi_core.data.json_files import read_json, write_json
from link_hoi_core.evaluation.pairs import ScoredPairs

ROW_LENGTH = 10


def read_predictions(path: str | Path, file_names: Sequence[str]) -> ScoredPairs:
    """Read the predictions for the images `file_names`; an image may be absent from the file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is malformed or truncated, has an image that is not in `file_names`
            or comes twice, or a row with a wrong length, an unknown id, or NaN; one sentence.
    """

    def rows_to_array(item: dict[str, Any]) -> dict[str, Any]:
        # While the file is parsed, so that only one image is ever held as Python numbers.
        if 'dets' in item:
            item['dets'] = _rows(f'{path}: image {item.get("file_name")!r}', item['dets'])
        return item

    content = read_json(path, rows_to_array)
    if not isinstance(content, dict) or not isinstance(content.get('images'), list):
        raise ValueError(f"{path}: not a prediction file: expected an object with a list 'images'")
    number = {name: index for index, name in enumerate(file_names)}
    parts = {}
    for item in content['images']:
        if not isinstance(item, dict) or not {'file_name', 'dets'} <= item.keys():
            raise ValueError(f"{path}: an image lacks 'file_name' or 'dets'")
        name = item['file_name']
        if not isinstance(name, str) or name not in number:
            raise ValueError(f'{path}: image {name!r} is not in the annotations')
        if name in parts:
            raise ValueError(f'{path}: image {name!r} comes twice')
        parts[name] = _pairs(number[name], item['dets'])
    return ScoredPairs.concatenate(parts.values())


def write_predictions(
    path: str | Path, file_names: Sequence[str], predictions: ScoredPairs
) -> None:
    """Write every image of `file_names`, in their order; numbers are written exactly."""
    columns = (
        predictions.boxes_h,
        predictions.boxes_o,
        predictions.hoi[:, None],
        predictions.score[:, None],
    )
    order = np.argsort(predictions.image, kind='stable')
    bounds = np.searchsorted(predictions.image[order], np.arange(len(file_names) + 1))
    images = []
    for index, name in enumerate(file_names):
        rows = order[bounds[index] : bounds[index + 1]]
        dets = np.concatenate([column[rows] for column in columns], axis=1).tolist()
        images.append({'file_name': name, 'dets': dets})
    write_json(path, {'images': images})


def _rows(where: str, dets: list[list[float]]) -> np.ndarray:
    """The rows of one image as a checked array (D, 10) of float64."""
    try:
        rows = np.array(dets, np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f'{where}: expected rows of {ROW_LENGTH} numbers ({error})') from error
    if rows.shape == (0,):
        return np.zeros((0, ROW_LENGTH))
    if rows.ndim != 2 or rows.shape[1] != ROW_LENGTH:
        raise ValueError(
            f'{where}: expected rows of {ROW_LENGTH} numbers, found an array of {rows.shape}'
        )
    if not (np.abs(rows) < np.finfo(np.float32).max).all():  # also false for NaN
        raise ValueError(f'{where}: a box or score is NaN or infinite')
    hoi = rows[:, 8]
    if not ((hoi >= 0) & (hoi < NUM_HOIS) & (hoi == np.floor(hoi))).all():
        raise ValueError(f'{where}: a hoi_id is not a whole number in 0..{NUM_HOIS - 1}')
    return rows


def _pairs(image: int, rows: np.ndarray) -> ScoredPairs:
    return ScoredPairs(
        np.full(len(rows), image, np.int32),
        rows[:, 0:4].astype(np.float32),
        rows[:, 4:8].astype(np.float32),
        rows[:, 8].astype(np.int32),
        rows[:, 9],
    )
