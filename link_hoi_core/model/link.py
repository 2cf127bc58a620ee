"""LINK (Learning Instance-level Knowledge from vision-language models), put together."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from link_hoi_core.geometry import BOX_ENCODING_WIDTH, box_encoding
from link_hoi_core.model.decoder import LinkingDecoder
from link_hoi_core.model.encoder import GeometricalEncoder
from link_hoi_core.model.head import TextHead
from link_hoi_core.model.scene import Scene


@dataclass(frozen=True)
class LinkConfig:
    """Sizes of the model; the defaults are the embedded model's.

    Attributes:
        vocabulary: 'hico-det', 'v-coco' or 'swig-hoi'.
        width: of queries and attention, D.
        heads: of each attention.
        encoder_layers, decoder_layers: L_e and L_d.
        dropout: rate, while training.
    """

    vocabulary: str = 'hico-det'
    width: int = 128
    heads: int = 8
    encoder_layers: int = 2
    decoder_layers: int = 2
    dropout: float = 0.1

    def __post_init__(self) -> None:
        for name in ('width', 'heads', 'encoder_layers', 'decoder_layers'):
            if getattr(self, name) < 1:
                raise ValueError(f'{name} is {getattr(self, name)}, expected 1 or more')
        if self.width % self.heads:
            raise ValueError(f'width {self.width} does not divide into {self.heads} heads')
        if not 0 <= self.dropout < 1:
            raise ValueError(f'dropout is {self.dropout}, expected a rate in [0, 1)')


class Link(nn.Module):
    """Detections -> verb logits of every human-object pair."""

    def __init__(
        self, config: LinkConfig, object_embeddings: Tensor, verb_embeddings: Tensor
    ) -> None:
        """Build it for a vocabulary.

        Args:
            object_embeddings: (O, T) text embeddings of the objects' names.
            verb_embeddings: (V, T) text embeddings of the verbs' prompts.
        """
        super().__init__()
        self.config = config
        width, heads, dropout = config.width, config.heads, config.dropout
        self.register_buffer('object_embeddings', object_embeddings)
        self.object_query = nn.Linear(object_embeddings.shape[1], width)
        self.box_query = nn.Linear(BOX_ENCODING_WIDTH, width)
        self.encoder = GeometricalEncoder(width, heads, config.encoder_layers, dropout)
        self.decoder = LinkingDecoder(width, heads, config.decoder_layers, dropout)
        self.head = TextHead(width, verb_embeddings)
        _initialise(self)

    def forward(self, scene: Scene) -> list[Tensor]:
        """The logits (B, M, V) of every pair after each decoder layer, the last one last."""
        return [self.head(pairs) for pairs in self._decode(scene)]

    def final_logits(self, scene: Scene) -> Tensor:
        """The logits (B, M, V) after the last decoder layer, which are what counts in use."""
        return self.head(self._decode(scene)[-1])

    def _decode(self, scene: Scene) -> list[Tensor]:
        """Pair queries (B, M, D) after each decoder layer."""
        boxes = scene.boxes / scene.image_size.flip(-1).repeat(1, 2).unsqueeze(1)
        encodings = box_encoding(boxes)
        queries = self.object_query(self.object_embeddings)[scene.labels]
        queries = queries + self.box_query(encodings)
        pairs = self.encoder(queries, encodings, scene)
        return self.decoder(pairs, encodings, scene)


def _initialise(model: nn.Module) -> None:
    """Xavier-uniform weights and zero biases, as PViC's decoder."""
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
