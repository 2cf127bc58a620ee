"""The model card that a training run writes beside its weights."""

from __future__ import annotations

import json
import platform
import resource
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from link_hoi_core.checkpoint import Checkpoint
from link_hoi_core.configuration import to_dict
from link_hoi_core.evaluation.hico_det import HicoDetFigures
from link_hoi_core.evaluation.zero_shot import zero_shot_figures
from link_hoi_core.training.experiment import Experiment


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
    figures: HicoDetFigures,
    cost: Cost,
) -> str:
    """README.md of a checkpoint: what it is, how it was made, what it reaches, what it cannot."""
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # KiB on Linux
    f1 = figures.f1
    since = ' since it was resumed' if cost.resumed else ''
    return f"""---
license: apache-2.0
tags: [human-object-interaction, ros2]
---
# LINK without pixels

Scores the {len(figures.per_class_ap)} HICO-DET interactions of every human-object pair from the
detections alone: boxes and object names. **It sees no pixels**: what only the picture tells (an
open or a closed umbrella, a look, a grip) it cannot know.

## Figures

HICO-DET test, ground-truth boxes (merged at IoU 0.5, score 1, every pair, every valid verb),
official evaluator. Scores are averaged over the scene and its mirror image, as the predictor does.
Not comparable with figures on detector boxes.

| Full | Rare | Non-rare | mF1 | mPrec | mRec |
|---|---|---|---|---|---|
| {figures.full:.2f} | {figures.rare:.2f} | {figures.non_rare:.2f} | \
{f1.mf1:.3f} | {f1.mprec:.3f} | {f1.mrec:.3f} |

{_zero_shot(experiment, figures)}mF1 counts scores above {f1.threshold:.2f}, \
a threshold chosen on training images.

    python -m link_hoi_core.evaluate hico-det --checkpoint DIR --boxes ground-truth \\
        --annotations {experiment.data.test}

## Training

Data: `{experiment.data.train}` (HICO-DET's training pairs). Seed {experiment.seed}.
Setting: {experiment.setting}. {_taught(experiment, teachers)}
{cost.parameters:,} parameters; {cost.seconds / 60:.0f} minutes{since} on {_name(cost.device)},
{memory:.1f} GiB of memory at most. The figures are those of the last epoch's averaged weights, in
half precision.

    python -m link_hoi_core.train --config FILE --output DIR

with the configuration

```json
{json.dumps(to_dict(experiment), indent=2)}
```

Code: Apache-2.0. The annotations are their owners'; see HICO-DET's terms.
"""


def _zero_shot(experiment: Experiment, figures: HicoDetFigures) -> str:
    """A table for a zero-shot setting, nothing for another one."""
    setting = experiment.setting
    if setting.split is None:
        return ''
    found = zero_shot_figures(figures.per_class_ap, setting.unseen)
    return f"""{setting.split}, whose {len(setting.unseen)} unseen classes had no label in training:

| Unseen | Seen | Harmonic mean |
|---|---|---|
| {found.unseen:.2f} | {found.seen:.2f} | {found.hm:.2f} |

"""


def _taught(experiment: Experiment, teachers: Sequence[Checkpoint]) -> str:
    if not teachers:
        return 'No teacher.'
    named = zip(experiment.distillation.teachers, teachers)
    return f'Taught by {", ".join(f"`{name}` ({found.sha256[:12]})" for name, found in named)}.'


def _name(device: torch.device) -> str:
    if device.type == 'cuda':
        return torch.cuda.get_device_name(device)
    return f'{torch.get_num_threads()} CPU thread(s) ({platform.machine()})'
