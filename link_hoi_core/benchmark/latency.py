"""Milliseconds of each stage from an image and its detections to triplets.

The predictor is timed as it is: a lap ends where one stage hands over to the next, so that the laps
sum to the whole. They are: preprocess (select detections, stretch the image), backbone, scene (pad
and copy the detections), unary (box encodings, ROI align, queries), encoder, decoder, head, scoring
(the prior, ranked triplets); where the network is compiled, network stands for its four.

Scenes of all numbers of pairs and a ViT-B/16 at 224 x 224 of the same precision take turns, so that
a busy machine slows all of them. The ratio is that of two medians: of the HOI part, which is all
that comes after the backbone, and of the ViT-B/16.
"""

from __future__ import annotations

import argparse
import itertools
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from link_hoi_core.benchmark.cuda_graph import CudaGraph
from link_hoi_core.benchmark.models import VisionTransformer, read_experiment, untrained
from link_hoi_core.benchmark.scenes import HEIGHT, WIDTH, crowded_scene
from link_hoi_core.benchmark.table import aligned
from link_hoi_core.checkpoint import Checkpoint, load_checkpoint
from link_hoi_core.device import pick_device
from link_hoi_core.predictor import HoiPredictor

MODES = ('eager', 'compile', 'graph')
WARM_UP = 2  # rounds that are not counted
BEFORE_THE_HOI_PART = ('preprocess', 'backbone')

Laps = dict[str, float]


@dataclass
class Stopwatch:
    """Takes the time between marks; on a GPU, until the work handed to it is done.

    Attributes:
        device: where the work is done.
        laps: milliseconds of each lap, under the name of the mark that ended it.
    """

    device: torch.device
    laps: Laps = field(default_factory=dict)
    _last: float = 0.0

    def start(self) -> None:
        """Forget all laps and start the first."""
        self.laps = {}
        self._last = self._now()

    def mark(self, name: str) -> None:
        """End a lap and start the next."""
        now = self._now()
        self.laps[name] = 1e3 * (now - self._last)
        self._last = now

    def _now(self) -> float:
        if self.device.type == 'cuda':
            torch.cuda.synchronize(self.device)
        return time.perf_counter()


def run(options: argparse.Namespace) -> tuple[dict[str, Any], str]:
    """The figures of the command as JSON and as a table.

    Raises:
        ValueError: nothing could be measured.
    """
    if options.rounds < 1:
        raise ValueError(f'--rounds is {options.rounds}, expected 1 or more')
    models = [*options.model, *options.config] or ['boxes']
    rows: list[dict[str, Any]] = []
    for name, device, precision, mode in itertools.product(
        models, options.device, options.precision, options.mode
    ):
        where = pick_device(device)
        try:
            checkpoint = _load(name, options.set)
            predictor = HoiPredictor(checkpoint, device=device, precision=precision)
            found = measure(predictor, mode, options.pairs, options.rounds)
        except RuntimeError as error:  # of a device that cannot do this
            reason = str(error).strip().split('\n')[0]
            print(f'{name} on {where}, {precision}, {mode} is left out: {reason}', file=sys.stderr)
            continue
        cell = {'model': checkpoint.name, 'device': device_name(where)}
        rows += [{**cell, 'precision': precision, 'mode': mode, **row} for row in found]
    if not rows:
        raise ValueError('nothing of what was asked for could be measured')
    figures = {'threads': torch.get_num_threads(), 'rounds': options.rounds, 'rows': rows}
    return figures, _table(rows)


def measure(
    predictor: HoiPredictor, mode: str, pairs: list[int], rounds: int
) -> list[dict[str, Any]]:
    """Time a predictor, whose model is changed by it, on scenes of some numbers of pairs.

    Returns:
        for each number of pairs: milliseconds by stage, of the whole, of the HOI part and of a
        ViT-B/16, each as {'median', 'p95'}, and the ratio of the latter two.

    Raises:
        RuntimeError: the device has no such precision or mode.
    """
    weight = next(predictor.model.parameters())
    device, dtype = weight.device, weight.dtype
    watch = Stopwatch(device)
    _mark_stages(predictor, watch, mode)
    random = np.random.default_rng(0)
    image = random.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    scenes = {number: crowded_scene(number, predictor.vocabulary) for number in pairs}
    transformer = VisionTransformer().eval().to(device, dtype)
    pixels = torch.randn(1, 3, 224, 224, device=device, dtype=dtype)
    laps: dict[int, list[Laps]] = {number: [] for number in pairs}
    reference: list[float] = []
    for _ in range(WARM_UP + rounds):
        watch.start()
        with torch.inference_mode():
            transformer(pixels)
        watch.mark('vit')
        reference.append(watch.laps['vit'])
        for number, scene in scenes.items():
            watch.start()
            predictor.predict(image, scene)
            watch.mark('scoring')
            laps[number].append(watch.laps)
    return [
        {'pairs': number, **_summary(found[WARM_UP:], reference[WARM_UP:])}
        for number, found in laps.items()
    ]


def device_name(device: torch.device) -> str:
    """What the device is, for a record of figures."""
    if device.type == 'cuda':
        return torch.cuda.get_device_name(device)
    return f'{device.type} {platform.machine()} {torch.backends.cpu.get_cpu_capability()}'


def _load(name: str | Path, assignments: list[str]) -> Checkpoint:
    """A checkpoint by name, or the untrained model of an experiment's file."""
    if isinstance(name, str):
        return load_checkpoint(name)
    model, backbone = untrained(read_experiment(name, assignments))
    return Checkpoint(name.stem, model, backbone, {})


def _mark_stages(predictor: HoiPredictor, watch: Stopwatch, mode: str) -> None:
    """Let the parts of a predictor end a lap each; the network as a whole where it is compiled."""
    model, backbone = predictor.model, predictor.backbone
    if backbone is not None:
        backbone.prepare = _then(backbone.prepare, lambda: watch.mark('preprocess'))
        backbone.encode_image = _then(backbone.encode_image, lambda: watch.mark('backbone'))
    model.infer = _accelerated(model, mode, watch)
    if mode == 'eager':
        for name in ('unary', 'encoder', 'decoder', 'head'):
            module = getattr(model, name)
            module.register_forward_hook(lambda *_, stage=name: watch.mark(stage))


def _then(function: Callable[..., Any], end: Callable[[], None]) -> Callable[..., Any]:
    """`function`, with `end` called after it."""

    def timed(*arguments: Any) -> Any:
        result = function(*arguments)
        end()
        return result

    return timed


def _accelerated(model: nn.Module, mode: str, watch: Stopwatch) -> Callable[..., Any]:
    """`model.infer` in a mode, between two marks: the scene is there, the network is through."""
    infer = model.infer
    if mode == 'compile':
        infer = torch.compile(infer, fullgraph=True, dynamic=False)
    if mode == 'graph':
        infer = CudaGraph(infer, watch.device)

    def timed(*arguments: Any) -> Any:
        watch.mark('scene')
        result = infer(*arguments)
        if mode != 'eager':
            watch.mark('network')
        return result

    return timed


def _summary(laps: list[Laps], reference: list[float]) -> dict[str, Any]:
    hoi_part = [
        sum(time for stage, time in lap.items() if stage not in BEFORE_THE_HOI_PART) for lap in laps
    ]
    return {
        'stages_ms': {stage: _figures([lap[stage] for lap in laps]) for stage in laps[0]},
        'total_ms': _figures([sum(lap.values()) for lap in laps]),
        'hoi_part_ms': _figures(hoi_part),
        'vit_b16_ms': _figures(reference),
        'ratio': round(float(np.median(hoi_part) / np.median(reference)), 4),
    }


def _figures(times: list[float]) -> dict[str, float]:
    return {
        'median': round(float(np.median(times)), 3),
        'p95': round(float(np.percentile(times, 95)), 3),
    }


def _table(rows: list[dict[str, Any]]) -> str:
    """A line a measurement; 'median / p95' in milliseconds."""
    stages = list(dict.fromkeys(stage for row in rows for stage in row['stages_ms']))
    head = ['ms, median / p95', 'pairs', *stages, 'total', 'HOI part', 'ViT-B/16', 'ratio']
    lines = [head]
    for row in rows:
        times = [row['stages_ms'].get(stage) for stage in stages]
        times += [row[key] for key in ('total_ms', 'hoi_part_ms', 'vit_b16_ms')]
        cells = ['' if t is None else f'{t["median"]:.2f} / {t["p95"]:.2f}' for t in times]
        name = f'{row["model"]}, {row["device"]}, {row["precision"]} {row["mode"]}'
        lines.append([name, str(row['pairs']), *cells, f'{row["ratio"]:.3f}'])
    return aligned(lines)
