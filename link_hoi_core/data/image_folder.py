"""The images of a data set in folders, and a clear sentence where some are missing or broken."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from link_hoi_core.images import read_image
from link_hoi_core.optional import require
from link_hoi_core.progress import track

SHOWN = 3  # images that a sentence names
MANY = 1000  # images, which take some ten seconds: worth a progress bar
_EXIF_ORIENTATION = 0x0112
_ON_ITS_SIDE = (5, 6, 7, 8)


class ImageFolder:
    """Images by the file names of the annotations, in one folder or several."""

    def __init__(self, *folders: str | Path) -> None:
        """Take folders, at least one; an image is looked for in one after the other.

        Raises:
            FileNotFoundError: there is no such folder.
        """
        self.folders = tuple(map(Path, folders))
        for folder in self.folders:
            if not folder.is_dir():
                raise FileNotFoundError(f'{folder}: no such folder of images')

    def __str__(self) -> str:
        return ', '.join(map(str, self.folders))

    def path(self, name: str) -> Path:
        """The file of an image.

        Raises:
            FileNotFoundError: no folder has it.
        """
        for folder in self.folders:
            if (folder / name).is_file():
                return folder / name
        raise FileNotFoundError(f'{name}: no such picture in {self}')

    def read(self, name: str) -> np.ndarray:
        """(H, W, 3) uint8 RGB; errors as of `path` and `read_image`."""
        return read_image(self.path(name))

    def size(self, name: str) -> tuple[int, int]:
        """(height, width) of what `read` gives, from the file's header alone.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: it is no picture.
        """
        pil = require('PIL.Image', 'pip install pillow', 'reading pictures')
        path = self.path(name)
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
    folder: ImageFolder, images: Mapping[str, tuple[int, int] | None], limit: int = 0
) -> dict[str, str]:
    """Which of the annotated images are missing or broken; reads every pixel, in threads.

    Args:
        images: (height, width) by file name as annotated, None where that is not known.
        limit: so many missing or broken images are put up with.

    Returns:
        what is wrong by name, in the order of `images`; `faults_sentence` says it in words.

    Raises:
        ValueError: more than `limit` images are missing or broken; one sentence.
    """

    def fault(image: tuple[str, tuple[int, int] | None]) -> str | None:
        name, size = image
        try:
            height, width = folder.read(name).shape[:2]
        except (FileNotFoundError, ValueError) as error:
            return str(error)
        if size in (None, (height, width)):
            return None
        return f'{name} is {width} x {height} pixels, but annotated as {size[1]} x {size[0]}'

    with ThreadPoolExecutor() as pool:  # Pillow decodes without holding the interpreter's lock
        found = pool.map(fault, images.items())
        if len(images) >= MANY:
            found = track(found, 'reading images', len(images))
        faults = {name: wrong for wrong, name in zip(found, images) if wrong is not None}
    if len(faults) > limit:
        allowed = f'at most {limit} may be' if limit else 'none may be'
        raise ValueError(f'{faults_sentence(folder, faults, len(images))}; {allowed}')
    return faults


def faults_sentence(folder: ImageFolder, faults: Mapping[str, str], count: int) -> str:
    """E.g. 'images: 2 of 9658 images are missing or broken: a.jpg, b.jpg (no such picture ...)'.

    Args:
        faults: as of `check_images`, at least one.
        count: how many images were looked for.
    """
    first = ', '.join(list(faults)[:SHOWN])
    more = f' and {len(faults) - SHOWN} more' if len(faults) > SHOWN else ''
    reason = next(iter(faults.values()))
    return (
        f'{folder}: {len(faults)} of {count} images are missing or broken: {first}{more} ({reason})'
    )
