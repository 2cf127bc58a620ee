"""What predicts triplets, by name: checkpoints, and the training-free model.

It is what `--model` and the node's parameter `model` take.
"""

from __future__ import annotations

import re
from pathlib import Path

from link_hoi_core.clip_zero_shot import ClipZeroShot
from link_hoi_core.predictor import HoiPredictor

Predictor = HoiPredictor | ClipZeroShot
ZERO_SHOT = re.compile(r'clip_zero_shot(?::(?P<backbone>[^+]+))?(?:\+(?P<boxes>.+))?')


def load_predictor(
    name: str | Path = 'boxes',
    device: str = 'auto',
    backbone_weights: str | None = None,
    *,
    select: bool = True,
    **options: object,
) -> Predictor:
    """Load what predicts triplets.

    Args:
        name: a checkpoint as of `HoiPredictor.from_checkpoint`, or 'clip_zero_shot', with the
            backbone after a colon and a checkpoint to multiply with after a plus, both optional:
            'clip_zero_shot:clip-vit-l14+boxes'.
        device, backbone_weights: as of `HoiPredictor.from_checkpoint`.
        select, options: as of `HoiPredictor`.

    Raises:
        FileNotFoundError, ConnectionError, ValueError, ImportError: as the two classes.
    """
    found = ZERO_SHOT.fullmatch(str(name))
    if found is None:
        return HoiPredictor.from_checkpoint(
            name, device, backbone_weights, select=select, **options
        )
    boxes = found['boxes'] and HoiPredictor.from_checkpoint(found['boxes'], device, select=select)
    return ClipZeroShot.from_backbone(
        found['backbone'] or 'clip-vit-b16',
        backbone_weights or 'pretrained',
        device,
        boxes=boxes,
        select=select,
        **options,
    )
