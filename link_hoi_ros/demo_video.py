"""Video files, read frame by frame with OpenCV."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from link_hoi_core.optional import require


@dataclass(frozen=True)
class Video:
    """What is known of a video file; `size` is (height, width) in pixels, `rate` in frames/s."""

    path: Path
    size: tuple[int, int]
    rate: float
    frame_count: int

    @property
    def seconds(self) -> float:
        """Duration."""
        return self.frame_count / self.rate

    def frames(self) -> Iterator[np.ndarray]:
        """Every frame, (H, W, 3) uint8 RGB."""
        capture = _open(self.path)
        try:
            while True:
                ok, frame_bgr = capture.read()
                if not ok:
                    return
                yield np.ascontiguousarray(frame_bgr[:, :, ::-1])
        finally:
            capture.release()


def open_video(path: Path) -> Video:
    """Decode a video once: the count that its header gives is at times only an estimate.

    Raises:
        ImportError: OpenCV is not installed.
        ValueError: it is not a video that OpenCV can decode.
    """
    capture = _open(path)
    try:
        rate = capture.get(opencv().CAP_PROP_FPS)
        ok, first = capture.read()
        if not ok or not rate > 0:
            raise ValueError(f'{path}: no frame of it can be decoded')
        count = 1
        while capture.grab():
            count += 1
    finally:
        capture.release()
    return Video(path, first.shape[:2], rate, count)


def opencv() -> ModuleType:
    """OpenCV."""
    return require('cv2', 'pip install opencv-python-headless', 'the demo')


def _open(path: Path) -> Any:
    if not path.is_file():
        raise ValueError(f'{path}: no such file')
    capture = opencv().VideoCapture(str(path))
    if not capture.isOpened():
        raise ValueError(f'{path}: not a video that OpenCV can read')
    return capture
