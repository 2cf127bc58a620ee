"""A training-free model: CLIP compares each pair's crop with a sentence for each verb.

The teacher of EoID (Wu et al., AAAI 2023, "Vision and language teacher"): the union region of a
human-object pair is padded to a square and embedded; a softmax over the verbs that are valid for
the object, of its similarities with "a picture of person riding bicycle" and so on.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from link_hoi_core.backbones import BackboneConfig, build_backbone, fingerprint
from link_hoi_core.backbones.backbone import Backbone
from link_hoi_core.device import pick_device, pick_precision
from link_hoi_core.images import as_rgb_of_size
from link_hoi_core.model.scene import clamp_boxes, list_pairs
from link_hoi_core.predictor import HoiPredictor
from link_hoi_core.ranking import choose_detections, rank_interactions
from link_hoi_core.structures import Detections, Interactions
from link_hoi_core.vocabulary import (
    NO_INTERACTION,
    Vocabulary,
    load_vocabulary,
    with_objects,
    with_verbs,
)

TEMPERATURE = 100.0  # EoID's gamma
BATCH_CROPS = 64


class ClipZeroShot:
    """Predicts like `HoiPredictor`, from a contrastive backbone alone.

    The verb scores of a pair are probabilities: over the valid verbs of its object they sum to 1.

    Attributes:
        vocabulary, model_name, score_threshold, max_interactions, max_pairs, select,
        score_exponent, backbone_seconds: as of `HoiPredictor`.
        config: nothing, as it comes from no training.
        checkpoint_sha256: the fingerprint of the backbone's weights.
        needs_image: it does.
    """

    needs_image = True

    def __init__(
        self,
        backbone: Backbone,
        vocabulary: Vocabulary | None = None,
        *,
        boxes: HoiPredictor | None = None,
        score_threshold: float = 0.0,
        max_interactions: int | None = None,
        select: bool = True,
        score_exponent: float = 1.0,
        precision: str = 'fp32',
    ) -> None:
        """Wrap a backbone that compares images with texts.

        Args:
            vocabulary: None = that of `boxes`, else HICO-DET's.
            boxes: its verb scores are multiplied with these. Give it the same `select` and no
                threshold or limit: a triplet that it leaves out scores 0 here.
            select, precision: as of `HoiPredictor`.

        Raises:
            ValueError: the backbone does not compare images with texts or has a weight that is not
                finite, or `boxes` has another vocabulary.
        """
        _check_backbone(backbone)
        if vocabulary is None:
            vocabulary = boxes.vocabulary if boxes else load_vocabulary('hico-det')
        if boxes is not None:
            _check_vocabulary(boxes, vocabulary)
        dtype = pick_precision(precision)
        same = next(backbone.parameters()).dtype == dtype
        # A copy, as the caller's own shall stay as precise as it was.
        self.backbone = backbone if same else copy.deepcopy(backbone).to(dtype)
        self.vocabulary = self._base = vocabulary
        self.model_name = f'clip_zero_shot:{backbone.name}'
        if boxes is not None:
            self.model_name += f'+{boxes.model_name}'
        self.checkpoint_sha256 = fingerprint(backbone)
        self.score_threshold = score_threshold
        self.max_interactions = max_interactions
        self.max_pairs: int | None = None
        self.score_exponent = score_exponent
        self.config: dict[str, object] = {}
        self._boxes = boxes
        self.select = select
        self._verbs: Sequence[str] | None = None
        self._objects: Sequence[str] | None = None
        self.backbone_seconds = 0.0
        self._texts: dict[int, Tensor] = {}

    @classmethod
    def from_backbone(
        cls,
        name: str = 'clip-vit-b16',
        weights: str = 'pretrained',
        device: str = 'auto',
        **options: object,
    ) -> ClipZeroShot:
        """Load a backbone by name; `weights` as of `BackboneConfig`, `options` the constructor's.

        Raises:
            ValueError, ConnectionError, FileNotFoundError, ImportError: as `build_backbone`; or
                the backbone has no text side.
        """
        where = pick_device(device)
        backbone = build_backbone(BackboneConfig(name, weights))
        if backbone is None:
            raise ValueError('clip_zero_shot needs a backbone, such as clip-vit-b16')
        return cls(backbone.to(where), **options)

    def set_verbs(self, verbs: Sequence[str] | None) -> None:
        """Score these verbs from now on, any words; `boxes` too. As `HoiPredictor.set_verbs`."""
        if self._boxes is not None:
            self._boxes.set_verbs(verbs)
        self._use(verbs, self._objects)

    def set_objects(self, objects: Sequence[str]) -> None:
        """Detections are labelled by these objects from now on; as `HoiPredictor.set_objects`."""
        if self._boxes is not None:
            self._boxes.set_objects(objects)
        self._use(self._verbs, objects)

    def predict(self, image: np.ndarray | None, detections: Detections) -> Interactions:
        """Triplets of one image; as `HoiPredictor.predict`."""
        return self.predict_batch([detections], [image])[0]

    def predict_batch(
        self, detections: Sequence[Detections], images: Sequence[np.ndarray] | None = None
    ) -> list[Interactions]:
        """`predict` for many images; each gives what it gives alone, to rounding."""
        given = [None] * len(detections) if images is None else images
        if len(given) != len(detections):
            raise ValueError(f'{len(given)} images for {len(detections)} sets of detections')
        pictures = [as_rgb_of_size(image, one.image_size) for image, one in zip(given, detections)]
        rows = [
            choose_detections(found, self.vocabulary, self.select, self.max_pairs)
            for found in detections
        ]
        chosen = [found.take(kept) for found, kept in zip(detections, rows)]
        pairs = [self._pairs(found) for found in chosen]
        start = time.perf_counter()
        embeddings = self._embed(self._crops(pictures, chosen, pairs))
        self.backbone_seconds = time.perf_counter() - start
        verb_scores = [
            self._compare(found.labels[some[:, 1]], of_image)
            for found, some, of_image in zip(
                chosen, pairs, embeddings.split([len(some) for some in pairs])
            )
        ]
        if self._boxes is not None:
            by_boxes = self._boxes.predict_batch(chosen, pictures)
            for scores, found, some in zip(verb_scores, by_boxes, pairs):
                scores *= _verb_scores_of(found, some, scores.shape[1])
        return [self._rank(*image) for image in zip(chosen, rows, pairs, verb_scores)]

    def _use(self, verbs: Sequence[str] | None, objects: Sequence[str] | None) -> None:
        """Turn to other words, all or nothing; None = those of the beginning."""
        vocabulary = self._base
        if verbs is not None:
            vocabulary = with_verbs(vocabulary, verbs)
        if objects is not None:
            vocabulary = with_objects(vocabulary, objects)
        self.vocabulary = vocabulary
        self._verbs, self._objects = verbs, objects
        self._texts = {}

    def _pairs(self, found: Detections) -> np.ndarray:
        """The pairs (M, 2) that have a verb to say."""
        pairs = list_pairs(found.labels, self.vocabulary.person)
        return pairs[self.vocabulary.valid.any(axis=1)[found.labels[pairs[:, 1]]]]

    def _crops(
        self,
        pictures: Sequence[np.ndarray],
        chosen: Sequence[Detections],
        pairs: Sequence[np.ndarray],
    ) -> Iterator[np.ndarray]:
        colour = np.round(255 * np.array(self.backbone.input.mean)).astype(np.uint8)
        for picture, found, some in zip(pictures, chosen, pairs):
            boxes = clamp_boxes(found)
            for human, object_ in some:
                yield crop_union(picture, boxes[human], boxes[object_], colour)

    @torch.inference_mode()
    def _embed(self, crops: Iterator[np.ndarray]) -> Tensor:
        """Embeddings (M, D) of M crops, which are made and shrunk one by one to save memory."""
        batches = [torch.zeros(0, self.backbone.text_width)]
        while batch := [self.backbone.prepare([crop]) for crop in islice(crops, BATCH_CROPS)]:
            batches.append(self.backbone.embed_image(torch.cat(batch)).float().cpu())
        return torch.cat(batches)

    def _compare(self, labels: np.ndarray, embeddings: Tensor) -> np.ndarray:
        """Probabilities (M, V) of the valid verbs, from the objects (M,) and embeddings (M, D)."""
        verb_scores = np.zeros((len(labels), len(self.vocabulary.verbs)), np.float32)
        for label in np.unique(labels):
            rows, verbs = np.flatnonzero(labels == label), self.vocabulary.valid[label]
            similarities = embeddings[rows] @ self._texts_of(int(label)).T
            verb_scores[np.ix_(rows, verbs)] = (TEMPERATURE * similarities).softmax(dim=1).numpy()
        return verb_scores

    @torch.inference_mode()
    def _texts_of(self, label: int) -> Tensor:
        """Embeddings (K, D) of the sentences for the K valid verbs of an object, made once."""
        if label not in self._texts:
            vocabulary = self.vocabulary
            texts = [
                self.backbone.prompt_template.format(
                    sentence(vocabulary.verb_phrases[verb], vocabulary.objects[label])
                )
                for verb in np.flatnonzero(vocabulary.valid[label])
            ]
            self._texts[label] = self.backbone.encode_text(texts).float().cpu()
        return self._texts[label]

    def _rank(
        self, found: Detections, rows: np.ndarray, pairs: np.ndarray, verb_scores: np.ndarray
    ) -> Interactions:
        prior = found.scores[pairs].prod(axis=1, keepdims=True)
        scores = verb_scores * prior**self.score_exponent
        valid = self.vocabulary.valid[found.labels[pairs[:, 1]]]
        wanted = valid & (scores >= self.score_threshold)
        return rank_interactions(rows[pairs], verb_scores, scores, wanted, self.max_interactions)


def crop_union(
    image: np.ndarray, human: np.ndarray, object_: np.ndarray, colour: np.ndarray
) -> np.ndarray:
    """The union of two boxes, whole pixels, in the middle of a square: (S, S, 3) uint8.

    Args:
        image: (H, W, 3) uint8.
        human, object_: boxes (4,) xyxy within the image.
        colour: (3,) uint8, of the padding.
    """
    x1, y1 = np.floor(np.minimum(human[:2], object_[:2])).astype(int)
    x2, y2 = np.ceil(np.maximum(human[2:], object_[2:])).astype(int)
    side = max(y2 - y1, x2 - x1)
    top, left = (side - (y2 - y1)) // 2, (side - (x2 - x1)) // 2
    crop = np.tile(colour, (side, side, 1))
    crop[top : top + y2 - y1, left : left + x2 - x1] = image[y1:y2, x1:x2]
    return crop


def sentence(phrase: str, name: str) -> str:
    """EoID's prompt: 'a picture of person riding bicycle'."""
    doing = 'and' if phrase == NO_INTERACTION else phrase
    return f'a picture of person {doing} {name.replace("_", " ")}'


def _check_backbone(backbone: Backbone) -> None:
    if backbone.text_width is None:
        raise ValueError(f'{backbone.name} has no text side, expected CLIP or a model like it')
    if type(backbone).embed_image is Backbone.embed_image:
        raise ValueError(
            f'{backbone.name} does not compare images with texts, expected CLIP or a model like it'
        )
    for name, weight in backbone.named_parameters():
        if not torch.isfinite(weight).all():
            raise ValueError(f'{backbone.name} holds a value that is not finite in {name}')


def _check_vocabulary(boxes: HoiPredictor, wanted: Vocabulary) -> None:
    found = boxes.vocabulary
    if (found.verbs, found.objects) != (wanted.verbs, wanted.objects):
        raise ValueError(f'{boxes.model_name} is a model of {found.id}, expected {wanted.id}')


def _verb_scores_of(found: Interactions, pairs: np.ndarray, verbs: int) -> np.ndarray:
    """Verb scores (M, V) of the pairs (M, 2), 0 for what was not found."""
    size = int(pairs.max(initial=-1)) + 1
    row = np.full((size, size), -1)
    row[pairs[:, 0], pairs[:, 1]] = np.arange(len(pairs))
    scores = np.zeros((len(pairs), verbs), np.float32)
    scores[row[found.human, found.object], found.verb] = found.verb_score
    return scores
