"""Pictures of every kind come out as (H, W, 3) uint8 RGB, or as one sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from link_hoi_core.images import as_rgb, read_image

pil = pytest.importorskip('PIL.Image')


@pytest.fixture
def picture() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (4, 6, 3)).astype(np.uint8)


def test_rgb_comes_back_as_it_is(picture: np.ndarray) -> None:
    assert np.shares_memory(as_rgb(picture), picture)
    np.testing.assert_array_equal(as_rgb(picture), picture)


@pytest.mark.parametrize('shape', [(4, 6), (4, 6, 1)])
def test_grey_is_repeated(picture: np.ndarray, shape: tuple[int, ...]) -> None:
    found = as_rgb(picture[:, :, 0].reshape(shape))
    np.testing.assert_array_equal(found, np.repeat(picture[:, :, :1], 3, axis=2))


def test_alpha_is_dropped(picture: np.ndarray) -> None:
    alpha = np.zeros((4, 6, 1), np.uint8)
    np.testing.assert_array_equal(as_rgb(np.concatenate([picture, alpha], 2)), picture)


@pytest.mark.parametrize('dtype', ['<u2', '>u2', '<i4', '>i4'])
def test_16_bits_keep_their_upper_eight(picture: np.ndarray, dtype: str) -> None:
    deep = (picture.astype(np.int32) * 256 + 77).astype(dtype)
    found = as_rgb(deep)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, picture)


def test_truth_values_are_black_and_white() -> None:
    np.testing.assert_array_equal(as_rgb(np.eye(2, dtype=bool))[:, :, 1], [[255, 0], [0, 255]])


def test_a_single_pixel_is_a_picture() -> None:
    assert as_rgb(np.zeros((1, 1), np.uint8)).shape == (1, 1, 3)


@pytest.mark.parametrize(
    ('image', 'sentence'),
    [
        (np.zeros((0, 5, 3), np.uint8), 'image of 5 x 0 pixels is empty'),
        (np.zeros((2, 5, 2), np.uint8), r'image has shape \(2, 5, 2\), expected \(H, W\) or'),
        (np.zeros(5, np.uint8), r'image has shape \(5,\)'),
        (np.zeros((2, 2, 3), np.float32), 'image is of type float32, expected uint8 or uint16'),
    ],
)
def test_what_is_no_image_is_one_sentence(image: np.ndarray, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        as_rgb(image)


@pytest.mark.parametrize('mode', ['RGB', 'RGBA', 'P', '1', 'L', 'LA', 'CMYK'])
def test_a_file_of_any_mode_is_read_as_rgb(picture: np.ndarray, tmp_path: Path, mode: str) -> None:
    file = tmp_path / ('picture.tiff' if mode == 'CMYK' else 'picture.png')
    saved = pil.fromarray(picture).convert(mode)
    saved.save(file)
    found = read_image(file)
    assert found.shape == (4, 6, 3) and found.dtype == np.uint8
    np.testing.assert_array_equal(found, np.asarray(saved.convert('RGB')))


@pytest.mark.parametrize(('file', 'order'), [('deep.png', '<'), ('deep.tif', '>')])
def test_a_16_bit_file_keeps_its_upper_eight_bits(tmp_path: Path, file: str, order: str) -> None:
    deep = np.array([[0, 255, 256], [32768, 65279, 65535]], f'{order}u2')
    pil.fromarray(deep).save(tmp_path / file)
    found = read_image(tmp_path / file)
    np.testing.assert_array_equal(found[:, :, 0], [[0, 0, 1], [128, 254, 255]])
    np.testing.assert_array_equal(found[:, :, 0], found[:, :, 2])


#: EXIF orientation -> what turns the stored pixels upright.
TURNS = {
    1: lambda pixels: pixels,
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.transpose(1, 0, 2),
    6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: pixels[::-1, ::-1].transpose(1, 0, 2),
    8: lambda pixels: np.rot90(pixels),
}


@pytest.mark.parametrize('orientation', TURNS)
def test_a_camera_held_sideways_is_turned(
    picture: np.ndarray, tmp_path: Path, orientation: int
) -> None:
    stored = pil.fromarray(picture)
    exif = stored.getexif()
    exif[0x0112] = orientation
    stored.save(tmp_path / 'turned.png', exif=exif)
    found = read_image(str(tmp_path / 'turned.png'))
    np.testing.assert_array_equal(found, TURNS[orientation](picture))


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    for path in (tmp_path / 'absent.jpg', tmp_path):
        with pytest.raises(FileNotFoundError, match=f'^{path}: no such picture$'):
            read_image(path)


@pytest.mark.parametrize('ending', ['jpg', 'png', 'gif', 'tiff', 'webp', 'bmp'])
def test_a_damaged_file_is_one_sentence(tmp_path: Path, ending: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    whole, damaged = tmp_path / f'whole.{ending}', tmp_path / f'damaged.{ending}'
    pil.fromarray(noise).save(whole)
    content = whole.read_bytes()
    for part in (b'', content[:10], content[: len(content) // 2], b'no picture at all'):
        damaged.write_bytes(part)
        with pytest.raises(ValueError, match=f'^{damaged} is no readable picture: ') as caught:
            read_image(damaged)
        assert '\n' not in str(caught.value)


def test_a_picture_made_to_exhaust_the_memory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pil.fromarray(np.zeros((64, 64, 3), np.uint8)).save(tmp_path / 'bomb.png')
    monkeypatch.setattr(pil, 'MAX_IMAGE_PIXELS', 1000)
    with pytest.raises(ValueError, match='bomb.png is no readable picture: .*decompression bomb'):
        read_image(tmp_path / 'bomb.png')
