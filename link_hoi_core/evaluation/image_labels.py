"""HICO's image-level labels, which the known-object protocol asks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from link_hoi_core.data.hico_det import NUM_HOIS, NUM_OBJECTS
from link_hoi_core.optional import require


def read_known_objects(
    path: str | Path, file_names: Sequence[str], hoi_objects: np.ndarray
) -> np.ndarray:
    """Which objects each image is known to hold (ho-rcnn, eval_one.m, mode 'ko').

    An object is known in an image if the image-level label of any HOI with it is 1.

    Args:
        path: anno.mat of HICO-DET.
        file_names: (I,) names of the images, all of one partition.
        hoi_objects: (600,) object of each HOI.

    Returns:
        (80, I) bool.

    Raises:
        FileNotFoundError, ValueError: no such file, another file, or an image it does not list.
        ImportError: scipy is missing.
    """
    scipy_io = require('scipy.io', 'pip install scipy', 'the known-object protocol')
    if not Path(path).is_file():
        raise FileNotFoundError(f'{path}: no such file (the known-object protocol needs anno.mat)')
    wanted = ['anno_train', 'anno_test', 'list_train', 'list_test']
    try:
        content = scipy_io.loadmat(str(path), variable_names=wanted)
    # scipy raises a different exception for each way in which a file can be broken.
    except Exception as error:
        raise ValueError(f'{path}: not a readable MATLAB file ({error})') from error
    missing = [name for name in wanted if name not in content]
    if missing:
        raise ValueError(f"{path}: not HICO's anno.mat: {', '.join(missing)} missing")

    names = [str(cell[0]) for part in ('train', 'test') for cell in content[f'list_{part}'][:, 0]]
    positive = np.concatenate([content['anno_train'], content['anno_test']], axis=1) == 1
    if positive.shape != (NUM_HOIS, len(names)):
        raise ValueError(
            f'{path}: labels have shape {positive.shape}, expected {(NUM_HOIS, len(names))}'
        )
    column = {name: index for index, name in enumerate(names)}
    unknown = [name for name in file_names if name not in column]
    if unknown:
        raise ValueError(
            f'{path}: no image-level labels for {len(unknown)} images, the first is {unknown[0]!r}'
        )
    positive = positive[:, [column[name] for name in file_names]]
    return np.stack([positive[hoi_objects == index].any(0) for index in range(NUM_OBJECTS)])
