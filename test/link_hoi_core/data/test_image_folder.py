"""A folder's images, their sizes without reading them, and what is said of missing ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from link_hoi_core.data.image_folder import ImageFolder, check_images, faults_sentence

pil = pytest.importorskip('PIL.Image')


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two sound images, an empty file, a text, and an image cut short."""
    pixels = np.random.default_rng(0).integers(0, 256, (48, 64, 3)).astype(np.uint8)
    for name in ('a.png', 'b.jpg', 'cut.jpg'):
        pil.fromarray(pixels).save(tmp_path / name)
    cut = tmp_path / 'cut.jpg'
    cut.write_bytes(cut.read_bytes()[:2000])
    (tmp_path / 'empty.jpg').touch()
    (tmp_path / 'text.jpg').write_text('<html>404</html>')
    return tmp_path


def test_images_and_sizes_by_name(folder: Path) -> None:
    images = ImageFolder(folder)
    found = images.read('a.png')
    assert (found.shape, found.dtype) == ((48, 64, 3), np.uint8)
    assert images.sizes(['a.png', 'b.jpg']) == {'a.png': (48, 64), 'b.jpg': (48, 64)}


@pytest.mark.parametrize('orientation', range(1, 9))
def test_a_size_is_that_of_the_image_as_it_is_read(tmp_path: Path, orientation: int) -> None:
    exif = pil.Exif()
    exif[0x0112] = orientation
    pil.new('RGB', (64, 48)).save(tmp_path / 'turned.jpg', exif=exif)
    images = ImageFolder(tmp_path)
    assert images.size('turned.jpg') == images.read('turned.jpg').shape[:2]


@pytest.mark.parametrize(
    ('name', 'kind'),
    [('gone.jpg', FileNotFoundError), ('empty.jpg', ValueError), ('text.jpg', ValueError)],
)
def test_a_missing_or_broken_image_is_named(folder: Path, name: str, kind: type) -> None:
    for look in (ImageFolder(folder).read, ImageFolder(folder).size):
        with pytest.raises(kind, match=name):
            look(name)


def test_an_image_is_looked_for_in_one_folder_after_the_other(folder: Path, tmp_path: Path) -> None:
    second = tmp_path / 'second'
    second.mkdir()
    pil.new('RGB', (10, 20)).save(second / 'c.png')
    pil.new('RGB', (10, 20)).save(second / 'a.png')
    images = ImageFolder(folder, second)
    assert images.sizes(['a.png', 'c.png']) == {'a.png': (48, 64), 'c.png': (20, 10)}
    assert images.read('c.png').shape == (20, 10, 3)
    with pytest.raises(FileNotFoundError, match=f'gone.png: no such picture in {folder}, {second}'):
        images.read('gone.png')


def check(folder: Path, names: list[str], limit: int = 0) -> dict[str, str]:
    return check_images(ImageFolder(folder), dict.fromkeys(names), limit)


def test_sound_images_have_no_faults(folder: Path) -> None:
    assert check(folder, ['a.png', 'b.jpg']) == {}
    assert check(folder, []) == {}


def test_more_faults_than_allowed_are_one_sentence(folder: Path) -> None:
    names = ['a.png', 'empty.jpg', 'gone.jpg', 'b.jpg', 'text.jpg', 'lost.jpg']
    with pytest.raises(ValueError) as error:
        check(folder, names, limit=3)
    said = str(error.value)
    assert said.startswith(
        f'{folder}: 4 of 6 images are missing or broken: empty.jpg, gone.jpg, text.jpg and 1 more '
    )
    assert said.endswith('; at most 3 may be') and '\n' not in said
    with pytest.raises(
        ValueError,
        match=r'1 of 2 images .*: gone.jpg \(gone.jpg: no such picture in .*; none may be$',
    ):
        check(folder, ['a.png', 'gone.jpg'])


def test_faults_within_the_limit_are_told(folder: Path) -> None:
    names = ['gone.jpg', 'a.png', 'empty.jpg']
    faults = check(folder, names, limit=2)
    assert list(faults) == ['gone.jpg', 'empty.jpg']
    assert 'no such picture' in faults['gone.jpg']
    sentence = faults_sentence(ImageFolder(folder), faults, len(names))
    assert ' 2 of 3 images are missing or broken: gone.jpg, empty.jpg (' in sentence


def test_an_image_cut_short_is_found(folder: Path) -> None:
    with pytest.raises(ValueError, match='1 of 1 images .*: cut.jpg'):
        check(folder, ['cut.jpg'])


def test_an_image_of_another_size_than_annotated_is_found(folder: Path) -> None:
    faults = check_images(ImageFolder(folder), {'a.png': (48, 64), 'b.jpg': (64, 48)}, limit=1)
    assert faults == {'b.jpg': 'b.jpg is 64 x 48 pixels, but annotated as 48 x 64'}


def test_many_images_are_counted_on_a_progress_bar(
    folder: Path, monkeypatch: pytest.MonkeyPatch, terminal: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr('link_hoi_core.data.image_folder.MANY', 2)
    assert list(check(folder, ['a.png', 'gone.jpg', 'b.jpg'], limit=1)) == ['gone.jpg']
    shown = terminal.readouterr()
    assert 'reading images' in shown.err and '3/3' in shown.err and not shown.out


def test_no_folder(folder: Path) -> None:
    with pytest.raises(FileNotFoundError, match='nowhere: no such folder of images'):
        ImageFolder(folder, folder / 'nowhere')


def test_real_photos(shared: Path) -> None:
    folder = shared / 'data/images'
    names = [path.name for path in folder.iterdir() if path.suffix in ('.jpg', '.jpeg')]
    assert len(names) == 50
    assert check(folder, names) == {}
