"""The detectors that can be asked for by name; a family's library is imported when it is used."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

import torch

from link_hoi_core.detectors.detector import Detector, Found
from link_hoi_core.detectors.options import DetectorOptions
from link_hoi_core.vocabulary.vocabulary import Vocabulary, check_name

__all__ = [
    'DETECTORS',
    'Detector',
    'DetectorOptions',
    'Found',
    'Row',
    'find_row',
    'load_detector',
    'score_exponent',
]

_YOLO = 'https://github.com/ultralytics/assets/releases/download/v8.4.0'
_TORCHVISION = 'https://download.pytorch.org/models'


@dataclass(frozen=True)
class Row:
    """A named detector.

    Attributes:
        family: the module of this package that builds it.
        architecture: its name in the family's library; a file, where it is one.
        repository: where its published weights are: a hub repository, or an address; '' = nowhere.
    """

    family: str
    architecture: str
    repository: str


def _yolo(version: str) -> dict[str, Row]:
    """The five sizes of a version of YOLO."""
    names = (f'{version}{size}' for size in 'nsmlx')
    return {name: Row('ultralytics', name, f'{_YOLO}/{name}.pt') for name in names}


def _yolo_world(size: str) -> Row:
    model = f'yolov8{size}-worldv2'
    return Row('ultralytics', model, f'{_YOLO}/{model}.pt')


def _qwen(size: str) -> Row:
    model = f'Qwen3-VL-{size}-Instruct'
    return Row('qwen', model, f'Qwen/{model}')


# fmt: off
DETECTORS: dict[str, Row] = {
    'detr-r50': Row('detr', 'detr', 'facebook/detr-resnet-50'),
    'conditional-detr-r50': Row(
        'detr', 'conditional-detr', 'microsoft/conditional-detr-resnet-50'),
    'deformable-detr-r50': Row('detr', 'deformable-detr', 'SenseTime/deformable-detr'),
    'rt-detr-r50': Row('detr', 'rt-detr', 'PekingU/rtdetr_r50vd'),
    'h-deformable-detr-swin-l': Row('detr', 'h-deformable-detr', ''),
    'grounding-dino-t': Row('grounding', 'grounding-dino', 'IDEA-Research/grounding-dino-tiny'),
    'grounding-dino-b': Row('grounding', 'grounding-dino', 'IDEA-Research/grounding-dino-base'),
    'owlv2-b16': Row('grounding', 'owlv2', 'google/owlv2-base-patch16-ensemble'),
    'faster-rcnn-r50': Row(
        'torchvision', 'fasterrcnn_resnet50_fpn',
        f'{_TORCHVISION}/fasterrcnn_resnet50_fpn_coco-258fb6c6.pth'),
    'faster-rcnn-r50-v2': Row(
        'torchvision', 'fasterrcnn_resnet50_fpn_v2',
        f'{_TORCHVISION}/fasterrcnn_resnet50_fpn_v2_coco-dd69338a.pth'),
    **_yolo('yolov8'),
    **_yolo('yolo11'),
    **_yolo('yolo12'),
    **{f'yolo-world-{size}': _yolo_world(size) for size in 'smlx'},
    **{f'qwen3-vl-{size.lower()}': _qwen(size) for size in ('2B', '4B', '8B', '32B')},
}
# fmt: on

#: Detectors that are a file, asked for as 'onnx:FILE', and the module that builds them.
FILES = {
    'onnx': 'onnx',
    'ultralytics': 'ultralytics',
    'recorded': 'recorded',
    'ground-truth': 'recorded',
}
_BY_ENDING = {'.onnx': 'onnx', '.pt': 'ultralytics'}


def load_detector(name: str, vocabulary: Vocabulary, **options: Any) -> Detector:
    """Build a detector by name: a row of `DETECTORS`, 'onnx:FILE', 'recorded:FILE' ...

    A bare path that ends in .onnx or .pt is understood too. Random weights are the same for the
    same seed, and the caller's random state is left alone.

    Args:
        name: which detector.
        vocabulary: what the labels of its detections index.
        options: as of `DetectorOptions`.

    Raises:
        ValueError: there is no such detector, an option does not go with it, or a file does not
            hold what its name says.
        FileNotFoundError: there is no such file or folder of weights.
        ConnectionError: the published weights cannot be had.
        ImportError: the detector's library is not installed.
    """
    row, chosen = find_row(name), DetectorOptions(vocabulary, **options)
    if name not in DETECTORS and chosen.weights != 'pretrained':
        raise ValueError(f'{name} is a file with weights of its own: leave out {chosen.weights!r}')
    family = importlib.import_module(f'{__name__}.{row.family}')
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(chosen.seed)
        return family.build(name, row.architecture, row.repository, chosen)


def find_row(name: str) -> Row:
    """The row of a named detector, or one made for a file.

    Raises:
        ValueError: there is no such detector; the nearest known one is given. Or no file is named.
    """
    kind, colon, file = name.partition(':')
    if kind not in FILES or not colon:
        endings = (kind for ending, kind in _BY_ENDING.items() if name.endswith(ending))
        kind, file = next(endings, ''), name
    if kind and not file:
        raise ValueError(f'the detector {name!r} names no file, expected {kind}:FILE')
    if kind:
        return Row(FILES[kind], file, '')
    check_name(name, (*DETECTORS, *(f'{kind}:FILE' for kind in FILES)), 'detector')
    return DETECTORS[name]


def score_exponent(name: str) -> float:
    """Lambda, which goes with a named detector's scores (spec section 6), without building it.

    Of a name that is not in `DETECTORS` it is 1.
    """
    row = DETECTORS.get(name)
    if row is None or row.family != 'detr':
        return 1.0
    family = importlib.import_module(f'{__name__}.{row.family}')
    return family.ARCHITECTURES[row.architecture].score_exponent
