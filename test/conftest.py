"""Fixtures that every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

pytest.register_assert_rewrite('predictor_checks', 'tiny_runs')  # so that they say what differs


@pytest.fixture(scope='session')
def shared() -> Path:
    """Folder with real annotations, photos and weights; a clone without it skips what needs it."""
    default = Path(__file__).resolve().parents[2] / 'shared'
    folder = Path(os.environ.get('LINK_HOI_SHARED', default))
    if not (folder / 'data').is_dir():
        pytest.skip(f'test data is absent: {folder}/data (set LINK_HOI_SHARED)')
    return folder
