"""The Lightning module: one step of training, and validation by the benchmark's own figures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import lightning
import numpy as np
import torch
from torch import Tensor

from link_hoi_core.backbones import Backbone, fingerprint
from link_hoi_core.checkpoint import Checkpoint, build_model
from link_hoi_core.data.annotated_image import AnnotatedImage
from link_hoi_core.data.image_folder import ImageFolder
from link_hoi_core.data.splits import seen_verbs
from link_hoi_core.distillation.losses import Total, average, focal_loss
from link_hoi_core.distillation.teacher import LEVELS, Teachers
from link_hoi_core.evaluation.boxes import predict_ground_truth_boxes
from link_hoi_core.evaluation.summary import benchmark_figures
from link_hoi_core.model.link import LinkOutput
from link_hoi_core.model.scoring import pair_prior, prior_logit, valid_verbs
from link_hoi_core.predictor import HoiPredictor
from link_hoi_core.training.batch import NEITHER, Batch
from link_hoi_core.training.experiment import BalanceConfig, Experiment, OptimiserConfig
from link_hoi_core.training.gather import predict_together
from link_hoi_core.vocabulary import load_vocabulary

ANNOTATED = 'annotated'  # the loss on the annotations, besides those of `LEVELS`
BETWEEN_RANKS = 1_000_003  # more than a run has epochs; seeds of a CPU have 32 bits


class LinkTraining(lightning.LightningModule):
    """Trains LINK on annotated pairs, and on what teachers make of all pairs.

    Attributes:
        model: what is trained.
        backbones: the distinct frozen models that student and teachers look through, the student's
            first, in the order of `Batch.pictures`; empty without pixels. They are no part of the
            module's state.
        teachers: none for a run on annotations alone.
    """

    def __init__(
        self,
        experiment: Experiment,
        images: Sequence[AnnotatedImage],
        folder: ImageFolder | None = None,
    ) -> None:
        """Build the model that `experiment` describes, and load its teachers.

        Args:
            images: those to train on; they say how frequent each interaction is.
            folder: where the images to validate on are; only a model with pixels looks at them.

        Raises:
            ValueError, OSError: as `Teachers`; ValueError also for a feature map that is to be
                distilled into a student that cannot change its own.
            ImportError, ConnectionError: as `build_model`.
        """
        super().__init__()
        self.experiment = experiment
        self.folder = folder
        self.model, backbone = build_model(experiment.model)
        self.vocabulary = load_vocabulary(experiment.model.vocabulary)
        valid = torch.from_numpy(seen_verbs(self.vocabulary, experiment.setting.unseen))
        self.register_buffer('valid', valid, persistent=False)
        balance = rareness(images, valid.shape, experiment.balance)
        self.register_buffer('rareness', balance, persistent=False)
        self.teachers = Teachers(
            experiment.distillation.teachers,
            experiment.model.vocabulary,
            experiment.setting,
            experiment.seed,
            pixels=backbone is not None,
        )
        taught_through = [teacher.backbone for teacher in self.teachers.checkpoints]
        self.backbones, self._looks_through = distinct_backbones([backbone, *taught_through])
        # A teacher's own copy of a backbone that another model has too is large.
        self.teachers.checkpoints = [
            replace(teacher, backbone=None) for teacher in self.teachers.checkpoints
        ]
        weights = {level: getattr(experiment.distillation, level) for level in LEVELS}
        self._levels = {level: weight for level, weight in weights.items() if weight > 0}
        self._check_adapter()

    def __getstate__(self) -> dict[str, Any]:
        """What a copy has, as the averaged model is one: all but what is frozen, which is large."""
        return super().__getstate__() | {'backbones': [], 'teachers': None}

    def checkpoint(self, name: str) -> Checkpoint:
        """The model as it is now, with its backbone."""
        return Checkpoint(name, self.model, next(iter(self.backbones), None), {})

    def training_step(self, batch: Batch, index: int) -> Tensor:
        """The loss on the annotations, and what the teachers' add, by the weights of the levels.

        What is returned is this process's part of it (`losses.average`), what is logged all of it.

        Raises:
            FloatingPointError: the loss is not finite; then in every process.
        """
        scene = batch.scene
        valid = valid_verbs(scene, self.valid)
        features, *taught = self._maps(batch)
        output = self.model(scene, features)
        totals = {ANNOTATED: self._annotated_loss(output, batch, valid)}
        if self.teachers.checkpoints:
            tau = self.experiment.distillation.tau
            totals |= self.teachers.losses(output, scene, taught, valid, self._levels, tau)
        own, whole = average(totals)
        loss = self._weighted(whole)
        if not torch.isfinite(loss):  # of all processes, so that all of them stop
            raise FloatingPointError(f'the loss is {loss.item()} at step {self.global_step}')
        self.log('loss', loss, prog_bar=True, batch_size=len(scene.pairs))
        if len(whole) > 1:
            parts = {f'loss_{level}': value for level, value in whole.items()}
            self.log_dict(parts, batch_size=len(scene.pairs))
        return self._weighted(own)

    def on_fit_start(self) -> None:
        """The teachers and backbones, being no modules of this one, do not follow by themselves."""
        self.teachers.to(self.device)
        for backbone in self.backbones:
            backbone.to(self.device)

    def on_train_epoch_start(self) -> None:
        """Make an epoch's augmentation and dropout depend on the seed and its number only.

        A run that is resumed after any epoch then goes on as the one that was not interrupted.
        Each of several processes draws its own numbers.
        """
        seed = self.experiment.seed * 1000 + self.current_epoch
        torch.manual_seed(seed + self.global_rank * BETWEEN_RANKS)

    def validation_step(self, images: list[AnnotatedImage], index: int) -> None:
        """The benchmark's figures on ground-truth boxes, through the predictor; one step is all."""
        predictor = HoiPredictor(self.checkpoint('training'), select=False)
        predict = partial(predict_ground_truth_boxes, predictor, folder=self.folder)
        predictions = predict_together(predict, images, self.device)
        unseen = self.experiment.setting.unseen
        figures = benchmark_figures(images, predictions, self.vocabulary, unseen)
        self.log_dict(figures, prog_bar=True, batch_size=1, sync_dist=True)

    def configure_optimizers(self) -> dict[str, object]:
        settings = self.experiment.optimiser
        optimiser = torch.optim.AdamW(
            self.model.parameters(),
            lr=settings.learning_rate,
            weight_decay=settings.weight_decay,
            # Lightning does not clip the gradients of a fused one in mixed precision.
            fused=settings.precision == 'fp32',
        )
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimiser, lambda step: rate_factor(step, steps, settings)
        )
        return {'optimizer': optimiser, 'lr_scheduler': {'scheduler': schedule, 'interval': 'step'}}

    def transfer_batch_to_device(
        self, batch: object, device: torch.device, dataloader_idx: int
    ) -> object:
        return batch.to(device) if isinstance(batch, Batch) else batch

    def _maps(self, batch: Batch) -> list[Tensor | None]:
        """The feature map that each model looks at, the student's first; None for one without."""
        pictures = batch.pictures
        if not batch.encoded:
            with torch.no_grad():
                seen = zip(self.backbones, pictures, strict=True)
                pictures = [backbone.encode_image(picture) for backbone, picture in seen]
        dtype = next(self.model.parameters()).dtype
        maps = [picture.to(dtype) for picture in pictures]
        return [None if place is None else maps[place] for place in self._looks_through]

    def _annotated_loss(self, output: LinkOutput, batch: Batch, valid: Tensor) -> Total:
        """The focal loss on Psi over valid verbs, averaged over the decoder's layers."""
        scene, targets = batch.scene, batch.targets
        counted = valid & (targets != NEITHER)
        prior = pair_prior(scene).unsqueeze(-1)
        rareness = self.rareness[scene.at_objects(scene.labels)]
        importance = torch.where(targets > 0, 1 / rareness, rareness)
        return Total.mean(
            [
                focal_loss(prior_logit(logits, prior), targets, counted, importance)
                for logits in output.logits
            ]
        )

    def _weighted(self, losses: dict[str, Tensor]) -> Tensor:
        """The sum of the losses by their weights; without teachers there is but one."""
        if not self.teachers.checkpoints:
            return losses[ANNOTATED]
        weights = {ANNOTATED: self.experiment.distillation.annotations, **self._levels}
        return sum(weights[name] * loss for name, loss in losses.items())

    def _check_adapter(self) -> None:
        """Raise a ValueError where maps would be distilled into one that nothing can change."""
        maps_taught = any(place is not None for place in self._looks_through[1:])
        if maps_taught and 'feature_map' in self._levels and self.model.adapter is None:
            raise ValueError(
                "a student without an adapter cannot learn its teachers' feature maps: set "
                'model.adapter to a width, or distillation.feature_map to 0'
            )


def distinct_backbones(
    of_models: Sequence[Backbone | None],
) -> tuple[list[Backbone], list[int | None]]:
    """The backbones of several models, each of those that give the same maps only once.

    Args:
        of_models: a model's backbone each; None for one without pixels.

    Returns:
        the backbones, and which of them each model looks through.
    """
    found: dict[tuple, Backbone] = {}
    keys = [backbone and _identity(backbone) for backbone in of_models]
    for key, backbone in zip(keys, of_models):
        if backbone is not None:
            found.setdefault(key, backbone)
    order = list(found)
    return list(found.values()), [None if key is None else order.index(key) for key in keys]


def _identity(backbone: Backbone) -> tuple:
    """What a backbone's maps depend on; where its weights come from does not matter."""
    return backbone.name, backbone.feature_space, backbone.input, fingerprint(backbone)


def rareness(
    images: Sequence[AnnotatedImage], shape: tuple[int, int], balance: BalanceConfig
) -> Tensor:
    """r of each (object, verb), see `BalanceConfig`: (O, V) in (0, 1], of the given `shape`."""
    pairs = np.zeros(shape)
    for image in images:
        np.add.at(pairs, (image.object, image.verb), 1)
    share = pairs.clip(1, balance.frequent) / balance.frequent
    return torch.from_numpy(share**balance.power).float()


def rate_factor(step: int, steps: int, settings: OptimiserConfig) -> float:
    """Factor of the learning rate at a step of all `steps`, by `settings.schedule`."""
    if settings.schedule == 'one-cycle':
        return one_cycle(step, steps, settings.warm_up)
    late = step * settings.epochs >= steps * settings.drop_after  # each epoch has as many steps
    return settings.drop if late else 1.0


def one_cycle(step: int, steps: int, warm_up: float) -> float:
    """Factor of the learning rate in [0, 1]: linear up to `warm_up` of the steps, then a cosine."""
    rising = warm_up * steps
    if step < rising:
        return (step + 1) / (rising + 1)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - rising) / max(1.0, steps - rising))))
