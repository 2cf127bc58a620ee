"""The detectors that can be asked for by name; a family's library is imported when it is used."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

import torch

from link_hoi_core.detectors.detector import Detector, Found
from link_hoi_core.detectors.options import DetectorOptions
from link_hoi_core.vocabulary.vocabulary import Vocabulary, check_name

__all__ = ['DETECTORS', 'Detector', 'DetectorOptions', 'Found', 'Row', 'find_row', 'load_detector']

_YOLO = 'https://github.com/ultralytics/assets/releases/download/v8.4.0'
_TORCHVISION = 'https://download.pytorch.org/models'


@dataclass(frozen=True)
class Row:
    """A named detector.

    Attributes:
        family: the module of this package that builds it.
        architecture: its name in the family's library; a file, where it is one.
        repository: where its published weights are: a hub repository, or an address; '' = nowhere.
        about: what it is, in one line.
    """

    family: str
    architecture: str
    repository: str
    about: str


def _yolo(version: str, name: str) -> dict[str, Row]:
    """The five sizes of a version of YOLO."""
    return {
        f'{version}{size}': Row(
            'ultralytics', f'{version}{size}', f'{_YOLO}/{version}{size}.pt', f'{name}, size {size}'
        )
        for size in 'nsmlx'
    }


def _yolo_world(size: str) -> Row:
    model = f'yolov8{size}-worldv2'
    about = f'YOLO-World, size {size}: finds any words'
    return Row('ultralytics', model, f'{_YOLO}/{model}.pt', about)


def _qwen(size: str) -> Row:
    model = f'Qwen3-VL-{size}-Instruct'
    return Row('qwen', model, f'Qwen/{model}', f'Qwen3-VL {size}, prompted: finds any words')


DETECTORS: dict[str, Row] = {
    'detr-r50': Row('detr', 'detr', 'facebook/detr-resnet-50', 'DETR with a ResNet-50'),
    'conditional-detr-r50': Row(
        *('detr', 'conditional-detr', 'microsoft/conditional-detr-resnet-50'),
        'Conditional DETR with a ResNet-50',
    ),
    'deformable-detr-r50': Row(
        'detr', 'deformable-detr', 'SenseTime/deformable-detr', 'Deformable DETR with a ResNet-50'
    ),
    'rt-detr-r50': Row('detr', 'rt-detr', 'PekingU/rtdetr_r50vd', 'RT-DETR with a ResNet-50'),
    'h-deformable-detr-swin-l': Row(
        *('detr', 'h-deformable-detr', ''),
        'H-Deformable-DETR with a Swin-L: two stages, box refinement',
    ),
    'grounding-dino-t': Row(
        *('grounding', 'grounding-dino', 'IDEA-Research/grounding-dino-tiny'),
        'Grounding DINO with a Swin-T: finds any words',
    ),
    'grounding-dino-b': Row(
        *('grounding', 'grounding-dino', 'IDEA-Research/grounding-dino-base'),
        'Grounding DINO with a Swin-B: finds any words',
    ),
    'owlv2-b16': Row(
        *('grounding', 'owlv2', 'google/owlv2-base-patch16-ensemble'),
        'OWLv2 with a ViT-B/16: finds any words',
    ),
    'faster-rcnn-r50': Row(
        *('torchvision', 'fasterrcnn_resnet50_fpn'),
        f'{_TORCHVISION}/fasterrcnn_resnet50_fpn_coco-258fb6c6.pth',
        'Faster R-CNN with a ResNet-50 and a feature pyramid',
    ),
    'faster-rcnn-r50-v2': Row(
        *('torchvision', 'fasterrcnn_resnet50_fpn_v2'),
        f'{_TORCHVISION}/fasterrcnn_resnet50_fpn_v2_coco-dd69338a.pth',
        'Faster R-CNN with a ResNet-50 and a feature pyramid, trained longer',
    ),
    **_yolo('yolov8', 'YOLOv8'),
    **_yolo('yolo11', 'YOLO11'),
    **_yolo('yolo12', 'YOLO12'),
    **{f'yolo-world-{size}': _yolo_world(size) for size in 'smlx'},
    **{f'qwen3-vl-{size.lower()}': _qwen(size) for size in ('2B', '4B', '8B', '32B')},
}

#: Detectors that are a file, asked for as 'onnx:FILE'.
FILES: dict[str, tuple[str, str]] = {
    'onnx': ('onnx', 'a YOLOX or YOLO network in onnxruntime'),
    'ultralytics': ('ultralytics', 'a YOLO that ultralytics saved'),
    'recorded': ('recorded', 'detections that were recorded as JSON'),
    'ground-truth': ('recorded', "HICO-DET's annotated boxes, score 1"),
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
        ValueError: there is no such detector; the nearest known one is given.
    """
    kind, colon, file = name.partition(':')
    if kind not in FILES or not colon:
        endings = (kind for ending, kind in _BY_ENDING.items() if name.endswith(ending))
        kind, file = next(endings, ''), name
    if kind:
        family, about = FILES[kind]
        return Row(family, file, '', about)
    check_name(name, (*DETECTORS, *(f'{kind}:FILE' for kind in FILES)), 'detector')
    return DETECTORS[name]
