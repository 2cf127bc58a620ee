"""The pictures of mistakes: a part of an image, small and inline, with the boxes upon it."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

import numpy as np

from link_hoi_core.data.annotated_image import AnnotatedImage
from link_hoi_core.data.image_folder import ImageFolder
from link_hoi_core.optional import require

LONGEST = 320  # pixels of a picture's longer side
QUALITY = 68  # JPEG
MARGIN = 0.25  # around the boxes, of their longer side
LEAST = 0.35  # of the image's sides that is shown


@dataclass(frozen=True)
class Scene:
    """A part of an image.

    Attributes:
        view: x, y, width, height in pixels of the image.
        jpeg: a data URL of that part, None where the image is not at hand.
        boxes: (x, y, width, height, role), in pixels of the image.
    """

    view: tuple[float, float, float, float]
    jpeg: str | None
    boxes: list[tuple[float, float, float, float, str]]


def scene(
    image: AnnotatedImage, boxes: list[tuple[np.ndarray, str]], folder: ImageFolder | None
) -> Scene:
    """The surroundings of boxes, each with its role; empty boxes are not drawn.

    Where all are empty it is the whole image. An image that is missing, broken or of another size
    than annotated is left blank.
    """
    boxes = [(box, role) for box, role in boxes if box[2] > box[0] and box[3] > box[1]]
    pixels = _pixels(image, folder)
    corners = np.array([box for box, _ in boxes], float).reshape(-1, 4)
    if image.size is not None:
        height, width = image.size
    elif pixels is not None:
        height, width = pixels.shape[:2]
    else:
        width, height = corners[:, 2:].max(0, initial=1)
    if not boxes:
        corners = np.array([[0, 0, width, height]], float)
    view = _view(corners[:, :2].min(0), corners[:, 2:].max(0), np.array([width, height], float))
    x, y, w, h = view
    jpeg = None if pixels is None else _jpeg(pixels[y : y + h, x : x + w])
    drawn = [(*np.round([*b[:2], *(b[2:] - b[:2])], 1).tolist(), role) for b, role in boxes]
    return Scene(view, jpeg, drawn)


def _view(low: np.ndarray, high: np.ndarray, size: np.ndarray) -> tuple[int, int, int, int]:
    """Whole pixels around the corners, within the image."""
    margin = MARGIN * (high - low).max()
    spare = np.maximum(LEAST * size - (high - low + 2 * margin), 0) / 2
    start = np.floor((low - margin - spare).clip(0, size - 1)).astype(int)
    end = np.ceil((high + margin + spare).clip(start + 1, size)).astype(int)
    return (*start.tolist(), *(end - start).tolist())


def _pixels(image: AnnotatedImage, folder: ImageFolder | None) -> np.ndarray | None:
    if folder is None:
        return None
    try:
        pixels = folder.read(image.file_name)
    except (FileNotFoundError, ValueError):
        return None
    return pixels if image.size in (None, pixels.shape[:2]) else None


def _jpeg(pixels: np.ndarray) -> str:
    pil = require('PIL.Image', 'pip install pillow', 'pictures in the report')
    picture = pil.fromarray(pixels)
    picture.thumbnail((LONGEST, LONGEST))
    content = io.BytesIO()
    picture.save(content, 'JPEG', quality=QUALITY, optimize=True)
    return f'data:image/jpeg;base64,{base64.b64encode(content.getvalue()).decode()}'
