"""HoiPredictor: the one way from an image and its detections to triplets."""

from __future__ import annotations

import copy
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from link_hoi_core.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from link_hoi_core.device import pick_device, pick_precision
from link_hoi_core.hub import upload
from link_hoi_core.images import as_rgb_of_size
from link_hoi_core.model.scene import build_scene, count_pairs, cut_by_pairs
from link_hoi_core.model.scoring import VerbFilter, final_score, pair_prior, valid_verbs
from link_hoi_core.ranking import choose_detections, rank_interactions
from link_hoi_core.structures import Detections, Interactions
from link_hoi_core.text_encoder import embed_texts
from link_hoi_core.vocabulary import (
    Vocabulary,
    base_objects,
    base_verbs,
    load_vocabulary,
    text_embeddings,
    with_objects,
    with_verbs,
)

BATCH_IMAGES = 256
BATCH_PICTURES = 16  # images of a batch that go through a backbone
BATCH_PAIRS = 4096

T = TypeVar('T', bound=nn.Module)


class HoiPredictor:
    """Scores what each person does with each thing; the node, the demo and evaluation all use it.

    Attributes:
        vocabulary: the objects that detections are labelled with, and the verbs of interactions.
        model_name: the checkpoint's name.
        checkpoint_sha256: of its weights, hexadecimal.
        needs_image: whether the model looks at pixels.
        score_threshold: interactions below it are left out; may be changed at any time.
        max_interactions: the most an image gives, best first; None = all; may be changed.
        max_pairs: the most human-object pairs that the model looks at, those of the surest
            detections; None = all; may be changed.
        select: whether LINK's selection of detections is applied; may be changed.
        score_exponent: lambda, a setting of the detector; may be changed.
        backbone_seconds: what the backbone took in the last call; 0 without one.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        *,
        score_threshold: float = 0.0,
        max_interactions: int | None = None,
        select: bool = True,
        score_exponent: float = 1.0,
        verb_filter: VerbFilter | None = None,
        device: str | None = None,
        precision: str = 'fp32',
    ) -> None:
        """Wrap a checkpoint, which stays as it is.

        Args:
            select: apply LINK's selection of detections (NMS, 3 to 15 humans and objects); without
                it every detection takes part, as the ground-truth-box protocol asks.
            score_exponent: lambda, a setting of the detector: 2.8 for DETR, 1.7 for Deformable
                DETR, 1.0 otherwise (spec section 6).
            verb_filter: keep only each pair's best verbs (zero-shot setting, LINK A.4).
            device: as of `device.pick_device`; None = where the checkpoint's model is.
            precision: 'fp32', 'bf16' or 'fp16', of backbone and model; scores are always fp32.

        Raises:
            ValueError: there is no such device or precision.
        """
        own_device = next(checkpoint.model.parameters()).device
        self._device = own_device if device is None else pick_device(device)
        self._dtype = pick_precision(precision)
        self._checkpoint = checkpoint
        self.model = self._placed(checkpoint.model)
        self.backbone = checkpoint.backbone and self._placed(checkpoint.backbone)
        self.needs_image = checkpoint.backbone is not None
        self.model_name = checkpoint.name
        self.checkpoint_sha256 = checkpoint.sha256
        self.config = checkpoint.config
        self.score_threshold = score_threshold
        self.max_interactions = max_interactions
        self.max_pairs: int | None = None
        self.backbone_seconds = 0.0
        self.select = select
        self.score_exponent = score_exponent
        self._verb_filter = verb_filter
        self._trained = load_vocabulary(self.model.config.vocabulary)
        self._verbs: Sequence[str] | None = None
        self._objects: Sequence[str] | None = None
        self._set_vocabulary(self._trained)

    @classmethod
    def from_checkpoint(
        cls,
        name: str | Path = 'boxes',
        device: str = 'auto',
        backbone_weights: str | None = None,
        **options: object,
    ) -> HoiPredictor:
        """Load a checkpoint by name, folder or hub repository onto a device.

        `name` and `backbone_weights` are those of `checkpoint.load_checkpoint`, the others the
        constructor's.

        Raises:
            FileNotFoundError, ConnectionError, ValueError: as `checkpoint.load_checkpoint`.
        """
        return cls(load_checkpoint(name, backbone_weights), device=device, **options)

    def set_verbs(self, verbs: Sequence[str] | None) -> None:
        """Score these verbs from now on, any words; those that were trained keep what they learnt.

        None = all that were trained, and no others.

        A new verb is its text embedding, and goes with every object (`vocabulary.open`). Not to be
        called while another thread predicts.

        Raises:
            ValueError: there is no verb, one is no word or stands twice; nothing has changed then.
            ImportError, ConnectionError: the text encoder is not here.
        """
        self._use(verbs, self._objects)

    def set_objects(self, objects: Sequence[str]) -> None:
        """Detections are labelled by these objects from now on, any words, and people.

        A new object goes with every verb. Raises as `set_verbs`.
        """
        self._use(self._verbs, objects)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the checkpoint, as it was trained, into a folder that `from_checkpoint` takes."""
        saved = self._checkpoint
        save_checkpoint(Path(folder), saved.model, saved.backbone, saved.config, saved.card)

    def push_to_hub(self, repository: str, private: bool = False) -> str:
        """Upload the checkpoint to the hub as 'owner/name'; the repository's address.

        Raises:
            ImportError, ConnectionError: as `hub.upload`.
        """
        with tempfile.TemporaryDirectory() as parent:
            folder = Path(parent) / 'checkpoint'
            self.save_pretrained(folder)
            return upload(folder, repository, private)

    def predict(self, image: np.ndarray | None, detections: Detections) -> Interactions:
        """Triplets of one image.

        Args:
            image: RGB, as `images.as_rgb` takes it; a model without a backbone looks at none.
            detections: labelled by this predictor's vocabulary; objects outside it (label -1)
                and boxes outside the image take no part.

        Returns:
            interactions whose indices refer to `detections`, by falling score.

        Raises:
            ValueError: a label is outside the vocabulary, the model needs an image and has none,
                or the image is not of the size that the detections are of.
        """
        return self.predict_batch([detections], None if image is None else [image])[0]

    def predict_batch(
        self, detections: Sequence[Detections], images: Sequence[np.ndarray] | None = None
    ) -> list[Interactions]:
        """`predict` for many images; each gives what it gives alone, to rounding."""
        self.backbone_seconds = 0.0
        pictures = self._pictures(detections, images)
        rows = [
            choose_detections(found, self.vocabulary, self.select, self.max_pairs)
            for found in detections
        ]
        chosen = [found.take(kept) for found, kept in zip(detections, rows)]
        person = self.vocabulary.person
        counts = np.array([count_pairs(found.labels, person) for found in chosen])
        results = [Interactions.empty()] * len(detections)
        with_pairs = np.flatnonzero(counts)
        most = BATCH_PICTURES if self.needs_image else BATCH_IMAGES
        for batch in cut_by_pairs(with_pairs, counts[with_pairs], most, BATCH_PAIRS):
            features = pictures and self._features([pictures[image] for image in batch])
            found = self._score([chosen[image] for image in batch], features)
            for image, triplets in zip(batch, found):
                results[image] = _back(triplets, rows[image])
        return results

    def _use(self, verbs: Sequence[str] | None, objects: Sequence[str] | None) -> None:
        """Turn to other words, all or nothing; None = those that were trained."""
        trained = vocabulary = self._trained
        verb_rows, object_rows = np.arange(len(trained.verbs)), np.arange(len(trained.objects))
        new_verbs = new_objects = None
        if verbs is not None:
            vocabulary = with_verbs(vocabulary, verbs)
            verb_rows = base_verbs(trained, vocabulary)
            prompts = [vocabulary.verb_prompts[i] for i in np.flatnonzero(verb_rows < 0)]
            if prompts:
                new_verbs = embed_texts(prompts, self.model.config.backbone, self.backbone)
        if objects is not None:
            vocabulary = with_objects(vocabulary, objects)
            object_rows = base_objects(trained, vocabulary)
            names = [vocabulary.objects[i] for i in np.flatnonzero(object_rows < 0)]
            if names and not self.needs_image:
                new_objects = torch.from_numpy(text_embeddings(names))
        model = self._checkpoint.model.for_words(verb_rows, new_verbs, object_rows, new_objects)
        self.model = self._placed(model)
        self._verbs, self._objects = verbs, objects
        self._set_vocabulary(vocabulary)

    def _placed(self, module: T) -> T:
        """A module in eval mode on the device and in the precision: itself, or a copy."""
        weight = next(module.parameters())
        if (weight.device, weight.dtype) != (self._device, self._dtype):
            module = copy.deepcopy(module).to(self._device, self._dtype)
        return module.eval()

    def _set_vocabulary(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self._valid = torch.from_numpy(vocabulary.valid.copy()).to(self._device)

    def _pictures(
        self, detections: Sequence[Detections], images: Sequence[np.ndarray] | None
    ) -> list[np.ndarray] | None:
        """The images as RGB, of the sizes that their detections say; None where none is needed."""
        if not self.needs_image:
            return None
        if images is None or any(image is None for image in images):
            name = self.model.config.backbone.name
            raise ValueError(
                f'{self.model_name} looks at pixels through {name}: it needs the image'
            )
        if len(images) != len(detections):
            raise ValueError(f'{len(images)} images for {len(detections)} sets of detections')
        return [as_rgb_of_size(image, found.image_size) for image, found in zip(images, detections)]

    @torch.inference_mode()
    def _features(self, pictures: list[np.ndarray]) -> Tensor:
        """Feature maps (B, C, H, W)."""
        start = time.perf_counter()
        features = self.backbone.encode_image(self.backbone.prepare(pictures))
        if features.is_cuda:
            torch.cuda.synchronize(features.device)
        self.backbone_seconds += time.perf_counter() - start
        return features

    @torch.inference_mode()
    def _score(self, images: list[Detections], features: Tensor | None) -> list[Interactions]:
        """Score a batch of images that all have pairs."""
        scene = build_scene(images, self.vocabulary.person).to(self._device)
        logits = self.model.infer(scene, features).float()
        if not logits.isfinite().all():  # a comparison with NaN would drop them in silence
            raise ValueError(f'{self.model_name} gives scores that are not finite numbers')
        prior = pair_prior(scene).unsqueeze(-1)
        verb_scores = logits.sigmoid()
        scores = final_score(logits, prior, self.score_exponent)
        wanted = valid_verbs(scene, self._valid)
        if self._verb_filter is not None:
            wanted &= self._verb_filter.keep(scores.where(wanted, -1), prior)
        wanted &= scores >= self.score_threshold
        columns = (scene.pairs, verb_scores, scores, wanted)
        return [
            rank_interactions(*image, self.max_interactions)
            for image in zip(*(column.cpu().numpy() for column in columns))
        ]


def _back(found: Interactions, rows: np.ndarray) -> Interactions:
    """Indices into the chosen detections become indices into all detections."""
    human, object_ = rows[found.human], rows[found.object]
    return Interactions(human, object_, found.verb, found.score, found.verb_score)
