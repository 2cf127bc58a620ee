"""What every frozen foundation model offers: a feature map of an image, embeddings of texts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

FEATURE_SPACES = ('proj', 'width')
STATISTICS = ('own', 'imagenet')
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True)
class BackboneConfig:
    """Which foundation model, and what of it.

    Attributes:
        name: as in `backbones.BACKBONES`, or 'open_clip:ARCHITECTURE@TAG', 'timm:MODEL'; 'none' =
            the model sees no pixels.
        weights: 'pretrained' (the published ones, by hub name), 'random' (drawn from `seed`, for
            tests and timings), or a local file or folder.
        image_size: side of its square input in pixels; None = as it was pretrained.
        feature_space: 'proj', the space that images share with texts, where the model has one, or
            'width', the patch tokens before that projection.
        statistics: mean and deviation of its input, 'own' or 'imagenet' (spec section 2).
        text: where text embeddings come from: 'own', 'minilm', or the name of another backbone.
        seed: of random weights.
    """

    name: str = 'none'
    weights: str = 'pretrained'
    image_size: int | None = None
    feature_space: str = 'proj'
    statistics: str = 'own'
    text: str = 'own'
    seed: int = 0

    def __post_init__(self) -> None:
        for key, choices in (('feature_space', FEATURE_SPACES), ('statistics', STATISTICS)):
            if getattr(self, key) not in choices:
                found = getattr(self, key)
                raise ValueError(f'{key} is {found!r}, expected one of {", ".join(choices)}')
        if self.image_size is not None and self.image_size < 1:
            raise ValueError(f'image_size is {self.image_size}, expected a side in pixels')


@dataclass(frozen=True)
class Input:
    """How a model wants its images.

    Attributes:
        size: (height, width) in pixels; an image is stretched to it, boxes likewise (spec 2).
        mean, std: of each RGB channel, for values in [0, 1].
        interpolation: 'bicubic' or 'bilinear', with anti-aliasing.
    """

    size: tuple[int, int]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: str = 'bicubic'


class Backbone(nn.Module, ABC):
    """A foundation model, frozen and in eval mode until someone asks for gradients.

    Attributes:
        name: the name it was asked for by.
        input: how it wants its images.
        stride: pixels of the input a cell of the feature map.
        width: channels C of the feature map.
        feature_space: as of `BackboneConfig`, what it was asked for.
        text_width: D of its text embeddings; None for a model without text.
        prompt_template: how it wants a sentence like 'a photo of a person is riding the object'.
    """

    name: str
    input: Input
    stride: int
    width: int
    feature_space: str = 'proj'
    text_width: int | None = None
    prompt_template: str = '{}'

    @abstractmethod
    def encode_image(self, batch: Tensor) -> Tensor:
        """Prepared images (B, 3, H, W) -> feature maps (B, C, H / stride, W / stride).

        H and W are any multiples of the stride: position embeddings are interpolated.
        """

    def encode_text(self, texts: Sequence[str]) -> Tensor:
        """Embeddings of texts (K, D), L2-normalised.

        Raises:
            ValueError: the model has no text side.
        """
        raise ValueError(f'{self.name} has no text side: set text to minilm or to a CLIP')

    def embed_image(self, batch: Tensor) -> Tensor:
        """Prepared images (B, 3, H, W) -> one embedding each in the texts' space (B, D), L2-norm 1.

        Raises:
            ValueError: the model does not compare images with texts.
        """
        raise ValueError(f'{self.name} does not compare images with texts')

    def grid(self, batch: Tensor) -> tuple[int, int]:
        """Rows and columns of the feature maps of prepared images (B, 3, H, W).

        Raises:
            ValueError: H or W is no multiple of the stride.
        """
        height, width = batch.shape[-2:]
        if height % self.stride or width % self.stride:
            raise ValueError(
                f'{self.name} met an image of {width} x {height}, expected sides that are '
                f'multiples of {self.stride}'
            )
        return height // self.stride, width // self.stride

    def prepare(self, images: Sequence[np.ndarray]) -> Tensor:
        """Stretch (H, W, 3) uint8 RGB images to the input's size and normalise: (B, 3, H, W)."""
        weight = next(self.parameters())
        return prepare(images, self.input, weight.device, weight.dtype)

    def train(self, mode: bool = True) -> Backbone:
        """Stay in eval mode: a frozen model has no dropout and no running statistics to update."""
        return super().train(False)

    def freeze(self) -> Backbone:
        """Eval mode, no gradients; `requires_grad_(True)` asks for them again."""
        return self.eval().requires_grad_(False)


def choose_input(
    config: BackboneConfig,
    stride: int,
    size: int,
    mean: Sequence[float],
    std: Sequence[float],
    interpolation: str = 'bicubic',
) -> Input:
    """How a model wants its images, with what `config` changes of it.

    Args:
        stride: pixels of the input a cell of the feature map.
        size: side of the images that it was pretrained with; what is beyond a multiple of the
            stride its first convolution would not see, so the input is that much smaller.
        mean, std, interpolation: as it was pretrained.

    Raises:
        ValueError: the configured size is no multiple of the stride.
    """
    side = config.image_size or size // stride * stride
    if side % stride:
        near = max(side // stride, 1) * stride
        raise ValueError(
            f'image_size is {side}, but {config.name} takes multiples of {stride}, such as '
            f'{near} or {near + stride}'
        )
    if config.statistics == 'imagenet':
        mean, std = IMAGENET_MEAN, IMAGENET_STD
    return Input((side, side), tuple(mean), tuple(std), interpolation)


def prepare(
    images: Sequence[np.ndarray],
    wanted: Input,
    device: torch.device | str = 'cpu',
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Stretch (H, W, 3) uint8 RGB images to one size and normalise them: (B, 3, h, w)."""
    if not images:
        return torch.zeros(0, 3, *wanted.size, device=device, dtype=dtype)
    return torch.cat([_prepare_one(image, wanted, device) for image in images]).to(dtype)


def _prepare_one(image: np.ndarray, wanted: Input, device: torch.device | str) -> Tensor:
    # A copy, as torch takes neither mirrored arrays nor the read-only ones of messages.
    pixels = torch.from_numpy(np.array(image, order='C')).to(device)
    pixels = pixels.permute(2, 0, 1)[None].float() / 255
    small = functional.interpolate(
        pixels, wanted.size, mode=wanted.interpolation, align_corners=False, antialias=True
    )
    mean = torch.tensor(wanted.mean, device=device)[:, None, None]
    std = torch.tensor(wanted.std, device=device)[:, None, None]
    return (small.clamp(0, 1) - mean) / std  # bicubic overshoots at edges
