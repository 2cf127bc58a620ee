"""What one training step sees."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from link_hoi_core.model.scene import Scene

NEITHER = -1  # a target that is neither positive nor negative


@dataclass(frozen=True)
class Batch:
    """The images of a batch, each in one view that all models share.

    Attributes:
        scene: their detections and pairs.
        targets: (B, M, V), 1 where a verb is annotated, `NEITHER` where it must not count, else 0.
        pictures: one entry a backbone of the run: prepared images (B, 3, H, W), or feature maps
            (B, C, H, W) where they are cached; empty without pixels.
        encoded: whether the pictures are feature maps.
    """

    scene: Scene
    targets: Tensor
    pictures: tuple[Tensor, ...] = ()
    encoded: bool = False

    def to(self, device: torch.device | str) -> Batch:
        """The same batch on another device."""
        targets = self.targets.to(device, non_blocking=True)
        pictures = tuple(picture.to(device, non_blocking=True) for picture in self.pictures)
        return Batch(self.scene.to(device), targets, pictures, self.encoded)
