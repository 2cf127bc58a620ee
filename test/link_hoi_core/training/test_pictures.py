"""Live pictures and cached maps agree, and a cache is built once, whatever happens meanwhile."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

pytest.importorskip('timm')

from link_hoi_core.backbones import BackboneConfig, build_backbone
from link_hoi_core.backbones.backbone import Backbone, prepare
from link_hoi_core.data.annotated_image import AnnotatedImage
from link_hoi_core.data.image_folder import ImageFolder
from link_hoi_core.data.views import Augmentation, View, fixed_view
from link_hoi_core.training.experiment import DataConfig
from link_hoi_core.training.pictures import Pictures, open_pictures

SIZE = (60, 80)
CHANGE = Augmentation(crop=0.5, colour=0.4)
CONFIG = BackboneConfig('timm:test_vit.r160_in1k', weights='random', image_size=32)

#: Builds the cache of a folder of images, as the training does, in a process of its own.
SCRIPT = f"""
import sys
import torch
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_pictures import *
torch.set_num_threads(1)
images, cache = map(Path, sys.argv[1:])
print('ready', flush=True)
open_all(images, cache, [build_backbone(CONFIG)])
"""


def annotated(name: str, pairs: int = 1) -> AnnotatedImage:
    boxes = np.tile(np.array([[5, 5, 40, 40]], np.float32), (pairs, 1))
    ids = np.zeros(pairs, np.int64)
    return AnnotatedImage(name, SIZE, boxes, boxes, ids, ids, ids)


def open_all(
    images: Path, cache: Path | None, backbones: list[Backbone], views: int = 2
) -> Pictures:
    found = [annotated(path.name) for path in sorted(images.iterdir())]
    data = DataConfig(cache=cache and str(cache), views=views)
    return open_pictures(data, CHANGE, ImageFolder(images), found, backbones, 'cpu')


@pytest.fixture(scope='module')
def backbone() -> Backbone:
    return build_backbone(CONFIG)


@pytest.fixture(scope='session')
def write_images(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    pil = pytest.importorskip('PIL.Image')

    def write(count: int) -> Path:
        folder = tmp_path_factory.mktemp('images')
        random = np.random.default_rng(0)
        for index in range(count):
            small = pil.fromarray(random.integers(0, 255, (6, 8, 3), np.uint8))
            small.resize(SIZE[::-1]).save(folder / f'{index:03d}.png')
        return folder

    return write


@pytest.fixture(scope='module')
def images(write_images: Callable[[int], Path]) -> Path:
    """Three images."""
    return write_images(3)


def index(cache: Path) -> list[str]:
    """The lines of the index of the only cache in there."""
    (path,) = cache.glob('*/index.jsonl')
    return path.read_text().splitlines()


def content(cache: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted(cache.glob('*/*')) if path.name != 'lock']


def test_without_backbone_there_are_no_pictures(images: Path) -> None:
    assert open_all(images, None, []) is None


def test_pixels_need_a_folder(backbone: Backbone) -> None:
    with pytest.raises(ValueError, match='names no folder of images, but timm:test_vit'):
        open_pictures(DataConfig(), CHANGE, None, [], [backbone], 'cpu')


def test_live_pictures_are_prepared_for_each_backbone(images: Path, backbone: Backbone) -> None:
    other = SimpleNamespace(input=type(backbone.input)((48, 48), (0, 0, 0), (1, 1, 1)))
    pictures = open_all(images, None, [backbone, other, backbone])
    assert pictures.views is None and not pictures.encoded
    view = View(SIZE, (10, 20, 70, 60), flip=True)
    found = pictures.load('001.png', view, 0)
    assert [tuple(picture.shape[1:]) for picture in found] == [(32, 32), (48, 48), (32, 32)]
    whole = ImageFolder(images).read('001.png')
    expected = prepare([whole[20:60, 10:70][:, ::-1]], backbone.input)[0]
    assert torch.equal(found[0], expected) and torch.equal(found[2], expected)
    assert found[0].dtype == torch.float32


def test_an_image_of_another_size_than_its_boxes_is_named(images: Path, backbone: Backbone) -> None:
    with pytest.raises(ValueError, match='001.png: the image is of 80 x 60 pixels, but its boxes'):
        open_all(images, None, [backbone]).load('001.png', View.whole((60, 90)), 0)


@pytest.mark.parametrize('views', [0, 2])
def test_cached_maps_are_the_live_ones_to_fp16(
    images: Path, backbone: Backbone, tmp_path: Path, views: int
) -> None:
    cached, live = open_all(images, tmp_path, [backbone], views), open_all(images, None, [backbone])
    assert cached.views == views and cached.encoded
    for name in ('000.png', '002.png'):
        for number in range(max(views, 1)):
            view = fixed_view(name, number, SIZE, CHANGE) if views else View.whole(SIZE)
            (found,) = cached.load(name, view, number)
            (picture,) = live.load(name, view, number)
            expected = backbone.encode_image(picture[None])[0]
            assert found.dtype == torch.float16
            torch.testing.assert_close(found.float(), expected, atol=2e-3, rtol=2e-3)


def test_a_cache_is_built_once_and_holds_only_what_is_trained_on(
    images: Path, backbone: Backbone, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    found = [annotated('000.png'), annotated('001.png', pairs=0), annotated('000.png')]
    data = DataConfig(cache=str(tmp_path))
    arguments = (data, CHANGE, ImageFolder(images), found, [backbone], 'cpu')
    state = torch.get_rng_state()
    open_pictures(*arguments)
    assert 'maps of 1 images: 0.0 GB in ' in capsys.readouterr().out
    assert len(index(tmp_path)) == 2
    before = content(tmp_path)
    open_pictures(*arguments)
    assert capsys.readouterr().out == ''
    assert content(tmp_path) == before
    assert torch.equal(torch.get_rng_state(), state)


def test_a_terminal_shows_how_many_images_are_in_the_cache(
    images: Path, backbone: Backbone, tmp_path: Path, terminal: pytest.CaptureFixture
) -> None:
    open_all(images, tmp_path, [backbone])
    shown = terminal.readouterr()
    assert backbone.name in shown.err and '3/3' in shown.err and '3/3' not in shown.out


def test_each_backbone_has_its_own_cache(images: Path, backbone: Backbone, tmp_path: Path) -> None:
    other = build_backbone(BackboneConfig(CONFIG.name, 'random', image_size=32, seed=1))
    pictures = open_all(images, tmp_path, [backbone, other], views=0)
    first, second = pictures.load('000.png', View.whole(SIZE), 0)
    assert len(list(tmp_path.iterdir())) == 2
    assert first.shape == second.shape and not torch.equal(first, second)
    (swapped, _) = open_all(images, tmp_path, [other, backbone], views=0).load(
        '000.png', View.whole(SIZE), 0
    )
    assert torch.equal(swapped, second)


def test_too_little_room_is_told_before(
    images: Path, backbone: Backbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, 'disk_usage', lambda path: SimpleNamespace(free=1000))
    with pytest.raises(OSError, match='has 0.0 GB free, but needs 0.0 GB more: make room, set'):
        open_all(images, tmp_path, [backbone])
    assert list(tmp_path.glob('*/maps*')) == []


def test_a_broken_image_is_named_and_what_was_done_is_kept(
    write_images: Callable[[int], Path], backbone: Backbone, tmp_path: Path
) -> None:
    images = write_images(20)
    whole = (images / '017.png').read_bytes()
    (images / '017.png').write_bytes(whole[:100])
    with pytest.raises(ValueError, match='017.png'):
        open_all(images, tmp_path, [backbone])
    assert len(index(tmp_path)) == 1 + 16
    (images / '017.png').write_bytes(whole)
    open_all(images, tmp_path, [backbone])
    assert len(index(tmp_path)) == 1 + 20


@pytest.mark.slow
def test_a_killed_build_goes_on_and_two_at_once_build_one_cache(
    write_images: Callable[[int], Path], backbone: Backbone, tmp_path: Path
) -> None:
    images = write_images(200)
    whole, broken = tmp_path / 'whole', tmp_path / 'broken'
    command = [sys.executable, '-c', SCRIPT, str(images)]
    with subprocess.Popen([*command, str(broken)]) as process:
        while not list(broken.glob('*/index.jsonl')) or len(index(broken)) < 20:
            assert process.poll() is None
            time.sleep(0.001)
        process.kill()
    done = len(index(broken)) - 1
    assert done < 200

    both = [subprocess.Popen([*command, str(broken)]) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    open_all(images, whole, [backbone])
    assert len(index(broken)) == 1 + 200
    assert content(broken) == content(whole)
