"""Feature maps that a frozen backbone made once, in a folder: fp16, checksummed, resumable."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from link_hoi_core.backbones.backbone import Input
from link_hoi_core.data.journal import Journal
from link_hoi_core.data.views import Augmentation

MAPS, INDEX, LOCK = 'maps.fp16', 'index.jsonl', 'lock'
SEEN = ('flip', 'crop', 'colour')  # what of an augmentation changes pixels
BYTES = 2  # of a value
FORMAT = 1  # to be raised when views are cut, prepared or kept in another way


@dataclass(frozen=True)
class Contents:
    """What the maps of a cache are of; a cache of anything else is not used.

    Attributes:
        backbone: its name.
        weights: `backbones.fingerprint` of its weights.
        feature_space: as of `BackboneConfig`.
        input: how it wants its images.
        shape: (C, H, W) of a map.
        views: of the K fixed views of each image (`views.fixed_view`); 0 = of the image as it is.
        augmentation: what the fixed views are drawn by.
    """

    backbone: str
    weights: str
    feature_space: str
    input: Input
    shape: tuple[int, int, int]
    views: int
    augmentation: Augmentation

    @property
    def maps(self) -> int:
        """How many maps an image has."""
        return max(self.views, 1)

    @property
    def bytes(self) -> int:
        """What the maps of one image take on disk."""
        return self.maps * int(np.prod(self.shape)) * BYTES

    @property
    def settings(self) -> dict[str, Any]:
        """All of it that matters, as JSON gives it back."""
        drawn = {key: value for key, value in asdict(self.augmentation).items() if key in SEEN}
        changed = {'format': FORMAT, 'augmentation': drawn if self.views else None}
        return json.loads(json.dumps(asdict(self) | changed))

    @property
    def folder(self) -> str:
        """A name that caches of other contents do not have, e.g. 'clip-vit-b16-0123456789ab'."""
        digest = hashlib.sha256(json.dumps(self.settings, sort_keys=True).encode()).hexdigest()
        return f'{re.sub(r"[^A-Za-z0-9_.-]", "_", self.backbone)}-{digest[:12]}'


class FeatureCache:
    """The maps of images by name, each image's one after the other in a single file.

    The index, a line an image, says in which order they lie; a map counts once its line is there,
    which is written after the map has reached the disk. Maps are read, not mapped: what the system
    keeps of the file in memory is shared by all processes likewise, and a file that someone cuts
    short meanwhile is an error rather than the end of the process.
    """

    def __init__(self, folder: Path, contents: Contents) -> None:
        """Open a cache, or begin one; `exclusive` keeps others from writing to it meanwhile.

        Raises:
            ValueError: it is of other contents, damaged, or cut short; one sentence.
        """
        self.folder, self.contents = folder, contents
        self._journal = Journal(folder / INDEX, contents.settings)
        entries = self._journal.entries
        for entry in entries:
            if set(entry) != {'name', 'bytes', 'checksums'}:
                raise ValueError(f'{folder / INDEX} is damaged: delete {folder}, it is made anew')
        self._rows = {entry['name']: row for row, entry in enumerate(entries)}
        needed = len(entries) * contents.bytes
        found = (folder / MAPS).stat().st_size if (folder / MAPS).is_file() else 0
        if found < needed:
            raise ValueError(
                f'{folder / MAPS} is cut short ({found:,} bytes, expected {needed:,}): delete '
                f'{folder}, it is made anew'
            )

    def missing(self, sizes: Mapping[str, int]) -> list[str]:
        """Which images the cache does not have yet, in their order; it may have others too.

        Args:
            sizes: bytes of the file of each image by name.

        Raises:
            ValueError: an image is not the one that was cached; one sentence.
        """
        for name, size in sizes.items():
            if name in self._rows:
                cached = self._journal.entries[self._rows[name]]['bytes']
                if cached != size:
                    raise ValueError(
                        f'{name} has {size:,} bytes, but had {cached:,} when its maps were put '
                        f'into {self.folder}: delete that folder, or put the image back'
                    )
        return [name for name in sizes if name not in self._rows]

    def append(self, sizes: Mapping[str, int], maps: Tensor) -> None:
        """Keep the maps of more images; once this returns, a kill does not lose them.

        Args:
            sizes: as of `missing`, N images.
            maps: (N, views or 1, C, H, W), in any precision, on any device.

        Raises:
            ValueError: a map is of another shape, or has a value that fp16 does not.
            OSError: the disk is full; what was kept before is still there.
        """
        expected = (len(sizes), self.contents.maps, *self.contents.shape)
        if maps.shape != expected:
            raise ValueError(f'maps are of shape {tuple(maps.shape)}, expected {expected}')
        values = maps.half().cpu().contiguous()
        if not values.isfinite().all():
            raise ValueError(
                f'{self.contents.backbone} gives values beyond fp16 for one of {", ".join(sizes)}: '
                f'train it without data.cache'
            )
        values = values.numpy()
        entries = [
            {'name': name, 'bytes': size, 'checksums': [zlib.crc32(one) for one in of_image]}
            for (name, size), of_image in zip(sizes.items(), values)
        ]
        first = len(self._journal.entries)
        try:
            self._write(values.tobytes(), first * self.contents.bytes)
            self._journal.append(entries)
        except OSError as error:
            raise OSError(
                error.errno,
                f'{self.folder} cannot take more maps after those of {first:,} images '
                f'({error.strerror}): make room and start again, it goes on from there',
            ) from error
        self._rows |= {name: first + row for row, name in enumerate(sizes)}

    def read(self, name: str, number: int = 0) -> Tensor:
        """The map (C, H, W) fp16 of view `number` of an image.

        Its checksum is verified each time, some 0.4 ms a megabyte.

        Raises:
            KeyError: the cache does not have the image.
            ValueError: the map is damaged; one sentence.
        """
        row = self._rows[name]
        size = self.contents.bytes // self.contents.maps
        values = np.fromfile(
            self.folder / MAPS,
            np.uint8,
            count=size,
            offset=row * self.contents.bytes + number * size,
        )
        if zlib.crc32(values) != self._journal.entries[row]['checksums'][number]:
            raise ValueError(
                f'{self.folder / MAPS}: the map of {name} is damaged: delete {self.folder}, it is '
                f'made anew'
            )
        return torch.from_numpy(values.view(np.float16).reshape(self.contents.shape))

    def _write(self, content: bytes, offset: int) -> None:
        """Overwrites what a killed run had written without recording it."""
        path = self.folder / MAPS
        with path.open('r+b' if path.exists() else 'xb') as file:
            file.seek(offset)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Make a folder, and wait until no other process is in here with it; a kill lets go of it."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open('w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
