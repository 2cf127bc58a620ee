"""A tiny experiment with pixels."""

from __future__ import annotations

from pathlib import Path

import pytest

TINY = """
model:
  backbone: {name: 'timm:test_vit.r160_in1k', image_size: 64, text: minilm}
  width: 16
  heads: 2
  encoder_layers: 1
  decoder_layers: 2
"""


@pytest.fixture
def tiny_experiment(tmp_path: Path) -> Path:
    """An experiment's file: a map of 4 x 4 cells and 64 channels."""
    pytest.importorskip('timm')
    path = tmp_path / 'tiny.yaml'
    path.write_text(TINY)
    return path
