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

from link_hoi_core.data.recorded import RecordedImage, write_recorded
from link_hoi_core.detectors import load_detector
from link_hoi_core.vocabulary import load_vocabulary
from link_hoi_ros.demo_video import open_video


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
    vocabulary = load_vocabulary('hico-det')
    detector = load_detector(f'onnx:{weights}', vocabulary, keep_unknown=False)
    images = [
        RecordedImage(f'{video.stem}/{index:06d}', detector.detect([frame])[0])
        for index, frame in enumerate(open_video(video).frames())
    ]
    write_recorded(output, images, vocabulary.objects)
    boxes = sum(len(image.detections) for image in images)
    print(f'{output}: {boxes} detections in {len(images)} frames')


if __name__ == '__main__':
    main()
