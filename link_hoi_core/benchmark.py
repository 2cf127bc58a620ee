"""What the model costs: `python -m link_hoi_core.benchmark`.

Times the embedded model's predictor on 15 humans and 15 objects (435 pairs) against one forward
pass of a ViT-B/16 at 224 x 224 on the same cores, taken in turn so that a busy machine slows both,
and prints the ratio of the medians.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from link_hoi_core.data.json_files import write_json
from link_hoi_core.predictor import HoiPredictor
from link_hoi_core.structures import Detections

HUMANS, OBJECTS = 15, 15


class VisionTransformer(nn.Module):
    """A ViT-B/16 as it stands in the literature, with random weights: only its cost matters."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 768, kernel_size=16, stride=16)
        self.positions = nn.Parameter(torch.zeros(197, 768))
        layer = nn.TransformerEncoderLayer(
            768, 12, 3072, dropout=0.0, activation='gelu', batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, 12, enable_nested_tensor=False)

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, 224, 224) -> tokens (B, 197, 768)."""
        tokens = self.patches(image).flatten(2).transpose(1, 2)
        first = torch.zeros(len(image), 1, 768, device=image.device)
        return self.layers(torch.cat((first, tokens), dim=1) + self.positions)


def crowded_scene(seed: int = 0) -> Detections:
    """15 humans and 15 objects at random places of a 640 x 480 image, none hiding another."""
    random = np.random.default_rng(seed)
    count = HUMANS + OBJECTS
    corner = np.stack((np.arange(count) * 18, random.uniform(0, 200, count)), axis=1)
    boxes = np.concatenate((corner, corner + random.uniform(20, 110, (count, 2))), axis=1)
    labels = np.concatenate((np.zeros(HUMANS), random.permutation(np.arange(1, 80))[:OBJECTS]))
    return Detections(boxes, random.uniform(0.5, 1, count), labels, (480, 640))


def median_times(tasks: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median milliseconds of each task, all run in turn `rounds` times after one warm-up."""
    times: dict[str, list[float]] = {name: [] for name in tasks}
    for round_ in range(rounds + 1):
        for name, task in tasks.items():
            start = time.perf_counter()
            task()
            if round_:
                times[name].append(1e3 * (time.perf_counter() - start))
    return {name: statistics.median(values) for name, values in times.items()}


def main(arguments: list[str] | None = None) -> int:
    """Run the command; 0, or 2 after one sentence on what is wrong."""
    parser = argparse.ArgumentParser(prog='python -m link_hoi_core.benchmark', description=__doc__)
    parser.add_argument('--model', default='boxes', help='checkpoint folder or embedded name')
    parser.add_argument('--rounds', type=int, default=20)
    parser.add_argument('--json', type=Path, help='also write the figures here')
    options = parser.parse_args(arguments)
    try:
        figures = _measure(options.model, options.rounds)
        if options.json:
            write_json(options.json, figures, indent=2)
    except (ValueError, OSError) as error:
        print(f'benchmark: {error}', file=sys.stderr)
        return 2
    print(json.dumps(figures, indent=2))
    return 0


def _measure(model: str, rounds: int) -> dict[str, object]:
    predictor = HoiPredictor.from_checkpoint(model, device='cpu')
    transformer, image = VisionTransformer().eval(), torch.randn(1, 3, 224, 224)
    scene = crowded_scene()

    def forward() -> Tensor:
        with torch.inference_mode():
            return transformer(image)

    times = median_times(
        {'predictor': lambda: predictor.predict(None, scene), 'vit_b16': forward}, rounds
    )
    return {
        'pairs': HUMANS * (HUMANS + OBJECTS - 1),
        'threads': torch.get_num_threads(),
        'predictor_ms': round(times['predictor'], 2),
        'vit_b16_ms': round(times['vit_b16'], 2),
        'ratio': round(times['predictor'] / times['vit_b16'], 4),
    }


if __name__ == '__main__':
    sys.exit(main())
