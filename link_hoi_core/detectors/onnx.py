"""YOLOX and YOLO networks as ONNX files, run by onnxruntime."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from link_hoi_core.detectors.detector import LEAST_SIDE, Detector, Found
from link_hoi_core.detectors.options import DetectorOptions
from link_hoi_core.geometry import class_wise_nms
from link_hoi_core.optional import require
from link_hoi_core.vocabulary import COCO80

SCORE_THRESHOLD = 0.05
NMS_IOU = 0.5
STRIDES = (8, 16, 32)
OPEN_SIDE = 640  # of an input whose size the file leaves open
PADDING = 114
NUMBER_TYPES = {'tensor(float)': np.float32, 'tensor(float16)': np.float16}


class Candidates(NamedTuple):
    """Boxes of one image before suppression; one for each class that scores enough.

    Attributes:
        boxes: (K, 4) xyxy in pixels of the network's input.
        scores: (K,) in [0, 1].
        labels: (K,) the network's class ids.
    """

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray


class Head(NamedTuple):
    """What a kind of network takes and gives.

    Attributes:
        decode: one image's output, the input's (height, width) and the least score -> candidates.
        centred: the picture lies in the middle of the input, else at its top left.
        unit_rgb: the input is RGB in [0, 1], else BGR in [0, 255].
    """

    decode: Callable[[np.ndarray, tuple[int, int], float], Candidates]
    centred: bool
    unit_rgb: bool


class Placement(NamedTuple):
    """Where a picture lies in the network's input: scaled by `ratio`, then moved (pixels)."""

    ratio: float
    left: int
    top: int


def build(name: str, architecture: str, repository: str, options: DetectorOptions) -> Onnx:
    """The network in the file `architecture`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no ONNX file, or of a network that is not known here.
        ImportError: onnxruntime is not installed.
    """
    return Onnx(name, Path(architecture), options)


class Onnx(Detector):
    """A YOLOX whose output is not decoded, or a YOLO as ultralytics exports it.

    The kind is told by the shape of the output. Class names come from the file's metadata, else
    they are COCO's 80. On a GPU it runs where this onnxruntime has CUDA.
    """

    def __init__(self, name: str, file: Path, options: DetectorOptions) -> None:
        super().__init__(name, options, SCORE_THRESHOLD)
        self._session, self._file = _open(file, options.device.type), file
        wanted = self._session.get_inputs()[0]
        self._size = _input_size(wanted.shape, file)
        self._input, self._type = wanted.name, _number_type(wanted.type, file)
        # Exports may leave the output's shape open: an empty picture tells it.
        shape = self._run(np.zeros((1, 3, *self._size))).shape
        self._head, num_classes = choose_head(shape, self._size, file)
        self._classes = _class_names(self._session, num_classes, file)

    def find(self, images: Sequence[np.ndarray], files: Sequence[str]) -> list[Found]:
        """One image after the other, as most exports fix the batch at one."""
        return [self._find(image) for image in images]

    def _find(self, image: np.ndarray) -> Found:
        height, width = image.shape[:2]
        placement = place((height, width), self._size, self._head.centred)
        output = self._run(letterbox(image, placement, self._size, self._head.unit_rgb))
        found = self._head.decode(output[0], self._size, self.score_threshold)
        offset = np.array([placement.left, placement.top] * 2)
        boxes = (found.boxes - offset) / placement.ratio
        # Cut before suppression: what two boxes share outside the image does not count.
        boxes = boxes.clip(0, (width, height, width, height))
        rows = np.flatnonzero((boxes[:, 2:] - boxes[:, :2]).min(axis=1) >= LEAST_SIDE)
        boxes = boxes.astype(np.float32)
        kept = rows[class_wise_nms(boxes[rows], found.scores[rows], found.labels[rows], NMS_IOU)]
        names = [self._class(label) for label in found.labels[kept]]
        return Found(boxes[kept], found.scores[kept], names)

    def _run(self, batch: np.ndarray) -> np.ndarray:
        try:
            output = self._session.run(None, {self._input: batch.astype(self._type)})[0]
        except (ValueError, *_errors()) as error:
            raise ValueError(f'{self._file} cannot take one picture alone: {error}') from error
        return output.astype(np.float32, copy=False)

    def _class(self, label: int) -> str:
        return self._classes.get(int(label), f'class {label}')


def choose_head(
    shape: tuple[int, ...], size: tuple[int, int], file: Path
) -> tuple[Head, int | None]:
    """The kind of a network by its output's shape and its input's (height, width).

    Returns:
        The head, and the number of its classes; None where the shape does not tell it.

    Raises:
        ValueError: no known kind of network gives such an output.
    """
    cells = len(_grid(size)[0])
    if len(shape) == 3 and shape[1] == cells and shape[2] > 5:
        return YOLOX, shape[2] - 5
    if len(shape) == 3 and shape[2] == cells and shape[1] > 4:
        return YOLO, shape[1] - 4
    if len(shape) == 3 and shape[2] == 6:
        return END_TO_END, None
    raise ValueError(
        f'{file}: an output of shape {shape} is of no known detector: expected (1, {cells}, 5 + '
        f'classes) of YOLOX, (1, 4 + classes, {cells}) or (1, boxes, 6) of YOLO'
    )


def decode_yolox(output: np.ndarray, size: tuple[int, int], threshold: float) -> Candidates:
    """Read YOLOX's (A, 5 + C): cell offsets, log sizes, objectness and class probabilities."""
    cells, strides = _grid(size)
    centre = (output[:, :2] + cells) * strides
    sides = np.exp(output[:, 2:4]) * strides
    return _candidates(centre, sides, output[:, 4:5] * output[:, 5:], threshold)


def decode_yolo(output: np.ndarray, size: tuple[int, int], threshold: float) -> Candidates:
    """Read a YOLO's (4 + C, A): centre and size in pixels of the input, class probabilities."""
    rows = output.T
    return _candidates(rows[:, :2], rows[:, 2:4], rows[:, 4:], threshold)


def decode_end_to_end(output: np.ndarray, size: tuple[int, int], threshold: float) -> Candidates:
    """Read a suppressed YOLO's (N, 6): xyxy in pixels of the input, score, class."""
    boxes, scores, labels = output[:, :4], output[:, 4], output[:, 5].astype(np.int64)
    rows = scores >= threshold
    return Candidates(boxes[rows], scores[rows], labels[rows])


YOLOX = Head(decode_yolox, centred=False, unit_rgb=False)
YOLO = Head(decode_yolo, centred=True, unit_rgb=True)
END_TO_END = Head(decode_end_to_end, centred=True, unit_rgb=True)


def place(image_size: tuple[int, int], size: tuple[int, int], centred: bool) -> Placement:
    """Fit a picture of (height, width) pixels into the input's (height, width)."""
    ratio = min(size[0] / image_size[0], size[1] / image_size[1])
    if not centred:
        return Placement(ratio, 0, 0)
    height, width = _scaled(image_size, ratio)
    return Placement(ratio, (size[1] - width) // 2, (size[0] - height) // 2)


def letterbox(
    image: np.ndarray, placement: Placement, size: tuple[int, int], unit_rgb: bool
) -> np.ndarray:
    """(1, 3, height, width): the picture where `placement` says, the rest grey."""
    cv2 = require('cv2', 'pip install opencv-python-headless', 'resizing images')
    height, width = _scaled(image.shape[:2], placement.ratio)
    canvas = np.full((*size, 3), PADDING, np.uint8)
    inside = canvas[placement.top : placement.top + height, placement.left :][:, :width]
    inside[:] = cv2.resize(image, (width, height))
    planes = canvas.transpose(2, 0, 1)[None]
    return planes / np.float32(255) if unit_rgb else planes[:, ::-1]


def _scaled(image_size: tuple[int, int], ratio: float) -> tuple[int, int]:
    height, width = image_size
    return max(1, round(height * ratio)), max(1, round(width * ratio))


def _candidates(
    centre: np.ndarray, sides: np.ndarray, scores: np.ndarray, threshold: float
) -> Candidates:
    """Boxes of centre (A, 2) and sides (A, 2) with the classes whose scores (A, C) reach it."""
    boxes = np.concatenate([centre - sides / 2, centre + sides / 2], axis=1)
    rows, labels = np.nonzero(scores >= threshold)
    return Candidates(boxes[rows], scores[rows, labels], labels)


@cache
def _grid(size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Cell (A, 2) as (x, y) and stride (A, 1) of each of the network's A outputs."""
    cells, strides = [], []
    for stride in STRIDES:
        rows, columns = np.mgrid[: size[0] // stride, : size[1] // stride]
        cells.append(np.stack([columns, rows], axis=-1).reshape(-1, 2))
        strides.append(np.full((len(cells[-1]), 1), stride))
    return np.concatenate(cells), np.concatenate(strides)


def _open(file: Path, device: str) -> Any:
    """An inference session of the file."""
    onnxruntime = require('onnxruntime', 'pip install onnxruntime', 'running an ONNX detector')
    if not file.is_file():
        raise FileNotFoundError(f'{file}: no such ONNX file')
    wanted = ['CUDAExecutionProvider'] if device == 'cuda' else []
    known = onnxruntime.get_available_providers()
    providers = [name for name in (*wanted, 'CPUExecutionProvider') if name in known]
    try:
        return onnxruntime.InferenceSession(str(file), providers=providers)
    except _errors() as error:
        raise ValueError(f'{file} is no network that onnxruntime can run: {error}') from error


def _errors() -> tuple[type[Exception], ...]:
    """What onnxruntime raises; its errors have no ancestor of their own."""
    state = importlib.import_module('onnxruntime.capi.onnxruntime_pybind11_state')
    names = ('Fail', 'InvalidArgument', 'InvalidGraph', 'InvalidProtobuf', 'NotImplemented')
    return tuple(getattr(state, name) for name in (*names, 'RuntimeException'))


def _input_size(shape: Sequence[int | str | None], file: Path) -> tuple[int, int]:
    """(height, width) of an input (batch, 3, height, width); a name stands for an open side."""
    if len(shape) != 4 or shape[1] not in (3, None) and not isinstance(shape[1], str):
        raise ValueError(f'{file}: its input has shape {shape}, expected (1, 3, height, width)')
    height, width = (side if isinstance(side, int) else OPEN_SIDE for side in shape[2:])
    return height, width


def _number_type(name: str, file: Path) -> type[np.floating]:
    if name not in NUMBER_TYPES:
        raise ValueError(
            f'{file}: its input is a {name}, expected one of {", ".join(NUMBER_TYPES)}'
        )
    return NUMBER_TYPES[name]


def _class_names(session: Any, num_classes: int | None, file: Path) -> dict[int, str]:
    """Names by class id: what ultralytics writes as metadata {'names': "{0: 'person', ...}"}."""
    metadata = session.get_modelmeta().custom_metadata_map
    if metadata.get('task', 'detect') != 'detect':
        raise ValueError(
            f'{file} is a network for the task {metadata["task"]!r}, not for detection'
        )
    try:
        names = ast.literal_eval(metadata['names']) if 'names' in metadata else COCO80
        pairs = names.items() if isinstance(names, dict) else enumerate(names)
        names = {int(label): str(name) for label, name in pairs}
    except (ValueError, SyntaxError, TypeError) as error:
        raise ValueError(f'{file}: its metadata has class names of another form') from error
    if num_classes not in (None, len(names)):
        source = 'its metadata' if 'names' in metadata else 'COCO'
        raise ValueError(f'{file} has {num_classes} classes, {source} has {len(names)} names')
    return names
