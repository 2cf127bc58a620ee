"""Trained models that teach another one while it trains (LINK section 3.3; spec section 7)."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import torch
from torch import Tensor

from link_hoi_core.checkpoint import Checkpoint, load_checkpoint
from link_hoi_core.configuration import from_dict
from link_hoi_core.data.splits import SettingConfig
from link_hoi_core.distillation.losses import (
    TAU,
    Total,
    logit_distillation,
    map_distillation,
    query_distillation,
    score_distillation,
)
from link_hoi_core.model.link import LinkOutput
from link_hoi_core.model.scene import Scene
from link_hoi_core.model.scoring import pair_prior, prior_logit

LEVELS = ('logits', 'scores', 'encoder', 'latent', 'native', 'feature_map')


class Teachers:
    """Frozen models that see what the student sees.

    It is no module, so that they are neither trained, averaged nor saved with the student.
    """

    def __init__(
        self,
        names: Sequence[str],
        vocabulary: str,
        setting: SettingConfig,
        seed: int,
        pixels: bool = False,
    ) -> None:
        """Load the checkpoints `names`.

        Args:
            vocabulary, setting, seed: of the student.
            pixels: whether the student looks at pixels; only then may its teachers.

        Raises:
            ValueError: a teacher is of another vocabulary, looks at pixels that are not there, or
                has seen labels that the student must not see.
            OSError: there is no such checkpoint, or it cannot be read.
        """
        self.checkpoints = [load_checkpoint(name) for name in names]
        for name, checkpoint in zip(names, self.checkpoints):
            _check(name, checkpoint, vocabulary, setting, seed, pixels)
            checkpoint.model.requires_grad_(False)

    def to(self, device: torch.device) -> None:
        """Move them to the student's device."""
        for checkpoint in self.checkpoints:
            checkpoint.model.to(device)

    def losses(
        self,
        student: LinkOutput,
        scene: Scene,
        maps: Sequence[Tensor | None],
        valid: Tensor,
        levels: Collection[str] = LEVELS,
        tau: float = TAU,
    ) -> dict[str, Total]:
        """What `distillation_losses` gives, each level's mean over the teachers that have it.

        Args:
            maps: the feature map (B, C, H, W) that each teacher looks at, None for one that looks
                at none.
        """
        found: dict[str, list[Total]] = {}
        for checkpoint, features in zip(self.checkpoints, maps):
            with torch.no_grad():
                teacher = checkpoint.model(scene, features)
            losses = distillation_losses(student, teacher, scene, valid, levels, tau)
            for level, loss in losses.items():
                found.setdefault(level, []).append(loss)
        return {level: Total.mean(losses) for level, losses in found.items()}


def distillation_losses(
    student: LinkOutput,
    teacher: LinkOutput,
    scene: Scene,
    valid: Tensor,
    levels: Collection[str] = LEVELS,
    tau: float = TAU,
) -> dict[str, Total]:
    """The loss of each of `levels` that both have, over all pairs, negatives included.

    'logits' and 'scores' (Psi), 'encoder' (detections), 'latent' and 'native' (what pairs took from
    the image) and 'feature_map'. Without pixels the pair queries themselves are the latent level.
    Each is the mean over the layers, the last of one beside the last of the other.

    Args:
        valid: (B, M, V) bool, the verbs that may go with each pair, False where padded.
    """
    prior = pair_prior(scene).unsqueeze(-1)

    def psi(*logits: Tensor) -> list[Tensor]:
        return [prior_logit(values, prior) for values in logits]

    def logits(ours: Tensor, theirs: Tensor) -> Total:
        return logit_distillation(*psi(ours, theirs), valid, tau)

    def scores(ours: Tensor, theirs: Tensor) -> Total:
        return score_distillation(*psi(ours, theirs), valid)

    def pairs(ours: Tensor, theirs: Tensor) -> Total:
        return query_distillation(ours, theirs, scene.pair_present, tau)

    def detections(ours: Tensor, theirs: Tensor) -> Total:
        return query_distillation(ours, theirs, scene.present, tau)

    def maps(ours: Tensor, theirs: Tensor) -> Total:
        return map_distillation(ours, theirs, tau)

    both_look = bool(student.looks and teacher.looks)
    latent = _latent if both_look else (lambda output: output.pairs)
    of_level = {
        'logits': (logits, lambda output: output.logits),
        'scores': (scores, lambda output: output.logits),
        'encoder': (detections, lambda output: output.detections),
        'latent': (pairs, latent),
        'native': (pairs, _native),
        'feature_map': (maps, _map),
    }
    losses = {}
    for level in levels:
        loss, layers = of_level[level]
        both = zip(reversed(layers(student)), reversed(layers(teacher)))
        totals = [loss(ours, theirs) for ours, theirs in both]
        if totals:
            losses[level] = Total.mean(totals)
    return losses


def _latent(output: LinkOutput) -> list[Tensor]:
    return [look.latent for look in output.looks]


def _native(output: LinkOutput) -> list[Tensor]:
    """Empty in the plain decoder, and without pixels."""
    return [look.native for look in output.looks if look.native is not None]


def _map(output: LinkOutput) -> list[Tensor]:
    """Empty without pixels."""
    return [] if output.features is None else [output.features]


def _check(
    name: str,
    teacher: Checkpoint,
    vocabulary: str,
    setting: SettingConfig,
    seed: int,
    pixels: bool,
) -> None:
    """Raise a ValueError where a model cannot, or must not, teach a student."""
    config = teacher.model.config
    if config.vocabulary != vocabulary:
        raise ValueError(
            f'teacher {name} is of the vocabulary {config.vocabulary}, its student of {vocabulary}'
        )
    if teacher.backbone is not None and not pixels:
        raise ValueError(f'teacher {name} looks at pixels, but a student without them is trained')
    taught = from_dict(SettingConfig, teacher.config.get('setting', {}), 'setting.')
    if setting.limited and setting != taught:
        raise ValueError(
            f'teacher {name} was trained in another setting ({taught}) than its student '
            f'({setting}), and would tell it what it must not see'
        )
    drawn_by = teacher.config.get('seed')
    if setting.shots is not None and drawn_by != seed:
        raise ValueError(
            f'teacher {name} was trained with seed {drawn_by}, its student with {seed}: it saw '
            f'other shots, and would tell of them'
        )
