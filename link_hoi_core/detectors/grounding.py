"""Detectors of any words through transformers: Grounding DINO and OWLv2."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from link_hoi_core.backbones.backbone import CLIP_MEAN, CLIP_STD, Input, prepare
from link_hoi_core.backbones.transformers_models import load_model
from link_hoi_core.detectors.batches import fitted_batch, pixel_boxes
from link_hoi_core.detectors.detector import Detector, Found, find_by_size
from link_hoi_core.detectors.options import DetectorOptions
from link_hoi_core.hub import load_weights
from link_hoi_core.optional import require

BOX_THRESHOLD, TEXT_THRESHOLD = 0.35, 0.25  # of Grounding DINO, LINK A.11
OWL_THRESHOLD = 0.1
OWL_PROMPT = 'a photo of a {}'


def build(name: str, architecture: str, repository: str, options: DetectorOptions) -> Detector:
    """A detector 'grounding-dino' or 'owlv2'; as of `detectors.load_detector`.

    Random weights still read texts with the published tokenizer, which is a download.
    """
    transformers = require('transformers', 'pip install transformers', name)
    kind, class_name = _ARCHITECTURES[architecture]
    model_class = getattr(transformers, class_name)
    tokenizer = load_weights(
        partial(transformers.AutoTokenizer.from_pretrained, trust_remote_code=False),
        'pretrained' if options.weights == 'random' else options.weights,
        repository,
    )
    if options.weights == 'random':
        model = model_class(_CONFIGURATIONS[name](transformers))
    else:
        model = load_model(model_class, options.weights, repository)
    known, read = len(tokenizer), model.config.text_config.vocab_size
    if known < read:  # of a folder without a tokenizer's file the library makes an empty one
        raise ValueError(
            f'{options.weights} has a tokenizer of {known} tokens for a network of {read}: give a '
            f'folder with the files of {repository}'
        )
    return kind(name, model, tokenizer, options)


class OpenVocabularyDetector(Detector):
    """Looks for whatever it is told to.

    Attributes:
        model: the network.
        words: what it looks for now.
    """

    words: tuple[str, ...]

    def __init__(
        self,
        name: str,
        model: nn.Module,
        tokenizer: Callable[..., Any],
        options: DetectorOptions,
        threshold: float,
    ) -> None:
        super().__init__(name, options, threshold)
        self.model = model.to(options.device).eval().requires_grad_(False)
        self._tokenizer = tokenizer
        self.set_words(options.searched_words())

    def set_words(self, words: Sequence[str]) -> None:
        """Look for these from now on; underscores are spaces to it.

        Raises:
            ValueError: there is no word, or one has nothing to read; the old ones stay.
        """
        if isinstance(words, str) or not words:
            raise ValueError(f'words to look for are {words!r}, expected at least one in a list')
        for word in words:
            if not re.search(r'\w', word.replace('_', ' ')):
                raise ValueError(f'{word!r} is among the words to look for, expected words')
        self._read(words)
        self.words = tuple(words)

    @abstractmethod
    def _read(self, words: Sequence[str]) -> None:
        """Turn words into what the network takes."""


class GroundingDino(OpenVocabularyDetector):
    """Grounding DINO (Liu et al. 2024): boxes whose queries answer to tokens of a prompt.

    A prompt is 'person . bicycle .'; words that do not fit into one are asked for in several.

    Attributes:
        size: pixels of an image's short and long side at most.
    """

    def __init__(
        self,
        name: str,
        model: nn.Module,
        tokenizer: Callable[..., Any],
        options: DetectorOptions,
        size: tuple[int, int] = (800, 1333),
    ) -> None:
        super().__init__(name, model, tokenizer, options, BOX_THRESHOLD)
        self.size = size

    def find(self, images: Sequence[np.ndarray], files: Sequence[str]) -> list[Found]:
        """As of `Detector.find`; images of one size run at once, once a prompt."""
        return find_by_size(images, self._find)

    @torch.inference_mode()
    def _find(self, images: Sequence[np.ndarray]) -> list[Found]:
        batch = fitted_batch(images, *self.size, self.model.device)
        sizes = [image.shape[:2] for image in images]
        passes = []
        for tokens, spans in self._prompts:
            ids = torch.tensor(tokens, device=batch.device).expand(len(images), -1)
            output = self.model(pixel_values=batch, input_ids=ids)
            scores, words = decode_tokens(output.logits, spans)
            passes.append((scores, words, pixel_boxes(output.pred_boxes, sizes)))
        return [self._found(passes, row) for row in range(len(images))]

    def _found(self, passes: Sequence[tuple[Tensor, Tensor, Tensor]], row: int) -> Found:
        """Every prompt's boxes of one image, together."""
        kept = [words[row] >= 0 for _, words, _ in passes]
        scores, words, boxes = (
            torch.cat([part[row][keep] for part, keep in zip(parts, kept)]).cpu()
            for parts in zip(*passes)
        )
        return Found(boxes.numpy(), scores.numpy(), [self.words[word] for word in words.tolist()])

    def _read(self, words: Sequence[str]) -> None:
        phrases = [re.sub(r'[._?\s]+', ' ', word).strip().lower() for word in words]
        ids = [self._tokenizer(phrase, add_special_tokens=False)['input_ids'] for phrase in phrases]
        start, end, stop = self._tokenizer.convert_tokens_to_ids(['[CLS]', '[SEP]', '.'])
        longest = self.model.config.max_text_len
        for word, tokens in zip(words, ids):
            if len(tokens) > longest - 3:
                raise ValueError(
                    f'{word[:40]!r}, a word to look for, has {len(tokens)} tokens, expected at '
                    f'most {longest - 3}'
                )
        self._prompts = prompts(ids, start, end, stop, longest)


#: Token ids of a prompt, and (word, first token, token after the last) of each word in it.
Prompt = tuple[list[int], list[tuple[int, int, int]]]


def prompts(
    words: Sequence[Sequence[int]], start: int, end: int, stop: int, longest: int
) -> list[Prompt]:
    """Words' token ids as prompts 'START word STOP word STOP END' of at most `longest` tokens.

    Each word alone fits into one.
    """
    made: list[Prompt] = []
    for index, word in enumerate(words):
        if not made or len(made[-1][0]) + len(word) + 2 > longest:
            made.append(([start], []))
        tokens, spans = made[-1]
        spans.append((index, len(tokens), len(tokens) + len(word)))
        tokens += [*word, stop]
    return [([*tokens, end], spans) for tokens, spans in made]


def decode_tokens(logits: Tensor, spans: Sequence[tuple[int, int, int]]) -> tuple[Tensor, Tensor]:
    """Scores (B, Q) of queries and the word (B, Q) that each stands for, -1 for none.

    A query's score is that of its best token, as published. It stands for the one word whose
    tokens score best, never for parts of two, if those reach TEXT_THRESHOLD.

    Args:
        logits: (B, Q, T), -inf beyond the prompt.
        spans: as of `Prompt`.
    """
    of_words = torch.stack(
        [logits[..., first:after].amax(dim=-1) for _, first, after in spans], dim=-1
    )
    best, place = of_words.max(dim=-1)
    words = torch.tensor([word for word, _, _ in spans], device=logits.device)[place]
    return logits.amax(dim=-1).sigmoid(), words.where(best.sigmoid() >= TEXT_THRESHOLD, -1)


class Owl(OpenVocabularyDetector):
    """OWLv2 (Minderer et al. 2023): each patch predicts a box, and is compared with texts.

    Of a text it reads the first 16 tokens.
    """

    def __init__(
        self, name: str, model: nn.Module, tokenizer: Callable[..., Any], options: DetectorOptions
    ) -> None:
        super().__init__(name, model, tokenizer, options, OWL_THRESHOLD)
        side = model.config.vision_config.image_size
        self._input = Input((side, side), CLIP_MEAN, CLIP_STD, 'bilinear')

    @torch.inference_mode()
    def find(self, images: Sequence[np.ndarray], files: Sequence[str]) -> list[Found]:
        """As of `Detector.find`; texts were embedded by `set_words`."""
        batch = prepare([_squared(image) for image in images], self._input, self.model.device)
        patches, _ = self.model.image_embedder(batch)
        features = patches.flatten(1, 2)
        texts = self._texts.expand(len(images), -1, -1)
        logits, _ = self.model.class_predictor(features, texts)
        best, words = logits.max(dim=-1)
        sides = [(max(image.shape[:2]),) * 2 for image in images]
        boxes = pixel_boxes(self.model.box_predictor(features, patches), sides)
        return [
            Found(box.cpu().numpy(), score.cpu().numpy(), [self.words[i] for i in word.tolist()])
            for box, score, word in zip(boxes, best.sigmoid(), words)
        ]

    @torch.inference_mode()
    def _read(self, words: Sequence[str]) -> None:
        tokens = self._tokenizer(
            [OWL_PROMPT.format(word.replace('_', ' ')) for word in words],
            padding='max_length',
            truncation=True,
            max_length=self.model.config.text_config.max_position_embeddings,
            return_tensors='pt',
        ).to(self.model.device)
        embeddings = self.model.owlv2.get_text_features(
            input_ids=tokens['input_ids'], attention_mask=tokens['attention_mask']
        )
        self._texts = nn.functional.normalize(embeddings.pooler_output, dim=-1)


def _squared(image: np.ndarray) -> np.ndarray:
    """The image with black at its right or bottom."""
    height, width = image.shape[:2]
    side = max(height, width)
    return np.pad(image, ((0, side - height), (0, side - width), (0, 0)))


def _grounding_dino_t(transformers: ModuleType) -> Any:
    swin = transformers.SwinConfig(out_indices=[2, 3, 4])
    return transformers.GroundingDinoConfig(backbone_config=swin)


def _grounding_dino_b(transformers: ModuleType) -> Any:
    swin = transformers.SwinConfig(
        embed_dim=128,
        depths=[2, 2, 18, 2],
        num_heads=[4, 8, 16, 32],
        window_size=12,
        image_size=384,
        out_indices=[2, 3, 4],
    )
    return transformers.GroundingDinoConfig(backbone_config=swin)


def _owlv2_b16(transformers: ModuleType) -> Any:
    return transformers.Owlv2Config(vision_config={'image_size': 960})


_ARCHITECTURES: dict[str, tuple[Callable[..., Detector], str]] = {
    'grounding-dino': (GroundingDino, 'GroundingDinoForObjectDetection'),
    'owlv2': (Owl, 'Owlv2ForObjectDetection'),
}
_CONFIGURATIONS: dict[str, Callable[[ModuleType], Any]] = {
    'grounding-dino-t': _grounding_dino_t,
    'grounding-dino-b': _grounding_dino_b,
    'owlv2-b16': _owlv2_b16,
}
