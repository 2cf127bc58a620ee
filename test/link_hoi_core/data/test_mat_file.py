"""Cell arrays that we write are what scipy reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from link_hoi_core.data.mat_file import write_cells

scipy_io = pytest.importorskip('scipy.io')


def test_scipy_reads_each_matrix_at_its_place(tmp_path: Path) -> None:
    path = tmp_path / 'cells.mat'
    filled = {
        (0, 2): np.arange(6.0).reshape(2, 3),
        (1, 0): np.array([[0.1, np.nan, -np.inf]]),
        (1, 2): np.zeros((0, 9)),
    }
    write_cells(path, 'all_boxes', (2, 3), filled)
    cells = scipy_io.loadmat(path)['all_boxes']
    assert cells.shape == (2, 3)
    for place in np.ndindex(2, 3):
        expected = filled.get(place, np.zeros((0, 0)))
        assert cells[place].dtype == np.float64
        assert cells[place].shape == expected.shape
        assert np.array_equal(cells[place], expected, equal_nan=True)
    assert [file.name for file in tmp_path.iterdir()] == ['cells.mat']


def test_the_same_cells_are_the_same_bytes(tmp_path: Path) -> None:
    one, other = tmp_path / 'one.mat', tmp_path / 'other.mat'
    for path in (one, other):
        write_cells(path, 'x', (1, 1), {(0, 0): np.ones((3, 10))})
    assert one.read_bytes() == other.read_bytes()
