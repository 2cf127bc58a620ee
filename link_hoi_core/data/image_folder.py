"""The images of a data set in a folder, and a clear sentence where some are missing or broken."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from link_hoi_core.images import read_image
from link_hoi_core.optional import require

SHOWN = 3  # images that a sentence names
_EXIF_ORIENTATION = 0x0112
_ON_ITS_SIDE = (5, 6, 7, 8)


class ImageFolder:
    """Images by the file names of the annotations."""

    def __init__(self, folder: str | Path) -> None:
        """Take a folder.

        Raises:
            FileNotFoundError: there is no such folder.
        """
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise FileNotFoundError(f'{folder}: no such folder of images')

    def read(self, name: str) -> np.ndarray:
        """(H, W, 3) uint8 RGB; errors as of `read_image`."""
        return read_image(self.folder / name)

    def size(self, name: str) -> tuple[int, int]:
        """(height, width) of what `read` gives, from the file's header alone.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: it is no picture.
        """
        pil = require('PIL.Image', 'pip install pillow', 'reading pictures')
        path = self.folder / name
        if not path.is_file():
            raise FileNotFoundError(f'{path}: no such picture')
        try:
            with pil.open(path) as picture:
                width, height = picture.size
                turned = picture.getexif().get(_EXIF_ORIENTATION) in _ON_ITS_SIDE
        except (OSError, SyntaxError, ValueError, pil.DecompressionBombError) as error:
            raise ValueError(f'{path} is no readable picture: {error}') from error
        return (width, height) if turned else (height, width)

    def sizes(self, names: Iterable[str]) -> dict[str, tuple[int, int]]:
        """`size` of every image by its name."""
        return {name: self.size(name) for name in names}


def check_images(
    folder: str | Path, names: Sequence[str], limit: int = 0, decode: bool = False
) -> dict[str, str]:
    """Which of the annotated images a folder lacks or holds broken.

    Args:
        names: file names in the folder.
        limit: so many missing or broken images are put up with.
        decode: read every pixel, some 10 ms an image; otherwise the headers alone, which does not
            find a file that was cut short.

    Returns:
        what is wrong by name, in the order of `names`; `faults_sentence` says it in words.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: more than `limit` images are missing or broken; one sentence.
    """
    images = ImageFolder(folder)
    look = images.read if decode else images.size
    faults: dict[str, str] = {}
    for name in names:
        try:
            look(name)
        except (FileNotFoundError, ValueError) as error:
            faults[name] = str(error)
    if len(faults) > limit:
        allowed = f'at most {limit} may be' if limit else 'none may be'
        raise ValueError(f'{faults_sentence(folder, faults, len(names))}; {allowed}')
    return faults


def faults_sentence(folder: str | Path, faults: Mapping[str, str], count: int) -> str:
    """E.g. 'images: 2 of 9658 images are missing or unreadable: a.jpg, b.jpg'.

    Args:
        faults: as of `check_images`, at least one.
        count: how many images were looked for.
    """
    first = ', '.join(list(faults)[:SHOWN])
    more = f' and {len(faults) - SHOWN} more' if len(faults) > SHOWN else ''
    return f'{folder}: {len(faults)} of {count} images are missing or unreadable: {first}{more}'
