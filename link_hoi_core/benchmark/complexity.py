"""Parameters and multiply-accumulate operations (MACs) of each part of a model.

Counted are the products of convolutions, linear layers and attention, as is usual; biases, norms,
softmax, activations and interpolation are not. A MAC is two floating-point operations.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from link_hoi_core.backbones.backbone import Backbone
from link_hoi_core.benchmark.models import read_experiment, untrained
from link_hoi_core.benchmark.scenes import crowded_scene
from link_hoi_core.benchmark.table import aligned
from link_hoi_core.detectors import load_detector
from link_hoi_core.model.link import Link
from link_hoi_core.model.scene import build_scene
from link_hoi_core.vocabulary import Vocabulary, load_vocabulary

#: What a decoder layer is made of: the modules, by their names in it.
DECODER_PARTS = {
    'self-attention of pairs': ('position', 'attention'),
    'spatial branch': ('look.centre', 'look.spatial'),
    'semantic branch': ('look.expand', 'look.semantic'),
    'fusion of branches': ('look.fuse',),
    'plain cross-attention': ('look.attention',),
    'feed-forward': ('feed_forward',),
}


@dataclass(frozen=True)
class Part:
    """One line of the count.

    Attributes:
        name: of the part.
        parameters: how many it has.
        macs: MACs for one image, for each number of pairs.
        within: it is a share of the part above, already counted there.
    """

    name: str
    parameters: int
    macs: dict[int, int]
    within: bool = False


def run(options: argparse.Namespace) -> tuple[dict[str, Any], str]:
    """The figures of the command as JSON and as a table."""
    config = read_experiment(options.config, options.set)
    vocabulary = load_vocabulary(config.vocabulary)
    parts, text_side = [], 0
    if options.detector != 'none':
        parts.append(detector_part(options.detector, vocabulary, options.image_size, options.pairs))
    model, backbone = untrained(config)
    features = None
    if backbone is not None:
        # Only shapes count from here on: tensors without content, so that nothing is computed.
        part, features = backbone_part(backbone.to('meta'), options.pairs)
        parts.append(part)
        text_side = parameters_of(backbone) - part.parameters
    parts += model_parts(model.to('meta'), features, vocabulary, options.pairs)
    return _json(options, parts, text_side), _table(options, parts, text_side)


def detector_part(name: str, vocabulary: Vocabulary, side: int, pairs: Iterable[int]) -> Part:
    """A detector with random weights on one black image of `side` x `side` pixels.

    It really runs: what detectors compute may hang on values, such as whether there is padding.

    Raises:
        ValueError: it does not run in torch, or the image has no pixels.
        ValueError, ImportError: as `detectors.load_detector`.
    """
    if side < 1:
        raise ValueError(f'--image-size is {side}, expected pixels')
    detector = load_detector(name, vocabulary, weights='random')
    networks: list[nn.Module] = []
    watch = nn.modules.module.register_module_forward_pre_hook(
        lambda module, _: networks.append(module) if not networks else None
    )
    try:
        counts = count_macs(lambda: detector.detect([np.zeros((side, side, 3), np.uint8)]))
    finally:
        watch.remove()
    if not networks:
        raise ValueError(f'{name} does not run in torch, so its MACs cannot be counted')
    macs = dict.fromkeys(pairs, counts['Global'])
    return Part(f'detector {name}, {side} x {side}', parameters_of(networks[0]), macs)


def backbone_part(backbone: Backbone, pairs: Iterable[int]) -> tuple[Part, Tensor]:
    """The image side of a backbone on device meta, and its feature map (1, C, H, W)."""
    batch = torch.zeros(1, 3, *backbone.input.size, device='meta')
    with torch.no_grad():
        counts = count_macs(lambda: backbone.encode_image(batch))
    # Of a model with texts, the image side is what a feature map has a gradient for.
    features = backbone.requires_grad_(True).encode_image(batch)
    features.sum().backward()
    used = (p.numel() for p in backbone.parameters() if p.grad is not None)
    height, width = backbone.input.size
    name = f'backbone {backbone.name}, {width} x {height}'
    return Part(name, sum(used), dict.fromkeys(pairs, counts['Global'])), features.detach()


def model_parts(
    model: Link, features: Tensor | None, vocabulary: Vocabulary, pairs: Iterable[int]
) -> list[Part]:
    """The parts of a model on device meta, for one image with a feature map (1, C, H, W)."""
    counts = {}
    for number in pairs:
        scene = build_scene([crowded_scene(number, vocabulary)], vocabulary.person).to('meta')
        with torch.no_grad():
            counts[number] = count_macs(lambda: model.infer(scene, features))

    def part(name: str, modules: dict[str, nn.Module], within: bool = False) -> Part:
        """`modules` under the names that the counter has for them."""
        macs = {n: sum(found.get(key, 0) for key in modules) for n, found in counts.items()}
        return Part(name, sum(map(parameters_of, modules.values())), macs, within)

    named = {
        'ROI align and queries' if features is not None else 'queries': model.unary,
        'adapter': model.adapter,
        'encoder': model.encoder,
        'decoder': model.decoder,
        'head': model.head,
    }
    parts = []
    for name, module in named.items():
        if module is None:
            continue
        parts.append(part(name, {type(module).__name__: module}))
        if module is model.decoder:
            shares = (part(name, found, True) for name, found in _decoder_modules(module).items())
            parts += [share for share in shares if share.parameters]
    return parts


def count_macs(task: Callable[[], object]) -> dict[str, int]:
    """MACs by module, as `FlopCounterMode` names them: 'Global' has all.

    Neither the fused kernel of a whole transformer layer nor those of attention hide a product
    from the counter here.
    """
    fast_path = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            task()
    finally:
        torch.backends.mha.set_fastpath_enabled(fast_path)
    counts = counter.get_flop_counts()
    return {name: sum(found.values()) // 2 for name, found in counts.items()}


def parameters_of(module: nn.Module) -> int:
    """How many a module has."""
    return sum(parameter.numel() for parameter in module.parameters())


def _decoder_modules(decoder: nn.Module) -> dict[str, dict[str, nn.Module]]:
    """The modules of each part of the decoder's layers, under the counter's names."""
    root = type(decoder).__name__
    found: dict[str, dict[str, nn.Module]] = {}
    for part, names in DECODER_PARTS.items():
        found[part] = {
            f'{root}.layers.{index}.{name}': module
            for index, layer in enumerate(decoder.layers)
            for name, module in layer.named_modules()
            if name in names
        }
    return found


def _totals(parts: list[Part]) -> tuple[int, dict[int, int]]:
    """Parameters, and MACs for each number of pairs."""
    counted = [part for part in parts if not part.within]
    macs = {n: sum(part.macs[n] for part in counted) for n in counted[0].macs}
    return sum(part.parameters for part in counted), macs


def _table(options: argparse.Namespace, parts: list[Part], text_side: int) -> str:
    parameters, macs = _totals(parts)
    rows = [[options.config.stem, 'M parameters', *(f'GMACs, {n} pairs' for n in macs)]]
    for part in [*parts, Part('total', parameters, macs)]:
        name = f'  {part.name}' if part.within else part.name
        figures = (f'{value / 1e9:.3f}' for value in part.macs.values())
        rows.append([name, f'{part.parameters / 1e6:.2f}', *figures])
    if text_side:
        total = f'{(parameters + text_side) / 1e6:.2f}'
        rows.append(['total with the text side', total, *('' for _ in macs)])
    return aligned(rows)


def _json(options: argparse.Namespace, parts: list[Part], text_side: int) -> dict[str, Any]:
    parameters, macs = _totals(parts)
    return {
        'config': options.config.stem,
        'counted': 'convolutions, linear layers, attention; one MAC is two operations',
        'parts': [
            {
                'part': part.name,
                'within_the_part_above': part.within,
                'parameters': part.parameters,
                'macs': part.macs,
            }
            for part in parts
        ],
        'parameters': parameters,
        'parameters_with_text_side': parameters + text_side,
        'macs': macs,
    }
