"""Picture files of any kind, and the (H, W, 3) uint8 RGB arrays that everything else takes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from link_hoi_core.optional import require

PICTURES = {'.bmp', '.gif', '.jpeg', '.jpg', '.png', '.tif', '.tiff', '.webp'}


def list_pictures(paths: Sequence[Path]) -> list[Path]:
    """The files among `paths`, and the picture files of the folders by name; each once.

    Raises:
        ValueError: a folder has no picture.
    """
    pictures: dict[Path, None] = {}
    for path in paths:
        found = [path]
        if path.is_dir():
            found = sorted(file for file in path.iterdir() if file.suffix.lower() in PICTURES)
            if not found:
                raise ValueError(f'{path} has no picture ({", ".join(sorted(PICTURES))})')
        pictures |= dict.fromkeys(found)
    return list(pictures)


def read_image(path: str | Path) -> np.ndarray:
    """A picture file as (H, W, 3) uint8 RGB, turned as its EXIF orientation says.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no picture, or a damaged one.
        ImportError: Pillow is not installed.
    """
    pil = require('PIL.Image', 'pip install pillow', 'reading pictures')
    operations = require('PIL.ImageOps', 'pip install pillow', 'reading pictures')
    if not Path(path).is_file():
        raise FileNotFoundError(f'{path}: no such picture')
    try:
        with pil.open(path) as picture:
            upright = operations.exif_transpose(picture)
            if upright.mode in ('P', 'PA', 'LA', 'CMYK', 'YCbCr', 'LAB', 'HSV'):
                upright = upright.convert('RGB')
            pixels = np.array(upright)
    except (OSError, SyntaxError, ValueError, pil.DecompressionBombError) as error:
        raise ValueError(f'{path} is no readable picture: {error}') from error
    return as_rgb(pixels)


def as_rgb(image: np.ndarray) -> np.ndarray:
    """Any picture array as (H, W, 3) uint8 RGB; one that is already comes back as it is.

    Grey is repeated, an alpha channel is dropped, 16 bits keep their upper eight, truth values
    become black and white.

    Args:
        image: (H, W), (H, W, 1), (H, W, 3) or (H, W, 4); bool, uint8 or an integer of up to 16 bits
            as picture libraries give it.

    Raises:
        ValueError: it is empty, or of another shape or type.
    """
    image = np.asarray(image)
    if image.ndim == 2:
        image = image[:, :, None]
    if image.ndim != 3 or image.shape[2] not in (1, 3, 4):
        raise ValueError(f'image has shape {image.shape}, expected (H, W) or (H, W, 1, 3 or 4)')
    if image.size == 0:
        raise ValueError(f'image of {image.shape[1]} x {image.shape[0]} pixels is empty')
    image = _eight_bits(image)[:, :, :3]
    return image if image.shape[2] == 3 else image.repeat(3, axis=2)


def as_rgb_of_size(image: np.ndarray | None, size: tuple[int, int]) -> np.ndarray:
    """`as_rgb` of the image that detections were made on.

    Args:
        size: (height, width) in pixels, as the detections say.

    Raises:
        ValueError: as `as_rgb`, or the image is of another size or None.
    """
    if image is None:
        raise ValueError('there is no image, but the model looks at pixels')
    image = as_rgb(image)
    if image.shape[:2] != tuple(size):
        raise ValueError(
            f'the image has {image.shape[1]} x {image.shape[0]} pixels, its detections are of one '
            f'of {size[1]} x {size[0]}'
        )
    return image


def _eight_bits(image: np.ndarray) -> np.ndarray:
    if image.dtype == np.uint8:
        return image
    if image.dtype == bool:
        return image.astype(np.uint8) * 255
    kind = image.dtype.kind, image.dtype.itemsize  # of either byte order
    if kind in (('u', 2), ('i', 4)):  # Pillow reads 16-bit pictures as either
        return (image.clip(0, 65535) >> 8).astype(np.uint8)
    raise ValueError(f'image is of type {image.dtype}, expected uint8 or uint16')
