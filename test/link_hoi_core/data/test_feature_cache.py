"""A cache gives back what was put in, goes on where it stopped, and never gives anything else."""

from __future__ import annotations

import pickle
import resource
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from link_hoi_core.backbones.backbone import CLIP_MEAN, CLIP_STD, Input
from link_hoi_core.data.feature_cache import INDEX, MAPS, Contents, FeatureCache
from link_hoi_core.data.views import Augmentation

CONTENTS = Contents(
    backbone='timm:some/model',
    weights='0123456789abcdef',
    feature_space='proj',
    input=Input((32, 32), CLIP_MEAN, CLIP_STD),
    shape=(8, 4, 4),
    views=2,
    augmentation=Augmentation(),
)
SIZES = {'a.jpg': 100, 'b.jpg': 200, 'c.jpg': 300}
ONE = CONTENTS.bytes  # of an image


def some_maps(count: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 2, 8, 4, 4, generator=generator)


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    """A cache of three images with two views each."""
    FeatureCache(tmp_path, CONTENTS).append(SIZES, some_maps(3))
    return tmp_path


def test_maps_come_back_in_fp16(filled: Path) -> None:
    cache, maps = FeatureCache(filled, CONTENTS), some_maps(3).half()
    assert cache.missing(SIZES) == []
    for row, name in enumerate(SIZES):
        for view in range(2):
            assert torch.equal(cache.read(name, view), maps[row, view])


def test_more_images_are_added_to_those_that_are_there(filled: Path) -> None:
    more = {'b.jpg': 200, 'd.jpg': 400, 'a.jpg': 100}
    cache = FeatureCache(filled, CONTENTS)
    assert cache.missing(more) == ['d.jpg']
    cache.append({'d.jpg': 400}, some_maps(1, seed=1))
    again = FeatureCache(filled, CONTENTS)
    assert again.missing(SIZES | more) == []
    assert torch.equal(again.read('d.jpg', 1), some_maps(1, seed=1)[0, 1].half())
    assert torch.equal(again.read('a.jpg', 0), some_maps(3)[0, 0].half())


def test_a_cache_goes_to_worker_processes(filled: Path) -> None:
    sent = pickle.loads(pickle.dumps(FeatureCache(filled, CONTENTS)))
    assert torch.equal(sent.read('c.jpg', 1), some_maps(3)[2, 1].half())


def test_what_was_written_but_not_recorded_is_written_again(tmp_path: Path) -> None:
    """Killed between the two: the maps are longer than the index says, a line is cut short."""
    FeatureCache(tmp_path, CONTENTS).append({'a.jpg': 100}, some_maps(3)[:1])
    with (tmp_path / MAPS).open('ab') as file:
        file.write(b'\x7f' * (ONE + 5))
    with (tmp_path / INDEX).open('ab') as file:
        file.write(b'{"name": "b.jpg", "byt')
    cache = FeatureCache(tmp_path, CONTENTS)
    assert cache.missing(SIZES) == ['b.jpg', 'c.jpg']
    cache.append({'b.jpg': 200, 'c.jpg': 300}, some_maps(3)[1:])
    again = FeatureCache(tmp_path, CONTENTS)
    for row, name in enumerate(SIZES):
        assert torch.equal(again.read(name, 1), some_maps(3)[row, 1].half())
    assert (tmp_path / MAPS).stat().st_size == 3 * ONE


@pytest.mark.parametrize(
    ('change', 'key'),
    [
        ({'weights': 'fedcba9876543210'}, 'weights'),
        ({'feature_space': 'width'}, 'feature_space'),
        ({'views': 3}, 'views'),
        ({'augmentation': Augmentation(colour=0.4)}, 'augmentation'),
        ({'input': Input((64, 64), CLIP_MEAN, CLIP_STD)}, 'input'),
        ({'shape': (4, 8, 4)}, 'shape'),
    ],
)
def test_another_configuration_is_refused_and_has_another_folder(
    filled: Path, change: dict, key: str
) -> None:
    other = replace(CONTENTS, **change)
    with pytest.raises(ValueError, match=f'was begun with {key} .*delete it'):
        FeatureCache(filled, other)
    assert other.folder != CONTENTS.folder


def test_what_changes_no_pixel_changes_no_cache() -> None:
    assert replace(CONTENTS, augmentation=Augmentation(jitter=0.3)).folder == CONTENTS.folder
    whole = replace(CONTENTS, views=0)
    assert replace(whole, augmentation=Augmentation(colour=0.4)).folder == whole.folder
    assert CONTENTS.folder.startswith('timm_some_model-')


def test_a_replaced_image_is_found(filled: Path) -> None:
    message = (
        r'^b.jpg has 201 bytes, but had 200 when .*: delete that folder, or put the image back$'
    )
    with pytest.raises(ValueError, match=message):
        FeatureCache(filled, CONTENTS).missing(SIZES | {'b.jpg': 201})


def test_a_flipped_bit_is_found(filled: Path) -> None:
    content = bytearray((filled / MAPS).read_bytes())
    content[ONE + ONE // 2] ^= 1  # the second view of b.jpg
    (filled / MAPS).write_bytes(content)
    cache = FeatureCache(filled, CONTENTS)
    cache.read('b.jpg', 0)
    with pytest.raises(ValueError, match=f'{MAPS}: the map of b.jpg is damaged: delete '):
        cache.read('b.jpg', 1)


@pytest.mark.parametrize('left', [0, 3 * ONE - 1])
def test_a_file_that_was_cut_short_is_found(filled: Path, left: int) -> None:
    before = FeatureCache(filled, CONTENTS)
    with (filled / MAPS).open('r+b') as file:
        file.truncate(left)
    with pytest.raises(ValueError, match=f'is cut short .{left:,} bytes, expected {3 * ONE:,}.: '):
        FeatureCache(filled, CONTENTS)
    with pytest.raises(ValueError, match='the map of c.jpg is damaged'):
        before.read('c.jpg', 1)


def test_maps_without_their_index_are_made_anew(filled: Path) -> None:
    (filled / INDEX).unlink()
    assert FeatureCache(filled, CONTENTS).missing(SIZES) == list(SIZES)


def test_a_damaged_index_is_one_sentence(filled: Path) -> None:
    path = filled / INDEX
    path.write_bytes(path.read_bytes().replace(b'checksums', b'checksumz', 1))
    with pytest.raises(ValueError, match=f'{INDEX} is damaged: delete '):
        FeatureCache(filled, CONTENTS)


def test_a_full_disk_is_one_sentence_and_loses_nothing(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path, CONTENTS)
    cache.append({'a.jpg': 100}, some_maps(3)[:1])
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (ONE + ONE // 2, usual[1]))
    try:
        with pytest.raises(OSError, match=r'after those of 1 images \(.*\): make room and start'):
            cache.append({'b.jpg': 200, 'c.jpg': 300}, some_maps(3)[1:])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
    again = FeatureCache(tmp_path, CONTENTS)
    assert again.missing(SIZES) == ['b.jpg', 'c.jpg']
    assert torch.equal(again.read('a.jpg', 1), some_maps(3)[0, 1].half())


def test_values_that_fp16_lacks_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match='gives values beyond fp16 for one of a.jpg: '):
        FeatureCache(tmp_path, CONTENTS).append({'a.jpg': 100}, some_maps(1) * 1e6)
    with pytest.raises(ValueError, match='shape'):
        FeatureCache(tmp_path, CONTENTS).append({'a.jpg': 100}, some_maps(1)[:, :1])


def test_a_cache_can_be_moved(filled: Path, tmp_path: Path) -> None:
    moved = tmp_path / 'elsewhere'
    shutil.copytree(filled, moved, ignore=shutil.ignore_patterns('elsewhere'))
    assert torch.equal(FeatureCache(moved, CONTENTS).read('a.jpg'), some_maps(3)[0, 0].half())
