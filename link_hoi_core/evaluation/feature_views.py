"""What a backbone's layers know of where things are: their tokens as colours, and how much they
vary over an image (appendix A.13, Figures 13 and 14).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isqrt
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from link_hoi_core.backbones.backbone import Backbone
from link_hoi_core.backbones.transformers_models import feature_map
from link_hoi_core.evaluation.plots import picture

MOST_PREFIX = 16  # tokens that are no patches: CLS, registers
SHOWN_LAYERS = 8
SPREAD = (0.02, 0.98)  # quantiles of a component that become the darkest and brightest


@dataclass(frozen=True)
class Variability:
    """Of one backbone's layers, over some pictures.

    Attributes:
        layers: names of its modules in the order in which an image meets them, 'map' at the end:
            what the model of interactions is given.
        values: (pictures, layers), as of `token_variability`.
    """

    layers: tuple[str, ...]
    values: np.ndarray


@torch.inference_mode()
def layer_maps(backbone: Backbone, image: np.ndarray) -> dict[str, Tensor]:
    """The tokens behind each block of a backbone as a map (C, h, w) float32, and its own as 'map'.

    A block is a module with parts of its own in a list of modules, and with no such list of blocks
    inside: a transformer's block, a CNN's residual block. This holds for all our families, which
    share no other way to their inner layers.

    Args:
        image: (H, W, 3) uint8 RGB, stretched to the backbone's input.
    """
    batch = backbone.prepare([image])
    grid = backbone.grid(batch)
    maps: dict[str, Tensor] = {}

    def keep(name: str, output: object) -> None:
        tokens = output[0] if isinstance(output, tuple) else output
        found = _as_map(tokens, grid)
        if found is not None:
            maps[name] = found[0].float().cpu()

    hooks = [
        block.register_forward_hook(lambda _, __, output, name=name: keep(name, output))
        for name, block in _blocks(backbone).items()
    ]
    try:
        maps['map'] = backbone.encode_image(batch)[0].float().cpu()
    finally:
        for hook in hooks:
            hook.remove()
    maps['map'] = maps.pop('map')  # at the end
    return maps


def token_variability(tokens: Tensor) -> float:
    """How unlike the tokens (C, h, w) of one image are: 1 - mean cosine of two different ones.

    0: all point in one direction, so that a place in the image cannot be told from another; about
    1: two places have nothing in common. The paper shows it and gives no formula. A direction that
    all tokens share counts as likeness, and a few very large channels, which transformers are
    known to grow, can make all the difference: compare layers and models, not single values.
    """
    units = functional.normalize(tokens.flatten(1).double(), dim=0)
    count = units.shape[1]
    if count < 2:
        return 0.0
    # The sum of all cosines is the squared length of the sum of the units.
    cosines = (units.sum(1).square().sum() - units.square().sum()) / (count * (count - 1))
    return float(1 - cosines)


def principal_colours(maps: Sequence[Tensor]) -> list[np.ndarray]:
    """The three first principal components of tokens as red, green and blue.

    One basis for all pictures, so that a colour means the same in each.

    Args:
        maps: at least one (C, h, w) of one layer, C >= 3.

    Returns:
        (h, w, 3) float64 in [0, 1] of each.
    """
    tokens = torch.cat([tokens.flatten(1) for tokens in maps], dim=1).T.double()
    centred = tokens - tokens.mean(0)
    axes = torch.linalg.eigh(centred.T @ centred)[1][:, -3:].flip(1)
    # An eigenvector and its opposite are as good: the largest entry is made positive.
    largest = axes.gather(0, axes.abs().argmax(0, keepdim=True))
    values = centred @ (axes * torch.where(largest < 0, -1.0, 1.0))
    low, high = torch.quantile(values, torch.tensor(SPREAD, dtype=values.dtype), dim=0)
    colours = ((values - low) / (high - low).clamp(min=1e-12)).clamp(0, 1)
    parts = colours.split([tokens[0].numel() for tokens in maps])
    return [part.unflatten(0, tokens.shape[1:]).numpy() for part, tokens in zip(parts, maps)]


def draw_layers(
    path: Path, images: Sequence[np.ndarray], maps: Sequence[Mapping[str, Tensor]]
) -> None:
    """A row for each picture: the picture, then `principal_colours` of some layers, evenly spread.

    Args:
        maps: of each picture, as of `layer_maps`.
    """
    names = list(maps[0])
    places = np.unique(np.linspace(0, len(names) - 1, SHOWN_LAYERS).round().astype(int))
    colours = [principal_colours([found[names[place]] for found in maps]) for place in places]
    titles = [_title(place, names) for place in places]
    side = 1.3
    with picture(path, side * (len(places) + 1), side * len(images) + 0.3) as figure:
        rows = figure.subplots(len(images), len(places) + 1, squeeze=False)
        for axes in rows.flat:
            axes.set_axis_off()
        for row, (axes, image) in enumerate(zip(rows, images)):
            # Stretched as the model sees it.
            axes[0].imshow(image, aspect=image.shape[1] / image.shape[0])
            for column, layer in enumerate(colours, start=1):
                axes[column].imshow(layer[row], interpolation='nearest')
        for axes, title in zip(rows[0, 1:], titles):
            axes.set_title(title, fontsize=8)


def draw_variability(path: Path, found: Mapping[str, Variability]) -> None:
    """A line for each backbone over its layers: the mean over pictures, and their deviation."""
    with picture(path, 6.4, 4) as figure:
        axes = figure.subplots()
        for name, variability in found.items():
            depth = np.arange(1, len(variability.layers) + 1) / len(variability.layers)
            mean, deviation = variability.values.mean(0), variability.values.std(0)
            axes.plot(depth, mean, marker='.', label=name)
            axes.fill_between(depth, mean - deviation, mean + deviation, alpha=0.15, linewidth=0)
        axes.set(xlabel='depth (1 = the map that the model is given)', ylim=(0, None))
        axes.set(ylabel='1 - mean cosine of two tokens')
        figure.legend(*axes.get_legend_handles_labels(), loc='outside upper center', ncols=2)


def _blocks(backbone: nn.Module) -> dict[str, nn.Module]:
    """The innermost members of lists that have parts of their own."""
    members = {
        f'{prefix}.{name}': member
        for prefix, container in backbone.named_modules()
        if isinstance(container, (nn.ModuleList, nn.Sequential))
        for name, member in container.named_children()
        if any(True for _ in member.children())
    }
    outer = {name.rpartition('.')[0] for name in members}
    # 'blocks.0' is none if 'blocks.0.1' or 'blocks.0.parts.1' is one.
    return {
        name: member
        for name, member in members.items()
        if not any(other == name or other.startswith(f'{name}.') for other in outer)
    }


def _as_map(tokens: object, grid: tuple[int, int]) -> Tensor | None:
    """A module's output as (B, C, h, w), for square images; None where it is no map.

    Args:
        tokens: (B, C, h, w), or (B, h, w, C) as Swin has it, or (B, N, C) with the patches last.
        grid: rows and columns of the backbone's last map.
    """
    if not isinstance(tokens, Tensor) or tokens.ndim not in (3, 4):
        return None
    if tokens.ndim == 4:
        first = tokens.shape[2] == tokens.shape[3]
        return tokens if first else tokens.permute(0, 3, 1, 2)
    count = tokens.shape[1]
    if 0 <= count - grid[0] * grid[1] <= MOST_PREFIX:
        return feature_map(tokens, grid)
    side = isqrt(count)  # an earlier stage's, finer
    return feature_map(tokens, (side, side)) if side * side == count else None


def _title(place: int, names: Sequence[str]) -> str:
    return 'map' if place == len(names) - 1 else f'block {place + 1} of {len(names) - 1}'
