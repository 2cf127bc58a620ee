"""MATLAB files with one cell array of matrices, nearly all of them empty.

scipy writes such a file too, but takes minutes for HICO-DET's six million cells. The format is
MathWorks' "MAT-File Format", Level 5: elements of a tag (type, bytes) and data, padded to 8 bytes.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from link_hoi_core.data.json_files import write_whole

_INT8, _INT32, _UINT32, _DOUBLE, _MATRIX, _COMPRESSED = 1, 5, 6, 9, 14, 15  # types of elements
_CELL_CLASS, _DOUBLE_CLASS = 1, 6  # classes of matrices


def write_cells(
    path: Path, name: str, shape: tuple[int, int], filled: Mapping[tuple[int, int], np.ndarray]
) -> None:
    """Write a cell array of `shape` under the variable `name`.

    Args:
        filled: (row, column) of a cell, and its matrix, of float64; all others are 0 x 0.
    """
    cells = [_matrix('', np.zeros((0, 0)))] * (shape[0] * shape[1])
    for (row, column), matrix in filled.items():
        cells[row + shape[0] * column] = _matrix('', matrix)  # MATLAB goes down the columns
    packed = zlib.compress(_array(_CELL_CLASS, shape, name, b''.join(cells)))
    header = b'MATLAB 5.0 MAT-file'.ljust(124) + struct.pack('<HH', 0x0100, 0x4D49)
    write_whole(path, header + struct.pack('<II', _COMPRESSED, len(packed)) + packed)


def _matrix(name: str, values: np.ndarray) -> bytes:
    data = _element(_DOUBLE, np.asarray(values, '<f8').tobytes(order='F'))
    return _array(_DOUBLE_CLASS, values.shape, name, data)


def _array(class_: int, shape: tuple[int, ...], name: str, content: bytes) -> bytes:
    flags = _element(_UINT32, struct.pack('<II', class_, 0))
    size = _element(_INT32, struct.pack('<2i', *shape))
    return _element(_MATRIX, flags + size + _element(_INT8, name.encode()) + content)


def _element(type_: int, data: bytes) -> bytes:
    return struct.pack('<II', type_, len(data)) + data + bytes(-len(data) % 8)
