"""Images at the size that the DETR family takes, and boxes back in each image's own pixels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from link_hoi_core.backbones.backbone import IMAGENET_MEAN, IMAGENET_STD, Input, prepare

#: Pixels of a side at least. With two sides of it, or one and a long one, a two-stage detector
#: still has more cells than queries.
LEAST_SIDE = 64


def fitted_batch(
    images: Sequence[np.ndarray], short: int, long: int, device: torch.device
) -> Tensor:
    """Images (H, W, 3) uint8 RGB of one size -> (B, 3, h, w), with ImageNet's statistics."""
    size = fitted(*images[0].shape[:2], short, long)
    return prepare(images, Input(size, IMAGENET_MEAN, IMAGENET_STD, 'bilinear'), device)


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
