"""The Lightning module: one step of training, and validation by the official metric."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict

import lightning
import numpy as np
import torch
from torch import Tensor

from link_hoi_core.checkpoint import Checkpoint, build_model
from link_hoi_core.data.hico_det import AnnotatedImage
from link_hoi_core.data.splits import seen_verbs
from link_hoi_core.distillation.losses import focal_loss
from link_hoi_core.distillation.teacher import Teachers
from link_hoi_core.evaluation.ground_truth_boxes import predict_ground_truth_boxes
from link_hoi_core.evaluation.hico_det import hico_det_figures, rank_hico_det
from link_hoi_core.evaluation.zero_shot import zero_shot_figures
from link_hoi_core.model.link import LinkOutput
from link_hoi_core.model.scene import Scene
from link_hoi_core.model.scoring import pair_prior, prior_logit, valid_verbs
from link_hoi_core.predictor import HoiPredictor
from link_hoi_core.training.batch import NEITHER, Batch
from link_hoi_core.training.experiment import BalanceConfig, Experiment
from link_hoi_core.vocabulary import load_vocabulary


class LinkTraining(lightning.LightningModule):
    """Trains LINK on annotated pairs, and on what teachers make of all pairs."""

    def __init__(self, experiment: Experiment, images: Sequence[AnnotatedImage]) -> None:
        """Build the model that `experiment` describes, and load its teachers.

        Args:
            images: those to train on; they say how frequent each interaction is.

        Raises:
            ValueError, OSError: as `Teachers`; ValueError also for a model with pixels.
        """
        super().__init__()
        if experiment.model.backbone.name != 'none':
            raise ValueError(
                f'model.backbone is {experiment.model.backbone.name}: training on pixels is not '
                f'there yet, expected none'
            )
        self.experiment = experiment
        self.model, _ = build_model(experiment.model)
        self.vocabulary = load_vocabulary(experiment.model.vocabulary)
        valid = torch.from_numpy(seen_verbs(self.vocabulary, experiment.setting.unseen))
        self.register_buffer('valid', valid, persistent=False)
        balance = rareness(images, valid.shape, experiment.balance)
        self.register_buffer('rareness', balance, persistent=False)
        self.teachers = Teachers(
            experiment.distillation.teachers, experiment.model.vocabulary, experiment.setting
        )

    def training_step(self, batch: Batch, index: int) -> Tensor:
        """The loss on the annotations, and what the teachers' add, by the weights of the levels."""
        scene, targets = batch.scene, batch.targets
        valid = valid_verbs(scene, self.valid)
        output = self.model(scene)
        loss = self._annotated_loss(output, scene, targets, valid)
        if self.teachers.checkpoints:
            settings = self.experiment.distillation
            levels = self.teachers.losses(output, scene, valid, settings.tau)
            for level, value in {'annotated': loss, **levels}.items():
                self.log(f'loss_{level}', value, batch_size=len(scene.pairs))
            loss = loss + sum(getattr(settings, level) * levels[level] for level in levels)
        if not torch.isfinite(loss):
            raise FloatingPointError(f'the loss is {loss.item()} at step {self.global_step}')
        self.log('loss', loss, prog_bar=True, batch_size=len(scene.pairs))
        return loss

    def _annotated_loss(
        self, output: LinkOutput, scene: Scene, targets: Tensor, valid: Tensor
    ) -> Tensor:
        """The focal loss on Psi over valid verbs, averaged over the decoder's layers."""
        counted = valid & (targets != NEITHER)
        prior = pair_prior(scene).unsqueeze(-1)
        _, label = scene.at_pairs(scene.labels)
        rareness = self.rareness[label]
        importance = torch.where(targets > 0, 1 / rareness, rareness)
        losses = [
            focal_loss(prior_logit(logits, prior), targets, counted, importance)
            for logits in output.logits
        ]
        return torch.stack(losses).mean()

    def on_fit_start(self) -> None:
        """The teachers, being no modules, do not follow by themselves."""
        self.teachers.to(self.device)

    def on_train_epoch_start(self) -> None:
        """Make an epoch's order, augmentation and dropout depend on the seed and its number only.

        A run that is resumed after any epoch then goes on as the one that was not interrupted.
        """
        torch.manual_seed(self.experiment.seed * 1000 + self.current_epoch)

    def validation_step(self, images: list[AnnotatedImage], index: int) -> None:
        """The official figures on ground-truth boxes, through the predictor; one step is all."""
        predictor = HoiPredictor(Checkpoint('training', self.model, None, {}), select=False)
        ranked = rank_hico_det(
            images, predict_ground_truth_boxes(predictor, images), self.vocabulary
        )
        figures = hico_det_figures(ranked, self.vocabulary, f1_threshold=0.5)
        for name in ('full', 'rare', 'non_rare'):
            self.log(name, getattr(figures, name), prog_bar=True, batch_size=1)
        if self.experiment.setting.split is not None:
            zero_shot = zero_shot_figures(figures.per_class_ap, self.experiment.setting.unseen)
            self.log_dict(asdict(zero_shot), prog_bar=True, batch_size=1)

    def configure_optimizers(self) -> dict[str, object]:
        settings = self.experiment.optimiser
        optimiser = torch.optim.AdamW(
            self.model.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        steps = self.trainer.estimated_stepping_batches
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimiser, lambda step: one_cycle(step, int(steps), settings.warm_up)
        )
        return {'optimizer': optimiser, 'lr_scheduler': {'scheduler': schedule, 'interval': 'step'}}

    def transfer_batch_to_device(
        self, batch: object, device: torch.device, dataloader_idx: int
    ) -> object:
        return batch.to(device) if isinstance(batch, Batch) else batch


def rareness(
    images: Sequence[AnnotatedImage], shape: tuple[int, int], balance: BalanceConfig
) -> Tensor:
    """r of each (object, verb), see `BalanceConfig`: (O, V) in (0, 1], of the given `shape`."""
    pairs = np.zeros(shape)
    for image in images:
        np.add.at(pairs, (image.object, image.verb), 1)
    share = pairs.clip(1, balance.frequent) / balance.frequent
    return torch.from_numpy(share**balance.power).float()


def one_cycle(step: int, steps: int, warm_up: float) -> float:
    """Factor of the learning rate in [0, 1]: linear up to `warm_up` of the steps, then a cosine."""
    rising = warm_up * steps
    if step < rising:
        return (step + 1) / (rising + 1)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - rising) / max(1.0, steps - rising))))
