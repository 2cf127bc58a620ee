"""The model card that a training run writes beside its weights."""

from __future__ import annotations

import json
import platform
import resource
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from link_hoi_core.backbones.backbone import BackboneConfig
from link_hoi_core.checkpoint import Checkpoint
from link_hoi_core.configuration import to_dict
from link_hoi_core.evaluation.average_precision import F1Figures
from link_hoi_core.training.experiment import Experiment
from link_hoi_core.vocabulary import load_vocabulary

BENCHMARKS = {'hico-det': 'HICO-DET', 'v-coco': 'V-COCO', 'swig-hoi': 'SWiG-HOI'}
TITLES = {'hm': 'Harmonic mean', 'map': 'mAP'}  # of figures that are not called as they are read
MIRRORED = """
Scores are averaged over the scene and its mirror image, as the predictor does."""


@dataclass(frozen=True)
class Cost:
    """What a run took.

    Attributes:
        parameters: how many were trained.
        seconds: of training with its validation; of a resumed run only since then.
        device: on which it ran.
        resumed: whether the run was resumed.
    """

    parameters: int
    seconds: float
    device: torch.device
    resumed: bool


def card(
    experiment: Experiment,
    teachers: Sequence[Checkpoint],
    figures: Mapping[str, float],
    f1: F1Figures | None,
    cost: Cost,
) -> str:
    """README.md of a checkpoint: what it is, how it was made, what it reaches, what it cannot.

    Args:
        figures: as of `benchmark_figures`.
        f1: at a threshold chosen on training images; None for a benchmark without it.
    """
    benchmark = BENCHMARKS[experiment.model.vocabulary]
    sees = experiment.model.backbone.name != 'none'
    return f"""---
license: apache-2.0
tags: [human-object-interaction, ros2]
---
{_what(experiment, benchmark)}

## Figures

{benchmark} test, ground-truth boxes (merged at IoU 0.5, score 1, every pair, every valid verb),
official metric. Not comparable with figures on detector boxes.{'' if sees else MIRRORED}

{_table(figures, f1)}{_about_figures(experiment, f1)}

## Training

Data: `{experiment.data.train}` ({benchmark}'s training pairs), boxes: {experiment.data.boxes}.
Seed {experiment.seed}. Setting: {experiment.setting}. {_taught(experiment, teachers)}
{_took(cost)}
The figures are those of these weights in half precision.

    python -m link_hoi_core.train --config FILE --output DIR

with the configuration

```json
{json.dumps(to_dict(experiment), indent=2)}
```

Code: Apache-2.0. The annotations{' and pictures' if sees else ''} are their owners'; see \
{benchmark}'s terms.
"""


def _what(experiment: Experiment, benchmark: str) -> str:
    """Title and first sentences."""
    count = len(load_vocabulary(experiment.model.vocabulary).hois)
    backbone = experiment.model.backbone
    scores = f'Scores the {count} {benchmark} interactions of every human-object pair from the'
    if backbone.name == 'none':
        return f"""# LINK without pixels

{scores}
detections alone: boxes and object names. **It sees no pixels**: what only the picture tells (an
open or a closed umbrella, a look, a grip) it cannot know."""
    return f"""# LINK with {backbone.name}

{scores}
detections' boxes, and from what a frozen `{backbone.name}` makes of the picture,
{_weights(backbone)}. That backbone is not part of this checkpoint."""


def _weights(backbone: BackboneConfig) -> str:
    if backbone.weights == 'pretrained':
        return 'with its published weights'
    if backbone.weights == 'random':
        return f'with random weights (seed {backbone.seed})'
    return f'with the weights `{backbone.weights}`'


def _table(figures: Mapping[str, float], f1: F1Figures | None) -> str:
    columns = {_title(name): f'{value:.2f}' for name, value in figures.items()}
    if f1 is not None:
        columns |= {'mF1': f'{f1.mf1:.3f}', 'mPrec': f'{f1.mprec:.3f}', 'mRec': f'{f1.mrec:.3f}'}
    rows = (columns.keys(), ('---' for _ in columns), columns.values())
    return '\n'.join(f'| {" | ".join(row)} |' for row in rows)


def _title(name: str) -> str:
    """E.g. 'Non-rare'."""
    return TITLES.get(name, name.replace('_', '-').capitalize())


def _about_figures(experiment: Experiment, f1: F1Figures | None) -> str:
    """What else must be known of them: the unseen classes, mF1's threshold, a command."""
    setting, parts = experiment.setting, []
    if setting.split is not None:
        parts.append(
            f'{setting.split}, whose {len(setting.unseen)} unseen classes had no label in training.'
        )
    if f1 is not None:
        parts.append(
            f'mF1 counts scores above {f1.threshold:.2f}, a threshold chosen on training images.'
        )
    if experiment.model.vocabulary == 'hico-det' and experiment.model.backbone.name == 'none':
        parts.append(
            '    python -m link_hoi_core.evaluate hico-det --checkpoint DIR \\\n'
            f'        --boxes ground-truth --annotations {experiment.data.test}'
        )
    return ''.join(f'\n\n{part}' for part in parts)


def _taught(experiment: Experiment, teachers: Sequence[Checkpoint]) -> str:
    if not teachers:
        return 'No teacher.'
    named = zip(experiment.distillation.teachers, teachers)
    return f'Taught by {", ".join(f"`{name}` ({found.sha256[:12]})" for name, found in named)}.'


def _took(cost: Cost) -> str:
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # KiB on Linux
    since = ' since it was resumed' if cost.resumed else ''
    return (
        f'{cost.parameters:,} parameters; {cost.seconds / 60:.0f} minutes{since} on '
        f'{_name(cost.device)},\n{memory:.1f} GiB of memory at most.'
    )


def _name(device: torch.device) -> str:
    if device.type == 'cuda':
        return torch.cuda.get_device_name(device)
    return f'{torch.get_num_threads()} CPU thread(s) ({platform.machine()})'
