"""HoiPredictor: the one way from detections to triplets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from link_hoi_core.checkpoint import Checkpoint, load_checkpoint
from link_hoi_core.geometry import box_area
from link_hoi_core.model.scene import build_scene, clamp_boxes, count_pairs, cut_by_pairs
from link_hoi_core.model.scoring import final_score, pair_prior, valid_verbs
from link_hoi_core.selection import select_detections
from link_hoi_core.structures import Detections, Interactions
from link_hoi_core.vocabulary import Vocabulary, load_vocabulary

BATCH_IMAGES = 256
BATCH_PAIRS = 4096


class HoiPredictor:
    """Scores what each person does with each thing; the node, the demo and evaluation all use it.

    The logits are the mean over the scene and its mirror image.

    Attributes:
        vocabulary: the objects that detections are labelled with, and the verbs of interactions.
        model_name: the checkpoint's name.
        checkpoint_sha256: of its weights, hexadecimal.
        score_threshold: interactions below it are left out; may be changed at any time.
        max_interactions: the most an image gives, best first; None = all; may be changed.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        *,
        score_threshold: float = 0.0,
        max_interactions: int | None = None,
        select: bool = True,
        score_exponent: float = 1.0,
    ) -> None:
        """Wrap a loaded checkpoint.

        Args:
            select: apply LINK's selection of detections (NMS, 3 to 15 humans and objects); without
                it every detection takes part, as the ground-truth-box protocol asks.
            score_exponent: lambda, a setting of the detector: 2.8 for DETR, 1.7 for Deformable
                DETR, 1.0 otherwise (spec section 6).
        """
        self.model = checkpoint.model
        self.vocabulary: Vocabulary = load_vocabulary(self.model.config.vocabulary)
        self.model_name = checkpoint.name
        self.checkpoint_sha256 = checkpoint.sha256
        self.config = checkpoint.config
        self.score_threshold = score_threshold
        self.max_interactions = max_interactions
        self._select = select
        self._score_exponent = score_exponent
        self._device = next(self.model.parameters()).device
        self._valid = torch.from_numpy(self.vocabulary.valid.copy()).to(self._device)

    @classmethod
    def from_checkpoint(
        cls, name: str | Path = 'boxes', device: str = 'auto', **options: object
    ) -> HoiPredictor:
        """Load a checkpoint folder or an embedded one onto a device (`device.pick_device`).

        `options` are those of the constructor.

        Raises:
            FileNotFoundError, ValueError: as `checkpoint.load_checkpoint`.
        """
        return cls(load_checkpoint(name, device), **options)

    def predict(self, image: np.ndarray | None, detections: Detections) -> Interactions:
        """Triplets of one image.

        Args:
            image: (H, W, 3) uint8 RGB; the models without a backbone take none and look at none.
            detections: labelled by this predictor's vocabulary; objects outside it (label -1)
                and boxes outside the image take no part.

        Returns:
            interactions whose indices refer to `detections`, by falling score.

        Raises:
            ValueError: a label is outside the vocabulary.
        """
        return self.predict_batch([detections])[0]

    def predict_batch(self, images: Sequence[Detections]) -> list[Interactions]:
        """`predict` for many images; each gives what it gives alone, to rounding."""
        rows = [self._rows(detections) for detections in images]
        chosen = [detections.take(kept) for detections, kept in zip(images, rows)]
        person = self.vocabulary.person
        counts = np.array([count_pairs(detections.labels, person) for detections in chosen])
        results = [Interactions.empty()] * len(images)
        with_pairs = np.flatnonzero(counts)
        for batch in cut_by_pairs(with_pairs, counts[with_pairs], BATCH_IMAGES, BATCH_PAIRS):
            for image, found in zip(batch, self._score([chosen[image] for image in batch])):
                results[image] = self._back(found, rows[image])
        return results

    def _rows(self, detections: Detections) -> np.ndarray:
        """Which detections take part."""
        objects = len(self.vocabulary.objects)
        if (detections.labels >= objects).any():
            raise ValueError(
                f'label {detections.labels.max()} is outside the vocabulary '
                f'{self.vocabulary.id} of {objects} objects'
            )
        in_view = box_area(clamp_boxes(detections)) > 0
        rows = np.flatnonzero(in_view & (detections.labels >= 0))
        if not self._select:
            return rows
        return rows[select_detections(detections.take(rows), self.vocabulary.person)]

    @torch.inference_mode()
    def _score(self, images: list[Detections]) -> list[Interactions]:
        """Score a batch of images that all have pairs."""
        scene = build_scene(images, self.vocabulary.person).to(self._device)
        # People do the same in a mirror; without pixels a second look costs little.
        logits = self.model.final_logits(scene.with_mirror_images())
        logits = logits.unflatten(0, (2, -1)).mean(dim=0)
        prior = pair_prior(scene).unsqueeze(-1)
        verb_scores = logits.sigmoid()
        scores = final_score(logits, prior, self._score_exponent)
        wanted = valid_verbs(scene, self._valid) & (scores >= self.score_threshold)
        columns = (scene.pairs, verb_scores, scores, wanted)
        return [
            self._interactions(*image)
            for image in zip(*(column.cpu().numpy() for column in columns))
        ]

    def _interactions(
        self, pairs: np.ndarray, verb_scores: np.ndarray, scores: np.ndarray, wanted: np.ndarray
    ) -> Interactions:
        """One image's pairs (M, 2) and scores (M, V), as interactions by falling score."""
        pair, verb = np.nonzero(wanted)
        order = np.argsort(-scores[pair, verb], kind='stable')[: self.max_interactions]
        pair, verb = pair[order], verb[order]
        human, object_ = pairs[pair].T
        return Interactions(human, object_, verb, scores[pair, verb], verb_scores[pair, verb])

    @staticmethod
    def _back(found: Interactions, rows: np.ndarray) -> Interactions:
        """Indices into the chosen detections become indices into all detections."""
        return Interactions(
            rows[found.human], rows[found.object], found.verb, found.score, found.verb_score
        )
