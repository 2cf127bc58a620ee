"""What one training run is: the typed configuration behind config/experiments/*.yaml."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from link_hoi_core.data.splits import SettingConfig
from link_hoi_core.model.link import LinkConfig
from link_hoi_core.training.examples import Augmentation


@dataclass(frozen=True)
class DataConfig:
    """Where the annotations are, and how they are cut into batches.

    Attributes:
        root: folder of the annotation files.
        train, test: HICO-DET annotation files in it (.json or .json.gz).
        most_images, most_pairs: of one batch; a batch holds images of like numbers of pairs.
    """

    root: str = '../shared/data/hicodet'
    train: str = 'instances_train2015.json'
    test: str = 'instances_test2015.json'
    most_images: int = 64
    most_pairs: int = 1024


@dataclass(frozen=True)
class BalanceConfig:
    """How rare interactions are weighed against frequent ones.

    With r = (training pairs / frequent)^power, at most 1, a positive counts 1 / r and a negative
    r: the few positives of a rare interaction are not drowned by its many negatives.

    Attributes:
        frequent: interactions with this many training pairs, or more, have r = 1.
        power: 0 for no balance.
    """

    frequent: int = 100
    power: float = 0.5


@dataclass(frozen=True)
class OptimiserConfig:
    """AdamW under a one-cycle schedule: linear warm-up, then cosine to zero.

    Attributes:
        epochs: passes over the training images.
        learning_rate: the highest one.
        warm_up: share of all steps.
        weight_decay: of AdamW.
        clip_norm: gradients are scaled down to this norm.
        average: decay of the weights' exponential moving average, which is what is kept.
    """

    epochs: int = 9
    learning_rate: float = 5e-4
    warm_up: float = 0.05
    weight_decay: float = 1e-4
    clip_norm: float = 1.0
    average: float = 0.998


@dataclass(frozen=True)
class DistillationConfig:
    """What a student learns from its teachers, besides the annotations.

    Attributes:
        teachers: checkpoints; none = no distillation. Of several, the mean loss counts.
        logits, encoder, latent, native, feature_map: weight of each level (LINK A.4), see
            `distillation.teacher.distillation_losses`.
        tau: temperature of teachers and student.
    """

    teachers: tuple[str, ...] = ()
    logits: float = 1.0
    encoder: float = 0.5
    latent: float = 1.0
    native: float = 1.0
    feature_map: float = 0.5
    tau: float = 2.0

    def __post_init__(self) -> None:
        for name in ('logits', 'encoder', 'latent', 'native', 'feature_map'):
            if not 0 <= getattr(self, name) < math.inf:
                found = getattr(self, name)
                raise ValueError(f'distillation.{name} is {found}, expected a weight, 0 or more')
        if not 0 < self.tau < math.inf:
            raise ValueError(f'distillation.tau is {self.tau}, expected a temperature above 0')


@dataclass(frozen=True)
class Experiment:
    """One run; `seed` fixes the weights, the images' order, the augmentation and drawn shots."""

    model: LinkConfig = field(default_factory=LinkConfig)
    data: DataConfig = field(default_factory=DataConfig)
    augmentation: Augmentation = field(default_factory=Augmentation)
    balance: BalanceConfig = field(default_factory=BalanceConfig)
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    setting: SettingConfig = field(default_factory=SettingConfig)
    distillation: DistillationConfig = field(default_factory=DistillationConfig)
    seed: int = 140

    def __post_init__(self) -> None:
        if self.setting.split is not None and self.model.vocabulary != 'hico-det':
            raise ValueError(
                f'setting.split {self.setting.split} is of hico-det, but model.vocabulary is '
                f'{self.model.vocabulary}'
            )
