"""Images of different sizes as one padded batch, and boxes in each image's own pixels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from link_hoi_core.backbones.backbone import IMAGENET_MEAN, IMAGENET_STD, Input, prepare

#: Pixels of a side at least. With two sides of it, or one and a long one, a two-stage detector
#: still has more cells than queries.
LEAST_SIDE = 64


def padded_batch(
    images: Sequence[np.ndarray], short: int, long: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Images at the size that the DETR family takes, padded with zeros at the right and bottom.

    Args:
        images: (H, W, 3) uint8 RGB, at least one.
        short: pixels of the short side, less where the long one would exceed `long`.

    Returns:
        (B, 3, h, w) float32 with ImageNet's mean and deviation, and (B, h, w) int64, 1 in an image
        and 0 in the padding.
    """
    sizes = [fitted(*image.shape[:2], short, long) for image in images]
    height, width = (max(sides) for sides in zip(*sizes))
    batch = torch.zeros(len(images), 3, height, width, device=device)
    mask = torch.zeros(len(images), height, width, dtype=torch.int64, device=device)
    for row, (image, (h, w)) in enumerate(zip(images, sizes)):
        wanted = Input((h, w), IMAGENET_MEAN, IMAGENET_STD, 'bilinear')
        batch[row, :, :h, :w] = prepare([image], wanted, device)[0]
        mask[row, :h, :w] = 1
    return batch, mask


def fitted(height: int, width: int, short: int, long: int) -> tuple[int, int]:
    """(height, width) at which the short side is `short`, or the long one `long` if that is less.

    Sides are at least LEAST_SIDE pixels, so only images thinner than that change their shape.
    """
    ratio = min(short / min(height, width), long / max(height, width))
    return max(LEAST_SIDE, round(height * ratio)), max(LEAST_SIDE, round(width * ratio))


def pixel_boxes(boxes: Tensor, sizes: Sequence[tuple[int, int]]) -> Tensor:
    """Boxes (B, N, 4) cxcywh in [0, 1] of (height, width) sizes -> xyxy in pixels of those."""
    centre, half = boxes[..., :2], boxes[..., 2:] / 2
    scale = boxes.new_tensor([(width, height, width, height) for height, width in sizes])
    return torch.cat((centre - half, centre + half), dim=-1) * scale[:, None]
