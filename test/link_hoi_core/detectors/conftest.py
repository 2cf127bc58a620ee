"""Small ONNX files whose output is given, and the photos of V-COCO with what is in them."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from link_hoi_core.images import read_image

FLOAT = 1  # ONNX's number for float32


@dataclass(frozen=True)
class Photo:
    """A photo of V-COCO: pixels, and its people and things, each once (COCO label, box)."""

    file: Path
    pixels: np.ndarray
    labels: list[int]
    boxes: np.ndarray


@pytest.fixture(scope='session')
def photos(shared: Path) -> list[Photo]:
    """The photos that have annotations."""
    annotations = {}
    for part in ('trainval', 'test'):
        packed = (shared / 'data' / 'vcoco' / f'instances_vcoco_{part}.json.gz').read_bytes()
        entries = json.loads(gzip.decompress(packed))['annotations']
        annotations.update({entry['file_name']: entry for entry in entries})
    files = sorted((shared / 'data' / 'images').glob('COCO_*.jpg'))
    return [_photo(file, annotations[file.name]) for file in files if file.name in annotations]


@pytest.fixture(scope='session')
def write_onnx() -> Callable[..., Path]:
    """Write a network that gives `output` whatever its input (batch, 3, *size) holds."""

    def write(
        path: Path,
        output: np.ndarray,
        size: tuple[int | str, int | str] = (64, 64),
        metadata: dict[str, str] | None = None,
        batch: int = 1,
    ) -> Path:
        shape = (batch, 3, *size)
        path.write_bytes(_model(output.astype(np.float32), shape, metadata or {}))
        return path

    return write


def _photo(file: Path, entry: dict) -> Photo:
    people = [(0, *box) for box in entry['boxes_h']]
    things = [(label - 1, *box) for label, box in zip(entry['objects'], entry['boxes_o'])]
    instances = sorted({*people, *things})
    boxes = np.array([box for _, *box in instances], np.float32).reshape(-1, 4)
    return Photo(file, read_image(file), [label for label, *_ in instances], boxes)


def _model(output: np.ndarray, shape: tuple[int | str, ...], metadata: dict) -> bytes:
    """A ModelProto: the package `onnx`, which would write it, is not needed for anything else."""
    constant = b''.join(_field(1, side) for side in output.shape)
    constant += _field(2, FLOAT) + _field(8, 'constant') + _field(9, output.tobytes())
    node = _field(1, 'constant') + _field(2, 'output') + _field(4, 'Identity')
    graph = _field(1, node) + _field(2, 'graph') + _field(5, constant)
    graph += _field(11, _value('images', shape))
    graph += _field(12, _value('output', output.shape))
    model = _field(1, 8) + _field(7, graph) + _field(8, _field(1, '') + _field(2, 13))
    return model + b''.join(_field(14, _field(1, k) + _field(2, v)) for k, v in metadata.items())


def _value(name: str, shape: tuple[int | str, ...]) -> bytes:
    """A ValueInfoProto; a name in place of a side leaves it open."""
    sides = b''.join(_field(1, _field(2 if isinstance(side, str) else 1, side)) for side in shape)
    return _field(1, name) + _field(2, _field(1, _field(1, FLOAT) + _field(2, sides)))


def _field(number: int, value: int | str | bytes) -> bytes:
    """A field in protobuf's wire format."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    data = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    low, rest = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + _varint(rest) if rest else bytes([low])
