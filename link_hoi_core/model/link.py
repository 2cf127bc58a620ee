"""LINK (Learning Instance-level Knowledge from vision-language models), put together."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor, nn

from link_hoi_core.backbones.backbone import BackboneConfig
from link_hoi_core.geometry import BOX_ENCODING_WIDTH, box_encoding, roi_average
from link_hoi_core.model.decoder import Decoder, Look
from link_hoi_core.model.encoder import GeometricalEncoder, PlainEncoder
from link_hoi_core.model.head import TextHead, take_rows
from link_hoi_core.model.scene import Scene

ENCODERS = {'geometrical': GeometricalEncoder, 'plain': PlainEncoder}
DECODERS = ('linking', 'plain')


@dataclass(frozen=True)
class LinkConfig:
    """Sizes and parts of the model; the defaults are the embedded model's.

    Attributes:
        vocabulary: 'hico-det', 'v-coco' or 'swig-hoi'.
        backbone: what the pixels go through; 'none' = the model sees detections only.
        encoder: 'geometrical' or 'plain' (self-attention over ROI features, LINK Table 6, A1).
        decoder: 'linking' or 'plain' (standard cross-attention, LINK Table 6, A1).
        width: of queries and attention, D.
        heads: of each attention.
        encoder_layers, decoder_layers: L_e and L_d.
        adapter: hidden width of the adapter on the feature map; 0 = none.
        dropout: rate, while training.
    """

    vocabulary: str = 'hico-det'
    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    encoder: str = 'geometrical'
    decoder: str = 'linking'
    width: int = 128
    heads: int = 8
    encoder_layers: int = 2
    decoder_layers: int = 2
    adapter: int = 0
    dropout: float = 0.1

    def __post_init__(self) -> None:
        for name in ('width', 'heads', 'encoder_layers', 'decoder_layers'):
            if getattr(self, name) < 1:
                raise ValueError(f'{name} is {getattr(self, name)}, expected 1 or more')
        for name, choices in (('encoder', tuple(ENCODERS)), ('decoder', DECODERS)):
            if getattr(self, name) not in choices:
                found = getattr(self, name)
                raise ValueError(f'{name} is {found!r}, expected one of {", ".join(choices)}')
        if self.width % self.heads:
            raise ValueError(f'width {self.width} does not divide into {self.heads} heads')
        if self.adapter < 0:
            raise ValueError(f'adapter is {self.adapter}, expected a width, or 0 for none')
        if self.backbone.name == 'none' and (self.decoder == 'plain' or self.adapter):
            raise ValueError('a plain decoder and an adapter need a feature map: name a backbone')
        if not 0 <= self.dropout < 1:
            raise ValueError(f'dropout is {self.dropout}, expected a rate in [0, 1)')


@dataclass(frozen=True)
class LinkOutput:
    """What every layer gives, the last one last; training supervises all of it.

    Attributes:
        logits: (B, M, V) a decoder layer.
        detections: (B, N, D) an encoder layer.
        pairs: (B, M, D) a decoder layer.
        looks: what the pairs took from the image, a decoder layer; empty without a backbone.
        features: (B, C, H, W), the map behind the adapter; None without a backbone.
    """

    logits: list[Tensor]
    detections: list[Tensor]
    pairs: list[Tensor]
    looks: list[Look]
    features: Tensor | None


class Link(nn.Module):
    """Detections and a feature map -> verb logits of every human-object pair.

    The backbone, being frozen, is not part of it: whoever calls has its feature map.
    """

    def __init__(
        self,
        config: LinkConfig,
        feature_width: int | None,
        object_embeddings: Tensor,
        verb_embeddings: Tensor,
    ) -> None:
        """Build it for a backbone and a vocabulary.

        Args:
            feature_width: channels C of the backbone's map; None without a backbone.
            object_embeddings: (O, T') text embeddings of the objects' names, which tell a model
                without pixels what it is dealing with.
            verb_embeddings: (V, T) text embeddings of the verbs' prompts.
        """
        super().__init__()
        self.config = config
        width, heads, dropout = config.width, config.heads, config.dropout
        if feature_width is None:
            self.unary = NamedBoxQuery(object_embeddings, width)
        else:
            self.unary = RoiQuery(feature_width, width)
        self.encoder = ENCODERS[config.encoder](width, heads, config.encoder_layers, dropout)
        self.decoder = Decoder(
            width, heads, config.decoder_layers, dropout, feature_width, config.decoder == 'plain'
        )
        self.head = TextHead(width, verb_embeddings)
        _initialise(self)
        self.adapter = None
        if feature_width is not None and config.adapter:
            self.adapter = MapAdapter(feature_width, config.adapter)

    def forward(self, scene: Scene, features: Tensor | None = None) -> LinkOutput:
        """Everything that training supervises.

        Args:
            features: (B, C, H, W) of the backbone; None for a model without one.
        """
        features = features if self.adapter is None else self.adapter(features)
        detections, pairs, looks = self._pairs(scene, features)
        logits = [self.head(layer) for layer in pairs]
        return LinkOutput(logits, detections, pairs, looks, features)

    def infer(self, scene: Scene, features: Tensor | None = None) -> Tensor:
        """The logits (B, M, V) that count in use, those after the last decoder layer.

        People do the same in a mirror; where a second look costs no pixels, the logits are the
        mean over the scene and its mirror image.
        """
        if features is None:
            _, pairs, _ = self._pairs(scene.with_mirror_images(), None)
            return self.head(pairs[-1]).unflatten(0, (2, -1)).mean(dim=0)
        features = features if self.adapter is None else self.adapter(features)
        _, pairs, _ = self._pairs(scene, features)
        return self.head(pairs[-1])

    def for_words(
        self,
        verbs: np.ndarray,
        new_verbs: Tensor | None,
        objects: np.ndarray,
        new_objects: Tensor | None,
    ) -> Link:
        """A copy of the model that speaks of other verbs and objects.

        Args:
            verbs: (V',) which of this model's verbs each is, -1 = a new one.
            new_verbs: (K, T) text embeddings of the new ones' prompts, in order.
            objects, new_objects: likewise the objects, by name; a model with pixels has no use for
                the names.
        """
        changed = copy.deepcopy(self)
        changed.head.replace_verbs(verbs, new_verbs)
        if isinstance(changed.unary, NamedBoxQuery):
            known = changed.unary.object_embeddings
            changed.unary.object_embeddings = take_rows(known, objects, new_objects)
        return changed

    def _pairs(
        self, scene: Scene, features: Tensor | None
    ) -> tuple[list[Tensor], list[Tensor], list[Look]]:
        """Detections after each encoder layer, pairs and looks after each decoder layer."""
        encodings = box_encoding(scene.relative_boxes()).to(self.head.verbs.dtype)
        queries = self.unary(scene, encodings, features)
        detections, pairs = self.encoder(queries, encodings, scene)
        pairs, looks = self.decoder(pairs, queries, encodings, features, scene)
        return detections, pairs, looks


class RoiQuery(nn.Module):
    """A detection as what the backbone sees in its box (LINK section 3.2; spec section 2)."""

    def __init__(self, feature_width: int, width: int) -> None:
        super().__init__()
        self.project = nn.Linear(feature_width, width)
        self.norm = nn.LayerNorm(width)

    def forward(self, scene: Scene, box_encodings: Tensor, features: Tensor) -> Tensor:
        """Features (B, C, H, W) -> (B, N, D)."""
        return self.norm(self.project(roi_average(features, scene.relative_boxes())))


class NamedBoxQuery(nn.Module):
    """A detection as its name and its box, for the model that sees no pixels."""

    def __init__(self, object_embeddings: Tensor, width: int) -> None:
        super().__init__()
        self.register_buffer('object_embeddings', object_embeddings)
        self.object = nn.Linear(object_embeddings.shape[1], width)
        self.box = nn.Linear(BOX_ENCODING_WIDTH, width)

    def forward(self, scene: Scene, box_encodings: Tensor, features: None) -> Tensor:
        """Labels (B, N) and box encodings (B, N, 512) -> (B, N, D)."""
        return self.object(self.object_embeddings)[scene.labels] + self.box(box_encodings)


class MapAdapter(nn.Module):
    """A residual bottleneck on the feature map; it begins as the identity (LINK section 3.3)."""

    def __init__(self, feature_width: int, hidden: int) -> None:
        super().__init__()
        self.down = nn.Conv2d(feature_width, hidden, kernel_size=1)
        self.up = nn.Conv2d(hidden, feature_width, kernel_size=1)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape."""
        return features + self.up(self.down(features).relu())


def _initialise(model: nn.Module) -> None:
    """Xavier-uniform weights and zero biases, as PViC's decoder.

    The bounds are those of the layers as they stand here, packed or split; PViC's are all apart.
    """
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
