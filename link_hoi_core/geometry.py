"""Pure box algebra: overlap, suppression, ROI align, positional and pairwise encodings.

Boxes are (x1, y1, x2, y2), 0-based continuous pixels. What chooses boxes works on numpy arrays,
what feeds the model on torch tensors.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

BOX_ENCODING_WIDTH = 512
CENTRE_ENCODING_WIDTH = 256
MAP_ENCODING_WIDTH = 256
PAIR_ENCODING_WIDTH = 36
TEMPERATURE = 20.0
EPSILON = 1e-10
ROI_BINS = 7
NMS_BLOCK = 64  # boxes that are held against each other at once
LEAST_SIZE = 1e-6  # of a box, in units of the image's side, where it divides


def box_iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union of each box of `a` (N, 4) with each of `b` (M, 4): (N, M)."""
    corner_min = np.maximum(a[:, None, :2], b[None, :, :2])
    corner_max = np.minimum(a[:, None, 2:], b[None, :, 2:])
    intersection = (corner_max - corner_min).clip(min=0).prod(axis=-1)
    union = box_area(a)[:, None] + box_area(b)[None, :] - intersection
    return intersection / np.maximum(union, np.finfo(intersection.dtype).tiny)


def box_area(boxes: np.ndarray) -> np.ndarray:
    """Areas (N,) of boxes (N, 4), in square pixels."""
    return (boxes[:, 2:] - boxes[:, :2]).prod(axis=-1)


def class_wise_nms(
    boxes: np.ndarray,
    scores: np.ndarray,
    labels: np.ndarray,
    iou_threshold: float = 0.5,
    limit: int | None = None,
) -> np.ndarray:
    """Greedy non-maximum suppression within each class (spec section 1, step 1).

    Boxes are taken in blocks by falling score, so that `limit` bounds the cost for crowded images.

    Args:
        boxes (N, 4), scores (N,), labels (N,): the detections.
        iou_threshold: a box that overlaps a better one of its class by more than this is dropped.
        limit: stop after this many kept boxes.

    Returns:
        (K,) int64 indices of the kept boxes by falling score; ties keep their input order.
    """

    def clash(rows: np.ndarray, others: np.ndarray) -> np.ndarray:
        same_class = labels[rows][:, None] == labels[others]
        return same_class & (box_iou(boxes[rows], boxes[others]) > iou_threshold)

    remaining = np.argsort(-scores, kind='stable')
    kept = np.zeros(0, dtype=np.int64)
    while len(remaining) and (limit is None or len(kept) < limit):
        block, remaining = remaining[:NMS_BLOCK], remaining[NMS_BLOCK:]
        good = np.ones(len(block), dtype=bool)
        for row, hidden in enumerate(clash(block, block)):
            if good[row]:
                good[row + 1 :] &= ~hidden[row + 1 :]
        kept = np.concatenate((kept, block[good]))
        remaining = remaining[~clash(block[good], remaining).any(axis=0)]
    return kept[:limit]


def sine_encoding(position: Tensor, width: int = 128, temperature: float = TEMPERATURE) -> Tensor:
    """Sines and cosines of a coordinate (spec section 3, PViC `compute_sinusoidal_pe`).

    Args:
        position: (...), in units of the image's side, usually in [0, 1].
        width: even number of values a coordinate; sine at even, cosine at odd places.
        temperature: the longest wavelength is about 2 pi times this.

    Returns:
        (..., width).
    """
    exponent = 2 * torch.arange(width // 2, dtype=position.dtype, device=position.device) / width
    angle = position.unsqueeze(-1) * (2 * math.pi) / temperature**exponent
    return torch.stack((angle.sin(), angle.cos()), dim=-1).flatten(-2)


def box_encoding(boxes: Tensor) -> Tensor:
    """Positional encoding of boxes (LINK section 3.2.1; spec section 3).

    Args:
        boxes: (..., 4), xyxy divided by the image's (width, height, width, height).

    Returns:
        (..., 512): encodings of cy, cx, h, w, in this order (as PViC's centre and size encodings).
    """
    x1, y1, x2, y2 = boxes.unbind(-1)
    coordinates = torch.stack(((y1 + y2) / 2, (x1 + x2) / 2, y2 - y1, x2 - x1), dim=-1)
    return sine_encoding(coordinates).flatten(-2)


def centre_encoding(box_encodings: Tensor, boxes: Tensor, ratios: Tensor) -> Tensor:
    """Encoding of a box's centre, sharper the smaller the box (spec section 3, PViC).

    The y half is multiplied by r_h / h, the x half by r_w / w, as in Conditional DETR.

    Args:
        box_encodings: (..., 512), `box_encoding` of the boxes.
        boxes: (..., 4), xyxy divided by the image's (width, height, width, height).
        ratios: (..., 2), (r_w, r_h) in (0, 1).

    Returns:
        (..., 256): cy, then cx.
    """
    size = (boxes[..., 2:] - boxes[..., :2]).clamp(min=LEAST_SIZE)
    factors = (ratios / size).flip(-1)  # (h, w), as the encoding has y first
    halves = box_encodings[..., :CENTRE_ENCODING_WIDTH].unflatten(-1, (2, -1))
    return (halves * factors.unsqueeze(-1)).flatten(-2)


def map_encoding(height: int, width: int, like: Tensor) -> Tensor:
    """Positional encoding of a feature map's cells (DETR; spec section 3): (H W, 256), y first.

    Cells are counted from 1 and divided by their number, so the last one is at 1.
    """
    y, x = (
        sine_encoding(
            torch.arange(1, cells + 1, dtype=like.dtype, device=like.device) / (cells + 1e-6)
        )
        for cells in (height, width)
    )
    shape = (height, width, -1)
    return torch.cat((y[:, None].expand(shape), x[None].expand(shape)), dim=-1).flatten(0, 1)


def roi_average(features: Tensor, boxes: Tensor, bins: int = ROI_BINS) -> Tensor:
    """ROI Align of `bins` x `bins`, averaged over the bins (LINK section 3.2; spec section 2).

    Equal to torchvision's `roi_align(..., aligned=True)` with its own choice of sampling points,
    followed by the mean: all bins of a box have as many points, and bilinear sampling is separable,
    so that the mean is one weight for each row times one for each column.

    Args:
        features: (B, C, H, W).
        boxes: (B, N, 4), xyxy divided by the image's (width, height, width, height), in [0, 1].

    Returns:
        (B, N, C).
    """
    height, width = features.shape[-2:]
    across = _sampling_weights(boxes[..., 0], boxes[..., 2], width, bins)
    down = _sampling_weights(boxes[..., 1], boxes[..., 3], height, bins)
    weights = (down.unsqueeze(-1) * across.unsqueeze(-2)).flatten(-2)
    return weights.to(features.dtype) @ features.flatten(-2).transpose(-1, -2)


def _sampling_weights(start: Tensor, end: Tensor, cells: int, bins: int) -> Tensor:
    """Mean bilinear weight of each cell for the points of boxes (...) along an axis: (..., cells).

    A bin has as many points as it spans cells, rounded up; evenly spaced over the box.
    """
    start, size = start * cells - 0.5, (end - start) * cells
    points = bins * (size / bins).ceil().clamp(min=1)
    index = torch.arange(bins * -(-cells // bins), dtype=size.dtype, device=size.device)
    position = start.unsqueeze(-1) + (index + 0.5) * (size / points).unsqueeze(-1)
    position = position.clamp(0, cells - 1)
    used = index < points.unsqueeze(-1)
    cell = torch.arange(cells, dtype=size.dtype, device=size.device)
    weights = (1 - (position.unsqueeze(-1) - cell).abs()).clamp(min=0) * used.unsqueeze(-1)
    return weights.sum(-2) / points.unsqueeze(-1)


def pairwise_encoding(human: Tensor, object_: Tensor, image_size: Tensor) -> Tensor:
    """How two boxes lie to each other (spec section 4, PViC `compute_spatial_encodings`).

    Args:
        human, object_: (..., 4), xyxy in pixels.
        image_size: (..., 2), (height, width) in pixels.

    Returns:
        (..., 36): the 18 features f, then log(f + 1e-10).
    """
    image_h, image_w = image_size.unbind(-1)
    hx, hy, hw, hh = _centre_and_size(human)
    ox, oy, ow, oh = _centre_and_size(object_)
    offset_x = (ox - hx).abs() / (hw + EPSILON)
    offset_y = (oy - hy).abs() / (hh + EPSILON)
    features = (
        [hx / image_w, hy / image_h, ox / image_w, oy / image_h]
        + [hw / image_w, hh / image_h, ow / image_w, oh / image_h]
        + [hw * hh / (image_h * image_w), ow * oh / (image_h * image_w)]
        + [ow * oh / (hw * hh + EPSILON), hw / (hh + EPSILON), ow / (oh + EPSILON)]
        + [_paired_iou(human, object_)]
        + [(ox > hx) * offset_x, (ox < hx) * offset_x, (oy > hy) * offset_y, (oy < hy) * offset_y]
    )
    ratios = torch.stack(features, dim=-1)
    return torch.cat((ratios, (ratios + EPSILON).log()), dim=-1)


def cast(encoding: Tensor, dtype: torch.dtype) -> Tensor:
    """An encoding in the model's precision; ratios of slivers would be beyond half precision.

    They are cut at the root of the largest number, so that products of two are still numbers.
    """
    limit = torch.finfo(dtype).max ** 0.5
    return encoding.clamp(-limit, limit).to(dtype)


def _centre_and_size(boxes: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    x1, y1, x2, y2 = boxes.unbind(-1)
    return (x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1


def _paired_iou(a: Tensor, b: Tensor) -> Tensor:
    """IoU of boxes (..., 4) one by one: (...)."""
    overlap = torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])
    intersection = overlap.clamp(min=0).prod(-1)
    union = (a[..., 2:] - a[..., :2]).prod(-1) + (b[..., 2:] - b[..., :2]).prod(-1) - intersection
    return intersection / (union + EPSILON)  # two boxes without area are no overlap, not NaN
