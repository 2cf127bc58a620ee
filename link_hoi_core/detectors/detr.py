"""The DETR family through transformers: boxes and classes decoded from a set of queries."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from link_hoi_core.backbones.backbone import Input, prepare
from link_hoi_core.backbones.transformers_models import load_model
from link_hoi_core.detectors.batches import fitted_batch, pixel_boxes
from link_hoi_core.detectors.detector import Detector, Found, find_by_size
from link_hoi_core.detectors.options import DetectorOptions
from link_hoi_core.detectors.published_weights import (
    NAMES,
    NO_CLASS,
    class_names,
    published_state,
    read_checkpoint,
)
from link_hoi_core.hub import load_weights
from link_hoi_core.optional import require
from link_hoi_core.vocabulary import COCO80

SCORE_THRESHOLD = 0.05  # box-score-thresh, LINK A.4


@dataclass(frozen=True)
class Architecture:
    """One of the family.

    Attributes:
        model: its class in transformers.
        config: class names -> its full-size configuration.
        score_exponent: lambda of the final score (spec section 6); the paper gives none for
            Conditional DETR and RT-DETR, whose sigmoid scores are taken as they are.
        best: how many (query, class) pairs are kept by sigmoid score; None = the best class of each
            query by softmax, in which the last output is "no object".
        stretched: side in pixels of the square that an image is stretched to, its values in
            [0, 1]; None = short side 800, long side at most 1333, ImageNet's statistics.
        backbone_library: where the backbone of its configuration comes from.
    """

    model: str
    config: Callable[[ModuleType, dict[int, str]], Any]
    score_exponent: float = 1.0
    best: int | None = 100
    stretched: int | None = None
    backbone_library: str = 'timm'


def build(name: str, architecture: str, repository: str, options: DetectorOptions) -> Detector:
    """A detector of the family, by `ARCHITECTURES`; as of `detectors.load_detector`."""
    kind = ARCHITECTURES[architecture]
    transformers = require('transformers', 'pip install transformers', name)
    require(kind.backbone_library, f'pip install {kind.backbone_library}', name)
    published = repository or name
    if options.weights == 'random':
        model = _model_class(transformers, kind)(kind.config(transformers, _numbered(COCO80)))
    elif options.weights == 'pretrained' and not repository:
        raise ValueError(
            f'{name} is in no hub: download the checkpoint that PViC publishes, and give that file '
            f'as weights'
        )
    elif Path(options.weights).is_file():
        load = partial(_load_checkpoint, transformers, architecture)
        model = load_weights(load, options.weights, published)
    else:
        model = load_model(_model_class(transformers, kind), options.weights, published)
    return Detr(name, kind, model, options)


class Detr(Detector):
    """A transformers model of the DETR family.

    Attributes:
        model: the network.
        names: of its classes.
        size: pixels of an image's short and long side at most, unless it is stretched.
    """

    def __init__(
        self,
        name: str,
        architecture: Architecture,
        model: nn.Module,
        options: DetectorOptions,
        size: tuple[int, int] = (800, 1333),
    ) -> None:
        super().__init__(name, options, SCORE_THRESHOLD)
        self.score_exponent = architecture.score_exponent
        self._architecture = architecture
        self.model = model.to(options.device).eval().requires_grad_(False)
        self.size = size
        names = model.config.id2label
        self.names = [names[index] for index in range(len(names))]
        self._unused = [index for index, name in enumerate(self.names) if name == NO_CLASS]

    def find(self, images: Sequence[np.ndarray], files: Sequence[str]) -> list[Found]:
        """As of `Detector.find`; images of one size run at once, as padding would change scores."""
        return find_by_size(images, self._find)

    @torch.inference_mode()
    def _find(self, images: Sequence[np.ndarray]) -> list[Found]:
        output = self.model(pixel_values=self._batch(images))
        scores, labels, boxes = decode(
            output.logits, output.pred_boxes, self._architecture.best, self._unused
        )
        boxes = pixel_boxes(boxes, [image.shape[:2] for image in images])
        return [
            Found(box.cpu().numpy(), score.cpu().numpy(), [self.names[i] for i in label.tolist()])
            for box, score, label in zip(boxes, scores, labels)
        ]

    def _batch(self, images: Sequence[np.ndarray]) -> Tensor:
        side = self._architecture.stretched
        if side is None:
            return fitted_batch(images, *self.size, self.model.device)
        as_is = Input((side, side), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), 'bilinear')
        return prepare(images, as_is, self.model.device)


def decode(
    logits: Tensor, boxes: Tensor, best: int | None, unused: Sequence[int] = ()
) -> tuple[Tensor, Tensor, Tensor]:
    """Scores (B, N), labels (B, N) and boxes (B, N, 4) of the queries' outputs.

    Args:
        logits: (B, Q, K), or (B, Q, K + 1) with "no object" last where `best` is None.
        boxes: (B, Q, 4), any form.
        best: as of `Architecture`; N is Q, or at most `best`, by falling score.
        unused: classes that are never given.
    """
    if best is None:
        probabilities = logits.softmax(dim=-1)[..., :-1].clone()
        probabilities[..., unused] = 0
        scores, labels = probabilities.max(dim=-1)
        return scores, labels, boxes
    probabilities = logits.sigmoid()
    probabilities[..., unused] = 0
    classes = logits.shape[-1]
    flat = probabilities.flatten(1)
    scores, places = flat.topk(min(best, flat.shape[1]), dim=1)
    queries = (places // classes)[..., None].expand(-1, -1, 4)
    return scores, places % classes, boxes.gather(1, queries)


def _load_checkpoint(transformers: ModuleType, architecture: str, file: str) -> nn.Module:
    """A model from a checkpoint in its authors' form."""
    if architecture not in NAMES:
        known = ' and '.join(NAMES)
        raise ValueError(f'it is a file, which only {known} read: give a folder')
    kind = ARCHITECTURES[architecture]
    published = read_checkpoint(file)
    names = class_names(published, architecture)
    model = _model_class(transformers, kind)(kind.config(transformers, _numbered(names)))
    model.load_state_dict(published_state(published, model.state_dict(), architecture))
    return model


def _model_class(transformers: ModuleType, kind: Architecture) -> type[nn.Module]:
    if kind.model == 'HDeformableDetr':
        from link_hoi_core.detectors.h_deformable_detr import HDeformableDetr

        return HDeformableDetr
    return getattr(transformers, kind.model)


def _numbered(names: Sequence[str]) -> dict[int, str]:
    return dict(enumerate(names))


def _h_deformable_config(transformers: ModuleType, names: dict[int, str]) -> Any:
    """Swin-L, 900 one-to-one queries, as PViC runs it (h_detr options of its docs)."""
    swin = transformers.SwinConfig(
        embed_dim=192,
        depths=[2, 2, 18, 2],
        num_heads=[6, 12, 24, 48],
        window_size=7,
        out_indices=[2, 3, 4],
        drop_path_rate=0.0,
    )
    return transformers.DeformableDetrConfig(
        backbone_config=swin,
        id2label=names,
        num_queries=900,
        two_stage_num_proposals=900,
        two_stage=True,
        with_box_refine=True,
        encoder_ffn_dim=2048,
        decoder_ffn_dim=2048,
        dropout=0.0,
        tie_word_embeddings=False,  # each layer has heads of its own
    )


ARCHITECTURES: dict[str, Architecture] = {
    'detr': Architecture(
        'DetrForObjectDetection',
        lambda library, names: library.DetrConfig(id2label=names),
        score_exponent=2.8,
        best=None,
    ),
    'conditional-detr': Architecture(
        'ConditionalDetrForObjectDetection',
        lambda library, names: library.ConditionalDetrConfig(id2label=names),
    ),
    'deformable-detr': Architecture(
        'DeformableDetrForObjectDetection',
        lambda library, names: library.DeformableDetrConfig(id2label=names),
        score_exponent=1.7,
    ),
    'h-deformable-detr': Architecture(
        'HDeformableDetr',
        _h_deformable_config,
        score_exponent=1.7,
        backbone_library='transformers',
    ),
    'rt-detr': Architecture(
        'RTDetrForObjectDetection',
        lambda library, names: library.RTDetrConfig(id2label=names),
        best=300,
        stretched=640,
        backbone_library='transformers',
    ),
}
