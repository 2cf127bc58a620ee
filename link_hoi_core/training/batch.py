"""What one training step sees."""

from __future__ import annotations

from collections.abc import Callable
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
        return self._map(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> Batch:
        """The same batch in memory that a GPU copies from by itself; a `DataLoader` asks for it."""
        return self._map(Tensor.pin_memory)

    def _map(self, change: Callable[[Tensor], Tensor]) -> Batch:
        """The batch with every tensor changed."""
        pictures = tuple(map(change, self.pictures))
        return Batch(self.scene.map(change), change(self.targets), pictures, self.encoded)
