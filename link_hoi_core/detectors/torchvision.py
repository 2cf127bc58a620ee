"""Faster R-CNN through torchvision."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from link_hoi_core.detectors.detector import Detector, Found, find_by_size
from link_hoi_core.detectors.downloads import local_file
from link_hoi_core.detectors.options import DetectorOptions
from link_hoi_core.hub import load_weights
from link_hoi_core.optional import require

SCORE_THRESHOLD = 0.05  # LINK A.4
NO_CLASS = ('__background__', 'N/A')  # COCO's unused category ids


def build(name: str, architecture: str, repository: str, options: DetectorOptions) -> FasterRcnn:
    """The model that torchvision calls `architecture`, its published weights at `repository`.

    Raises:
        FileNotFoundError, ValueError: there is no such file of weights, or it holds others.
        ConnectionError: published weights cannot be downloaded.
        ImportError: torchvision is not installed.
    """
    models = require('torchvision.models', 'pip install torchvision', name)
    model = models.get_model(architecture, weights=None, weights_backbone=None)
    if options.weights != 'random':
        load_weights(
            lambda file: model.load_state_dict(
                torch.load(file, map_location='cpu', weights_only=True)
            ),
            local_file(options.weights, repository),
            name,
        )
    categories = models.get_model_weights(architecture).DEFAULT.meta['categories']
    return FasterRcnn(name, model, categories, options)


class FasterRcnn(Detector):
    """A detector of torchvision, with its own resizing and suppression."""

    def __init__(
        self, name: str, model: nn.Module, categories: Sequence[str], options: DetectorOptions
    ) -> None:
        """`categories`: names by label, as torchvision's weights have them."""
        super().__init__(name, options, SCORE_THRESHOLD)
        self.model = model.to(options.device).eval().requires_grad_(False)
        self.model.roi_heads.score_thresh = self.score_threshold
        self._categories, self._device = categories, options.device

    def find(self, images: Sequence[np.ndarray], files: Sequence[str]) -> list[Found]:
        """As of `Detector.find`; images of one size run at once, as padding would change scores."""
        return find_by_size(images, self._find)

    @torch.inference_mode()
    def _find(self, images: Sequence[np.ndarray]) -> list[Found]:
        batch = torch.from_numpy(np.stack(images)).to(self._device)
        outputs = self.model(list(batch.permute(0, 3, 1, 2).float() / 255))
        return [self._found(output) for output in outputs]

    def _found(self, output: dict[str, torch.Tensor]) -> Found:
        names = [self._categories[label] for label in output['labels'].tolist()]
        rows = [row for row, name in enumerate(names) if name not in NO_CLASS]
        boxes, scores = output['boxes'][rows], output['scores'][rows]
        return Found(boxes.cpu().numpy(), scores.cpu().numpy(), [names[row] for row in rows])
