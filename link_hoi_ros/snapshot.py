"""A bug report's files: the last image, its detections and triplets, and how the node was set."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import rclpy.logging

from link_hoi_core.data.json_files import write_json, write_whole
from link_hoi_core.optional import require
from link_hoi_ros.frame import Frame
from link_hoi_ros.messages import stamp_key

FOLDER = 'link_hoi_snapshots'


def snapshot_folder(configured: str) -> Path:
    """The parameter `snapshot.folder`, or its default below ROS's log folder."""
    if configured:
        return Path(configured).expanduser()
    return Path(rclpy.logging.get_logging_directory()) / FOLDER


def write_snapshot(folder: Path, frame: Frame, facts: Mapping[str, Any]) -> Path:
    """Write `<stamp>.png` and `<stamp>.json` into a folder.

    Args:
        facts: what else the JSON file shall hold, by name.

    Returns:
        the JSON file.

    Raises:
        OSError: it cannot be written.
        ValueError: the image is too large for a picture.
        ImportError: OpenCV is missing.
    """
    cv2 = require('cv2', 'pip install opencv-python-headless', 'writing a snapshot')
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f'{stamp_key(frame.header)}.json'
    # little compression: it holds up what arrives meanwhile
    done, picture = cv2.imencode('.png', frame.pixels[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 1])
    if not done:
        height, width = frame.detections.image_size
        raise ValueError(f'OpenCV writes no picture of {width} x {height} pixels')
    write_whole(path.with_suffix('.png'), picture.tobytes())
    write_json(path, {**facts, **_contents(frame)})
    return path


def _contents(frame: Frame) -> dict[str, Any]:
    detections, found, names = frame.detections, frame.interactions, frame.vocabulary
    return {
        'stamp': stamp_key(frame.header),
        'frame_id': frame.header.frame_id,
        'image_size': list(detections.image_size),
        'model': frame.model,
        'vocabulary': names.id,
        'detections': [
            {'class_name': names.objects[label], 'score': score, 'box': box, 'track_id': track_id}
            for label, score, box, track_id in zip(
                detections.labels.tolist(),
                detections.scores.tolist(),
                detections.boxes.tolist(),
                detections.track_ids or [''] * len(detections),
            )
        ],
        'triplets': [
            {'human': human, 'verb': names.verbs[verb], 'object': thing, 'score': score}
            for human, verb, thing, score in zip(
                *(
                    column.tolist()
                    for column in (found.human, found.verb, found.object, found.score)
                )
            )
        ],
    }
