"""How images are prepared for a backbone, whatever their size."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

from link_hoi_core.backbones import BackboneConfig
from link_hoi_core.backbones.backbone import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Input,
    choose_input,
    prepare,
)

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)


def cubic(x: np.ndarray) -> np.ndarray:
    """Keys' kernel with a = -0.5, as Pillow and anti-aliasing torch have it."""
    x = np.abs(x)
    near = 1.5 * x**3 - 2.5 * x**2 + 1
    far = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return np.where(x < 1, near, np.where(x < 2, far, 0))


def linear(x: np.ndarray) -> np.ndarray:
    return np.maximum(0, 1 - np.abs(x))


def resampling(size: int, wanted: int, kernel: object) -> np.ndarray:
    """(wanted, size) float64: how much each pixel adds to each of the new ones."""
    scale = size / wanted
    centres = (np.arange(wanted) + 0.5) * scale
    distances = np.arange(size) + 0.5 - centres[:, None]
    weights = kernel(distances / max(scale, 1))
    return weights / weights.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(('interpolation', 'kernel'), [('bicubic', cubic), ('bilinear', linear)])
@pytest.mark.parametrize(('height', 'width'), [(100, 171), (17, 9), (32, 48), (1, 1), (300, 5)])
def test_an_image_is_stretched_and_normalised(
    interpolation: str, kernel: object, height: int, width: int
) -> None:
    image = picture(height, width)
    rows, columns = resampling(height, 32, kernel), resampling(width, 48, kernel)
    small = np.einsum('yh,hwc,xw->cyx', rows, image / 255, columns).clip(0, 1)
    expected = (small - np.reshape(MEAN, (3, 1, 1))) / np.reshape(STD, (3, 1, 1))
    found = prepare([image], Input((32, 48), MEAN, STD, interpolation))
    assert found.shape == (1, 3, 32, 48) and found.dtype == torch.float32
    np.testing.assert_allclose(found[0].numpy(), expected, rtol=0, atol=2e-5)


def test_a_batch_gives_what_single_images_give() -> None:
    wanted = Input((32, 32), MEAN, STD)
    images = [picture(10, 20), picture(64, 48, 1), picture(32, 32, 2)]
    singles = torch.cat([prepare([image], wanted) for image in images])
    assert torch.equal(prepare(images, wanted), singles)
    assert prepare([], wanted).shape == (0, 3, 32, 32)


def test_the_type_is_the_one_asked_for() -> None:
    found = prepare([picture(8, 8)], Input((8, 8), MEAN, STD), dtype=torch.bfloat16)
    assert found.dtype == torch.bfloat16


def test_mirrored_and_read_only_images_are_taken() -> None:
    image = picture(16, 24)
    mirrored = image[:, ::-1]
    image.setflags(write=False)
    wanted = Input((16, 24), MEAN, STD)
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        both = prepare([image, mirrored], wanted)
    torch.testing.assert_close(both[0], both[1].flip(2))


def test_the_input_is_the_pretrained_one_unless_configured() -> None:
    own = choose_input(BackboneConfig(name='a'), 14, 384, MEAN, STD)
    assert own == Input((378, 378), MEAN, STD, 'bicubic')  # 27 patches of 14 fit in 384
    config = BackboneConfig(name='a', image_size=56, statistics='imagenet')
    chosen = choose_input(config, 14, 384, MEAN, STD, 'bilinear')
    assert chosen == Input((56, 56), IMAGENET_MEAN, IMAGENET_STD, 'bilinear')


@pytest.mark.parametrize(('size', 'near'), [(100, '98 or 112'), (5, '14 or 28')])
def test_a_size_between_the_multiples_of_the_stride_is_an_error(size: int, near: str) -> None:
    with pytest.raises(
        ValueError, match=f'image_size is {size}, but a takes multiples of 14, .*{near}'
    ):
        choose_input(BackboneConfig(name='a', image_size=size), 14, 224, MEAN, STD)
