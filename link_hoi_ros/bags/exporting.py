"""A bag as pictures, with the detections on them and annotations that wait for their pairs."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sensor_msgs.msg import CompressedImage, Image

from link_hoi_core.data.json_files import write_json
from link_hoi_core.data.recorded import RecordedImage, write_recorded
from link_hoi_core.evaluation.remarks import Remarks
from link_hoi_core.optional import require
from link_hoi_core.vocabulary import Vocabulary
from link_hoi_ros.bags.cameras import Camera
from link_hoi_ros.bags.offline import load_pipelines, parameters_of, process, tolerance_of
from link_hoi_ros.bags.reading import Bag

PICTURES, ANNOTATIONS, DETECTIONS = 'images', 'annotations.json', 'detections.json'
_JPEG, _PNG = b'\xff\xd8\xff', b'\x89PNG'


def export(
    bag: Bag,
    cameras: Sequence[Camera],
    given: Mapping[str, Any],
    folder: Path,
    every: int,
    remarks: Remarks,
) -> int:
    """Write a new `folder`, and say how many pictures it has.

    In it are `images/<key>.png` (what was compressed stays as it is), `detections.json` (recorded
    detections) and `annotations.json`: HICO-DET's form with the detections' `boxes` and `classes`
    beside each image's pairs, which are to be filled in.

    Args:
        given: parameters of the node, where they are not the default.
        every: only the first image of so many.
        remarks: are told what was left out, which are also images without detections.

    Raises:
        ValueError, OSError, ImportError: the bag is broken or has no frame, `folder` is there, or
            as of `Pipeline.load`.
    """
    if folder.exists():
        raise FileExistsError(f'{folder}: is there already, and is not overwritten')
    if not folder.parent.is_dir():
        raise FileNotFoundError(f'{folder.parent}: no such folder to write to')
    pipelines = load_pipelines(cameras, given, remarks)
    vocabulary = pipelines[cameras[0].name].predictor.vocabulary
    images: list[RecordedImage] = []
    with tempfile.TemporaryDirectory(prefix=f'.{folder.name}-', dir=folder.parent) as temporary:
        partial = Path(temporary) / folder.name
        for camera in cameras:
            tolerance = tolerance_of(parameters_of(camera, given))
            for answer in process(bag, camera, pipelines[camera.name], tolerance, remarks, every):
                if answer.frame is not None:
                    data, suffix = _picture(answer.shot.image, answer.frame.pixels)
                    name = f'{answer.shot.key}{suffix}'
                    _write(partial / PICTURES / name, data)
                    images.append(RecordedImage(name, answer.frame.detections))
        if not images:
            causes = '; '.join(remarks.sentences()) or 'there is none'
            raise ValueError(f'{bag.path}: no image to export ({causes})')
        write_recorded(partial / DETECTIONS, images, vocabulary.objects)
        write_json(partial / ANNOTATIONS, _skeleton(images, vocabulary))
        partial.rename(folder)
    return len(images)


def _picture(message: Image | CompressedImage, pixels: np.ndarray) -> tuple[bytes, str]:
    """A file of the pixels (H, W, 3) uint8 RGB, and the end of its name."""
    if isinstance(message, CompressedImage):
        data = bytes(message.data)
        for start, suffix in ((_JPEG, '.jpg'), (_PNG, '.png')):
            if data.startswith(start):
                return data, suffix
    cv2 = require('cv2', 'pip install opencv-python-headless', 'writing pictures')
    bgr = np.ascontiguousarray(pixels[..., ::-1])
    return cv2.imencode('.png', bgr)[1].tobytes(), '.png'


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def _skeleton(images: Sequence[RecordedImage], vocabulary: Vocabulary) -> dict[str, Any]:
    """Annotations as of HICO-DET without pairs, and all that pairs are made of."""
    return {
        'annotation': [
            {
                **{name: [] for name in ('boxes_h', 'boxes_o', 'hoi', 'object', 'verb')},
                'boxes': _first_pixel_1(image.detections.boxes),
                'classes': [vocabulary.objects[label] for label in image.detections.labels],
            }
            for image in images
        ],
        'filenames': [image.file_name for image in images],
        'size': [list(image.detections.image_size[::-1]) for image in images],
        'objects': list(vocabulary.objects),
        'verbs': list(vocabulary.verbs),
        'correspondence': [
            [hoi, thing, verb] for hoi, (verb, thing) in enumerate(vocabulary.hois.tolist())
        ],
    }


def _first_pixel_1(boxes: np.ndarray) -> list[list[float]]:
    """0-based continuous boxes (N, 4) as HICO-DET's 1-based inclusive ones, to 0.1 pixel."""
    return (boxes.astype(np.float64) + [1, 1, 0, 0]).round(1).tolist()
