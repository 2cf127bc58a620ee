"""Where a training run's pixels come from: image files, or feature maps that are computed once."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from link_hoi_core.backbones import fingerprint
from link_hoi_core.backbones.backbone import Backbone, Input, prepare
from link_hoi_core.data.annotated_image import AnnotatedImage
from link_hoi_core.data.feature_cache import Contents, FeatureCache, exclusive
from link_hoi_core.data.image_folder import ImageFolder
from link_hoi_core.data.views import Augmentation, View, fixed_view
from link_hoi_core.progress import progress
from link_hoi_core.training.experiment import DataConfig

TOGETHER = 16  # pictures that a backbone encodes at once


class Pictures(Protocol):
    """What each backbone of a run takes or makes of an image.

    Attributes:
        views: None = any view of an image can be had, 0 = only the whole image, K = its K fixed
            views (`views.fixed_view`).
        encoded: whether `load` gives feature maps.
    """

    views: int | None
    encoded: bool

    def load(self, name: str, view: View, number: int) -> tuple[Tensor, ...]:
        """One a backbone: a prepared image (3, h, w) float32, or a feature map (C, H, W) fp16.

        Args:
            name: of the image.
            view: what is seen of it.
            number: of the view, among an image's fixed ones.

        Raises:
            ValueError, OSError: the image or its map is missing or damaged; one sentence.
        """


class LivePictures:
    """Views of image files, prepared for each backbone."""

    views = None
    encoded = False

    def __init__(self, folder: ImageFolder, inputs: Sequence[Input]) -> None:
        """Take the images, and how each backbone wants them."""
        self._folder, self._inputs = folder, tuple(inputs)

    def load(self, name: str, view: View, number: int) -> tuple[Tensor, ...]:
        """As of `Pictures`."""
        image = self._folder.read(name)
        try:
            picture = view.picture(image)
        except ValueError as error:
            raise ValueError(f'{self._folder.path(name)}: {error}') from error
        prepared = {wanted: prepare([picture], wanted)[0] for wanted in set(self._inputs)}
        return tuple(prepared[wanted] for wanted in self._inputs)


class CachedMaps:
    """Feature maps of the views that caches, one a backbone, have in common."""

    encoded = True

    def __init__(self, caches: Sequence[FeatureCache]) -> None:
        """Take complete caches of the same views."""
        self._caches = tuple(caches)
        self.views = caches[0].contents.views

    def load(self, name: str, view: View, number: int) -> tuple[Tensor, ...]:
        """As of `Pictures`."""
        return tuple(cache.read(name, number) for cache in self._caches)


def open_pictures(
    data: DataConfig,
    augmentation: Augmentation,
    folder: ImageFolder | None,
    images: Sequence[AnnotatedImage],
    backbones: Sequence[Backbone],
    device: torch.device | str,
) -> Pictures | None:
    """The pictures of a run; None without backbones.

    With `data.cache`, each backbone's maps of the images that have a pair are computed on `device`
    unless they are there already: of several processes by the first, while the others wait. The
    backbones are on that device then.

    Raises:
        ValueError: backbones without images, or as `FeatureCache`; one sentence.
        OSError: an image is missing, or the disk has too little room.
    """
    if not backbones:
        return None
    if folder is None:
        raise ValueError(
            f'data.images names no folder of images, but {backbones[0].name} needs pixels'
        )
    if data.cache is None:
        return LivePictures(folder, [backbone.input for backbone in backbones])
    annotated = {image.file_name: image for image in images if len(image.hoi)}
    return CachedMaps(
        [_open_cache(data, augmentation, folder, annotated, each, device) for each in backbones]
    )


def _open_cache(
    data: DataConfig,
    augmentation: Augmentation,
    folder: ImageFolder,
    images: Mapping[str, AnnotatedImage],
    backbone: Backbone,
    device: torch.device | str,
) -> FeatureCache:
    """A complete cache of a backbone's maps of images by name, in a folder of its own."""
    contents = _contents(backbone, data.views, augmentation)
    path = Path(data.cache) / contents.folder
    sizes = {name: folder.path(name).stat().st_size for name in images}
    with exclusive(path):
        cache = FeatureCache(path, contents)
        missing = {name: sizes[name] for name in cache.missing(sizes)}
        if missing:
            _check_room(cache, len(missing), len(images))
            load = partial(_load_views, LivePictures(folder, [contents.input]), images, contents)
            _build(cache, missing, load, backbone.to(device), data.workers)
    return cache


def _contents(backbone: Backbone, views: int, augmentation: Augmentation) -> Contents:
    height, width = (side // backbone.stride for side in backbone.input.size)
    return Contents(
        backbone.name,
        fingerprint(backbone),
        backbone.feature_space,
        backbone.input,
        (backbone.width, height, width),
        views,
        augmentation,
    )


def _check_room(cache: FeatureCache, missing: int, count: int) -> None:
    """Say what a cache takes, and refuse to begin what the disk cannot hold."""
    contents, needed = cache.contents, missing * cache.contents.bytes
    views = f'{contents.views} views of ' if contents.views else ''
    print(
        f'{contents.backbone} maps of {views}{count:,} images: {_gigabytes(count * contents.bytes)}'
        f' in {cache.folder}, {_gigabytes(needed)} of it still to be made',
        flush=True,
    )
    free = shutil.disk_usage(cache.folder).free
    if free < needed:
        raise OSError(
            f'{cache.folder} has {_gigabytes(free)} free, but needs {_gigabytes(needed)} more: '
            f'make room, set data.cache to another disk, or lower data.views'
        )


def _gigabytes(count: int) -> str:
    return f'{count / 1e9:.1f} GB'


def _load_views(
    pictures: LivePictures, images: Mapping[str, AnnotatedImage], contents: Contents, name: str
) -> Tensor:
    """What a backbone has to encode of an image: (views or 1, 3, h, w)."""
    size = images[name].size
    views = [
        fixed_view(name, number, size, contents.augmentation) for number in range(contents.views)
    ] or [View.whole(size)]
    return torch.stack([pictures.load(name, view, row)[0] for row, view in enumerate(views)])


@torch.inference_mode()
def _build(
    cache: FeatureCache,
    missing: Mapping[str, int],
    load: Callable[[str], Tensor],
    backbone: Backbone,
    workers: int,
) -> None:
    """Encode the views of images and keep their maps.

    Args:
        missing: as of `FeatureCache.append`.
        load: gives an image's views, in this many threads, which decode and resize side by side.
    """
    device, names = next(backbone.parameters()).device, list(missing)
    together = max(1, TOGETHER // cache.contents.maps)
    with ThreadPoolExecutor(max(1, workers)) as pool, progress(backbone.name, len(names)) as show:
        for start in range(0, len(names), together):
            batch = names[start : start + together]
            views = torch.stack(list(pool.map(load, batch)))
            maps = backbone.encode_image(views.flatten(0, 1).to(device))
            cache.append(
                {name: missing[name] for name in batch}, maps.unflatten(0, views.shape[:2])
            )
            show(start + len(batch))
