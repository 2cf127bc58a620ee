"""Run YOLOX on every frame of a video and write the detections as JSON, for the demo and for tests.

    python tools/record_detections.py --video bikes.mp4 --weights yolox_nano_coco.onnx \
        --output detections.json.gz

The weights are an ONNX export of a COCO-trained YOLOX whose output is not decoded. Needs
`pip install onnxruntime opencv-python-headless`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from link_hoi_core.data.recorded import RecordedImage, write_recorded
from link_hoi_core.geometry import class_wise_nms
from link_hoi_core.optional import require
from link_hoi_core.structures import Detections
from link_hoi_core.vocabulary import load_vocabulary
from link_hoi_ros.demo_video import open_video

STRIDES = (8, 16, 32)
PADDING = 114
SCORE_THRESHOLD = 0.05
NMS_IOU = 0.5


class Yolox:
    """A YOLOX network in onnxruntime."""

    def __init__(self, weights: Path) -> None:
        onnxruntime = require('onnxruntime', 'pip install onnxruntime', 'running the detector')
        self.session = onnxruntime.InferenceSession(str(weights))
        self.input = self.session.get_inputs()[0]
        self.side = self.input.shape[2]
        self.cells, self.strides = _grid(self.side)

    def detect(self, image_rgb: np.ndarray) -> Detections:
        """Detections of an image (H, W, 3) uint8 in RGB; labels in COCO-80 order."""
        height, width = image_rgb.shape[:2]
        ratio = min(self.side / height, self.side / width)
        (output,) = self.session.run(None, {self.input.name: self._letterbox(image_rgb, ratio)})
        centre = (output[0, :, :2] + self.cells) * self.strides
        size = np.exp(output[0, :, 2:4]) * self.strides
        boxes = np.concatenate([centre - size / 2, centre + size / 2], axis=1) / ratio
        boxes = boxes.clip(0, (width, height, width, height))
        scores = output[0, :, 4:5] * output[0, :, 5:]  # objectness x class
        has_area = (boxes[:, 2:] - boxes[:, :2]).min(axis=1, keepdims=True) >= 1
        rows, labels = np.nonzero((scores >= SCORE_THRESHOLD) & has_area)
        found = Detections(boxes[rows], scores[rows, labels], labels, (height, width))
        return found.take(class_wise_nms(found.boxes, found.scores, found.labels, NMS_IOU))

    def _letterbox(self, image_rgb: np.ndarray, ratio: float) -> np.ndarray:
        """(1, 3, side, side) float32, 0 to 255: BGR at the top left, the rest grey."""
        cv2 = require('cv2', 'pip install opencv-python-headless', 'resizing frames')
        height, width = image_rgb.shape[:2]
        small = cv2.resize(image_rgb, (round(width * ratio), round(height * ratio)))
        canvas = np.full((self.side, self.side, 3), PADDING, np.uint8)
        canvas[: small.shape[0], : small.shape[1]] = small[:, :, ::-1]
        return canvas.transpose(2, 0, 1)[None].astype(np.float32)


def _grid(side: int) -> tuple[np.ndarray, np.ndarray]:
    """Cell (A, 2) as (x, y) and stride (A, 1) of each of the network's A outputs."""
    cells, strides = [], []
    for stride in STRIDES:
        rows, columns = np.mgrid[: side // stride, : side // stride]
        cells.append(np.stack([columns, rows], axis=-1).reshape(-1, 2))
        strides.append(np.full((len(cells[-1]), 1), stride))
    return np.concatenate(cells), np.concatenate(strides)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n')[0])
    parser.add_argument('--video', type=Path, required=True)
    parser.add_argument('--weights', type=Path, required=True, help='YOLOX as ONNX')
    parser.add_argument('--output', type=Path, required=True, help='.json or .json.gz')
    options = parser.parse_args()
    try:
        record(options.video, options.weights, options.output)
    except (ValueError, OSError, ImportError) as error:
        sys.exit(f'record_detections: {error}')


def record(video: Path, weights: Path, output: Path) -> None:
    """Detect in each frame of `video` and write the file."""
    if not weights.is_file():
        raise FileNotFoundError(f'{weights}: no such file')
    frames, detector = open_video(video).frames(), Yolox(weights)
    images = [
        RecordedImage(f'{video.stem}/{index:06d}', detector.detect(frame))
        for index, frame in enumerate(frames)
    ]
    write_recorded(output, images, load_vocabulary('hico-det').objects)
    boxes = sum(len(image.detections) for image in images)
    print(f'{output}: {boxes} detections in {len(images)} frames')


if __name__ == '__main__':
    main()
