"""What one training run is: the typed configuration behind config/experiments/*.yaml."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from link_hoi_core.data.splits import SettingConfig
from link_hoi_core.data.views import Augmentation
from link_hoi_core.distillation.losses import TAU
from link_hoi_core.model.link import LinkConfig


@dataclass(frozen=True)
class DataConfig:
    """Where annotations, images and boxes are, and how they are cut into batches.

    Attributes:
        root: folder that the other paths begin at, but not `cache`.
        train, test: annotation files of the model's vocabulary (.json or .json.gz).
        images: folders that an image is looked for in, one after the other; none without pixels.
        sizes: COCO's `instances_*2014.json`, which say how large V-COCO's images are; without them
            the images themselves do.
        boxes: what is trained on: 'ground-truth', a file of recorded detections, or
            'detector:NAME', which records them first.
        most_faults: so many missing or broken images are left out; one more stops the run.
        workers: processes that prepare batches; 0 = the training process itself.
        cache: folder of feature maps that are computed once; None = computed each time.
        views: the cache holds so many augmented views of an image; 0 = the image as it is.
        most_images, most_pairs: of one batch, on each of several devices; a batch holds images of
            like numbers of pairs.
    """

    root: str = '../shared/data/hicodet'
    train: str = 'instances_train2015.json'
    test: str = 'instances_test2015.json'
    images: tuple[str, ...] = ()
    sizes: tuple[str, ...] = ()
    boxes: str = 'ground-truth'
    most_faults: int = 0
    workers: int = 0
    cache: str | None = None
    views: int = 0
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


SCHEDULES = ('one-cycle', 'steps')


@dataclass(frozen=True)
class OptimiserConfig:
    """AdamW, its schedule, and the precision of the arithmetic.

    Attributes:
        epochs: passes over the training images.
        learning_rate: the highest one.
        schedule: 'one-cycle', a linear warm-up, then a cosine to zero; or 'steps', the rate times
            `drop` after epoch `drop_after` (LINK A.4).
        warm_up: share of all steps, of 'one-cycle'.
        drop_after, drop: of 'steps'.
        weight_decay: of AdamW.
        clip_norm: gradients are scaled down to this norm.
        average: decay of the weights' exponential moving average, which is then what is validated
            and kept; 0 = the weights themselves.
        precision: 'fp32', 'bf16' or 'fp16'; the weights are always fp32.
    """

    epochs: int = 9
    learning_rate: float = 5e-4
    schedule: str = 'one-cycle'
    warm_up: float = 0.05
    drop_after: int = 10
    drop: float = 0.2
    weight_decay: float = 1e-4
    clip_norm: float = 1.0
    average: float = 0.998
    precision: str = 'fp32'

    def __post_init__(self) -> None:
        if self.schedule not in SCHEDULES:
            known = ', '.join(SCHEDULES)
            raise ValueError(f'optimiser.schedule is {self.schedule!r}, expected one of {known}')
        if not 0 <= self.average < 1:
            raise ValueError(f'optimiser.average is {self.average}, expected a decay in [0, 1)')


@dataclass(frozen=True)
class DistillationConfig:
    """What a student learns from its teachers, besides the annotations.

    Attributes:
        teachers: checkpoints; none = no distillation. Of several, the mean loss counts.
        annotations: weight of the loss on the annotations, where there are teachers.
        logits, encoder, latent, native, feature_map: weight of each level (LINK A.4), see
            `distillation.teacher.distillation_losses`.
        scores: weight of a level of ours, each verb's own score.
        tau: temperature of teachers and student.
    """

    teachers: tuple[str, ...] = ()
    annotations: float = 1.0
    logits: float = 1.0
    scores: float = 0.0
    encoder: float = 0.5
    latent: float = 1.0
    native: float = 1.0
    feature_map: float = 0.5
    tau: float = TAU

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if name not in ('teachers', 'tau') and not 0 <= value < math.inf:
                raise ValueError(f'distillation.{name} is {value}, expected a weight, 0 or more')
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
