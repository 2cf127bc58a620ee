"""Training examples: annotated images as augmented detections with verb targets for every pair."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from link_hoi_core.data.hico_det import AnnotatedImage, ground_truth_detections
from link_hoi_core.data.transforms import flip_boxes, jitter_boxes
from link_hoi_core.geometry import box_iou
from link_hoi_core.model.scene import Scene, build_scene, count_pairs, list_pairs
from link_hoi_core.structures import Detections
from link_hoi_core.training.batch import NEITHER
from link_hoi_core.training.experiment import Augmentation

MATCH_IOU = 0.5


class HoiExamples(Dataset):
    """One item an image: its augmented detections and the (M, V) targets of its pairs.

    A target is 1 where the verb is annotated, `NEITHER` where it must not count, else 0.
    """

    def __init__(
        self,
        images: Sequence[AnnotatedImage],
        person: int,
        verbs: int,
        augmentation: Augmentation,
        hidden: Sequence[AnnotatedImage] | None = None,
    ) -> None:
        """Keep the images that have a pair. Random numbers come from torch's seed.

        Args:
            hidden: the same images with pairs that are true, but not to be learnt from.
        """
        self.person, self.verbs, self.augmentation = person, verbs, augmentation
        annotated = [row for row, image in enumerate(images) if len(image.hoi)]
        detections = [ground_truth_detections(images[row]) for row in annotated]
        counts = [count_pairs(found.labels, person) for found in detections]
        rows = [row for row, count in enumerate(counts) if count]
        self.images = [images[annotated[row]] for row in rows]
        self.hidden = None if hidden is None else [hidden[annotated[row]] for row in rows]
        self.detections = [detections[row] for row in rows]
        self.pair_counts = [counts[row] for row in rows]

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Detections, np.ndarray]:
        image, clean, change = self.images[index], self.detections[index], self.augmentation
        random = np.random.default_rng(int(torch.randint(2**62, ()).item()))
        boxes = jitter_boxes(clean.boxes, clean.image_size, change.jitter, random)
        targets = np.zeros((self.pair_counts[index], self.verbs), dtype=np.float32)
        if self.hidden is not None:
            targets[self._annotated(boxes, clean.labels, self.hidden[index])] = NEITHER
        targets[self._annotated(boxes, clean.labels, image)] = 1
        if random.random() < change.flip:
            boxes = flip_boxes(boxes, clean.image_size[1])
        scores = clean.scores
        if random.random() < change.score_noise:
            scores = random.uniform(change.least_score, 1, len(clean))
        return Detections(boxes, scores, clean.labels, clean.image_size), targets

    def _annotated(
        self, boxes: np.ndarray, labels: np.ndarray, image: AnnotatedImage
    ) -> tuple[np.ndarray, np.ndarray]:
        """Where the targets (M, V) are positive: a pair has the verbs that both its boxes overlap.

        min(IoU_h, IoU_o) >= 0.5, without a look at the object's class, several annotated pairs a
        pair (spec section 6).
        """
        human, object_ = list_pairs(labels, self.person).T
        human_iou = box_iou(boxes, image.boxes_h)[human]
        object_iou = box_iou(boxes, image.boxes_o)[object_]
        pair, annotated = np.nonzero(np.minimum(human_iou, object_iou) >= MATCH_IOU)
        return pair, image.verb[annotated]

    def collate(self, items: Sequence[tuple[Detections, np.ndarray]]) -> tuple[Scene, Tensor]:
        """Pad the items of a batch: the scene and its targets (B, M, V)."""
        scene = build_scene([detections for detections, _ in items], self.person)
        targets = torch.zeros(*scene.pairs.shape[:2], self.verbs)
        for row, (_, target) in enumerate(items):
            targets[row, : len(target)] = torch.from_numpy(target)
        return scene, targets
