"""What backbones see, layer by layer: `python -m link_hoi_core.evaluate features --backbone ...`.

Writes a picture of each backbone, their layers' tokens as colours; one that compares how much the
tokens vary over an image; and these numbers as features.json.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import numpy as np

from link_hoi_core.backbones import Backbone, BackboneConfig, build_backbone
from link_hoi_core.data.json_files import write_json
from link_hoi_core.device import pick_device
from link_hoi_core.evaluation.feature_views import (
    Variability,
    draw_layers,
    draw_variability,
    layer_maps,
    token_variability,
)
from link_hoi_core.images import list_pictures, read_image

SHOWN = 6  # pictures whose layers are drawn: the first ones


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command to those of `evaluate`."""
    parser = commands.add_parser(
        'features', help="what a backbone's layers see", description=__doc__
    )
    parser.set_defaults(run=run)
    parser.add_argument('--backbone', nargs='+', required=True, metavar='NAME')
    parser.add_argument(
        '--weights',
        nargs='+',
        default=['pretrained'],
        metavar='SOURCE',
        help='pretrained, random, or a local file or folder: one for each backbone, or for all',
    )
    parser.add_argument('--image-size', type=int, help='side in pixels (default: each its own)')
    parser.add_argument(
        '--images', type=Path, nargs='+', required=True, help='picture files, or folders of them'
    )
    parser.add_argument('--output', type=Path, required=True, metavar='DIR')
    parser.add_argument('--device', default='auto', help='auto, cpu, cuda, cuda:1 ...')


def run(options: argparse.Namespace) -> None:
    """Write the pictures and numbers, and print how much the tokens of each backbone vary."""
    names, weights = options.backbone, options.weights
    if len(weights) == 1:
        weights = weights * len(names)
    if len(weights) != len(names):
        raise ValueError(f'--weights has {len(weights)} sources for {len(names)} backbones')
    if len(set(names)) != len(names):
        raise ValueError('--backbone has a name twice')
    pictures = list_pictures(options.images)
    device = pick_device(options.device)
    options.output.mkdir(parents=True, exist_ok=True)
    found = {}
    for name, source in zip(names, weights):
        backbone = build_backbone(BackboneConfig(name, source, options.image_size))
        if backbone is None:
            raise ValueError(f'{name} is no backbone that sees pictures')
        file = re.sub(r'[^\w.-]+', '_', name) + '.png'
        found[name] = _look(backbone.to(device), pictures, options.output / file)
        print(f'{name}: {_sentence(found[name])}')
    draw_variability(options.output / 'variability.png', found)
    content = {
        name: {
            'weights': source,
            'layers': found[name].layers,
            'mean': found[name].values.mean(0).tolist(),
            'deviation': found[name].values.std(0).tolist(),
        }
        for name, source in zip(names, weights)
    }
    figures = {'pictures': len(pictures), 'token_variability': content}
    write_json(options.output / 'features.json', figures, indent=2)


def _look(backbone: Backbone, pictures: list[Path], output: Path) -> Variability:
    """Draw the first pictures' layers, and measure all pictures'; one at a time is in memory."""
    shown, values = [], []
    for path in pictures:
        image = read_image(path)
        maps = layer_maps(backbone, image)
        values.append([token_variability(tokens) for tokens in maps.values()])
        if len(shown) < SHOWN:
            shown.append((image, maps))
    draw_layers(output, *zip(*shown))
    return Variability(tuple(maps), np.array(values))


def _sentence(found: Variability) -> str:
    """E.g. 'tokens vary by 0.712 in the first of 13 layers, 0.345 in the last'."""
    mean = found.values.mean(0)
    return (
        f'tokens vary by {mean[0]:.3f} in the first of {len(mean)} layers, {mean[-1]:.3f} in the '
        f'last (1 - mean cosine)'
    )
