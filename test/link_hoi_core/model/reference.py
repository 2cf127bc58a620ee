"""LINK once more, in float64 numpy: one image, one pair, one head, one cell after another.

Written from the paper and its specification, as what the model is held against; it shares only the
names of the weights with it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from link_hoi_core.model.link import LinkConfig
from link_hoi_core.model.scene import Scene

Array = np.ndarray
Weights = dict[str, Array]


@dataclass
class Result:
    """Of one image, a list entry a layer: pairs' logits (M, V) and looks, detections (N, D)."""

    logits: list[Array]
    detections: list[Array]
    latent: list[Array]
    native: list[Array]


def randomised(module: nn.Module, std: float = 0.3) -> nn.Module:
    """The module in float64, with weights among which no zero and no one hides anything."""
    torch.manual_seed(0)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=std)
    return module.double().eval()


def double(scene: Scene) -> Scene:
    """The scene in float64."""
    return scene.map(lambda value: value.double() if value.is_floating_point() else value)


def weights_of(module: nn.Module) -> Weights:
    """All parameters and buffers in float64."""
    return {name: value.double().numpy() for name, value in module.state_dict().items()}


def within(weights: Weights, name: str) -> Weights:
    """The weights of the submodule `name`."""
    start = f'{name}.'
    return {key[len(start) :]: value for key, value in weights.items() if key.startswith(start)}


def link(
    config: LinkConfig,
    weights: Weights,
    boxes: Array,
    labels: list[int],
    size: tuple[int, int],
    features: Array | None,
    person: int = 0,
) -> Result:
    """LINK on one image of `size` (height, width) with a feature map (C, H, W), or None."""
    height, width = size
    relative = [box / np.array([width, height, width, height]) for box in boxes]
    encodings = [box_encoding(box) for box in relative]
    if features is not None and config.adapter:
        features = adapted(within(weights, 'adapter'), features)
    unary = within(weights, 'unary')
    if features is None:
        names = unary['object_embeddings']
        queries = [
            linear(unary, 'object', names[label]) + linear(unary, 'box', encoding)
            for label, encoding in zip(labels, encodings)
        ]
    else:
        seen = [roi_average(features, box) for box in relative]
        queries = [layer_norm(unary, 'norm', linear(unary, 'project', value)) for value in seen]

    everyone = range(len(boxes))
    pairs = [(i, j) for i in everyone for j in everyone if labels[i] == person and i != j]
    detections = encode(config, within(weights, 'encoder'), queries, encodings)
    encoder, last = within(weights, 'encoder'), detections[-1]
    if config.encoder == 'geometrical':
        fused = [
            fuse(encoder, last[i], last[j], pairwise_encoding(boxes[i], boxes[j], height, width))
            for i, j in pairs
        ]
    else:
        fused = [pair_linear(encoder, 'pair', last[i], last[j]) for i, j in pairs]

    result = Result([], detections, [], [])
    decode(config, weights, fused, pairs, queries, relative, encodings, features, result)
    return result


def encode(
    config: LinkConfig, weights: Weights, queries: list[Array], encodings: list[Array]
) -> list[Array]:
    outputs = []
    for index in range(config.encoder_layers):
        layer = within(weights, f'layers.{index}')
        positions = None
        if config.encoder == 'geometrical':
            positions = [linear(layer, 'position', encoding) for encoding in encodings]
        queries = self_attention(within(layer, 'attention'), queries, positions, config.heads)
        queries = [feed_forward(within(layer, 'feed_forward'), query) for query in queries]
        outputs.append(np.array(queries))
    return outputs


def fuse(weights: Weights, human: Array, object_: Array, spatial: Array) -> Array:
    """PViC's MMF on the Linear of the concatenated queries."""
    x = layer_norm(
        weights, 'fusion.content_norm', pair_linear(weights, 'fusion.content', human, object_)
    )
    for index in (0, 2, 4):
        spatial = relu(linear(weights, f'fusion.spatial_head.{index}', spatial))
    y = linear(weights, 'fusion.spatial_head.6', spatial)
    y = layer_norm(weights, 'fusion.spatial_head.7', y)
    z = relu(np.concatenate((x, y)))
    return relu(linear(weights, 'fusion.mix.3', relu(linear(weights, 'fusion.mix.1', z))))


def decode(
    config: LinkConfig,
    weights: Weights,
    pairs: list[Array],
    rows: list[tuple[int, int]],
    queries: list[Array],
    boxes: list[Array],
    encodings: list[Array],
    features: Array | None,
    result: Result,
) -> None:
    """Fill in the logits and looks; `rows` says of which detections each pair is."""
    decoder = within(weights, 'decoder')
    guided = config.decoder == 'linking' and features is not None
    if features is not None:
        native = [features[:, y, x] for y, x in np.ndindex(features.shape[1:])]
        latent = [connected(decoder, cell) for cell in native]
    if guided:
        cells = map_encoding(*features.shape[1:])
        centres = [
            centre_encoding(box, sigmoid(ratio_logits(decoder, query)))
            for box, query in zip(boxes, queries)
        ]
    for index in range(config.decoder_layers):
        layer = within(decoder, f'layers.{index}')
        positions = [pair_linear(layer, 'position', encodings[i], encodings[j]) for i, j in rows]
        pairs = self_attention(within(layer, 'attention'), pairs, positions, config.heads)
        if guided:
            look = within(layer, 'look')
            places = [pair_linear(look, 'centre', centres[i], centres[j]) for i, j in rows]
            spatial = guided_attention(
                within(look, 'spatial'), pairs, places, latent, cells, config.heads
            )
            expanded = [linear(look, 'expand', pair) for pair in pairs]
            semantic = cross_attention(within(look, 'semantic'), expanded, native, config.heads)
            seen = [
                linear(look, 'fuse.3', relu(linear(look, 'fuse.0', np.concatenate(both))))
                for both in zip(spatial, semantic)
            ]
            result.latent.append(np.array(spatial))
            result.native.append(np.array(semantic))
        elif features is not None:
            attention = within(layer, 'look.attention')
            seen = cross_attention(attention, pairs, latent, config.heads)
            result.latent.append(np.array(seen))
        if features is not None:
            pairs = [layer_norm(layer, 'look_norm', pair + s) for pair, s in zip(pairs, seen)]
        pairs = [feed_forward(within(layer, 'feed_forward'), pair) for pair in pairs]
        head = within(weights, 'head')
        result.logits.append(np.array([classify(head, pair) for pair in pairs]))


def classify(weights: Weights, pair: Array) -> Array:
    """Cosine to each verb's row times exp(log_scale), plus the bias: (V,)."""
    embedding = linear(weights, 'project', layer_norm(weights, 'norm', pair))
    cosines = [
        embedding @ row / math.sqrt(embedding @ embedding) / math.sqrt(row @ row)
        for row in weights['verbs']
    ]
    return math.exp(weights['log_scale']) * np.array(cosines) + weights['bias']


def linear(weights: Weights, name: str, x: Array) -> Array:
    return weights[f'{name}.weight'] @ x + weights.get(f'{name}.bias', 0)


def pair_linear(weights: Weights, name: str, human: Array, object_: Array) -> Array:
    """One Linear of the concatenation, whose weight is kept as two halves."""
    halves = [weights[f'{name}.{part}.weight'] for part in ('human', 'object')]
    joint = np.concatenate(halves, axis=1)
    return joint @ np.concatenate((human, object_)) + weights[f'{name}.human.bias']


def layer_norm(weights: Weights, name: str, x: Array) -> Array:
    centred = x - x.mean()
    scaled = centred / np.sqrt((centred**2).mean() + 1e-5)
    return scaled * weights[f'{name}.weight'] + weights[f'{name}.bias']


def relu(x: Array) -> Array:
    return np.maximum(x, 0)


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def feed_forward(weights: Weights, x: Array) -> Array:
    return layer_norm(
        weights, 'norm', x + linear(weights, 'layers.3', relu(linear(weights, 'layers.0', x)))
    )


def attend(logits: list[Array], values: list[Array], heads: int) -> Array:
    """Values (D,) of the keys, mixed head by head by the softmax of logits (heads,) a key."""
    size = len(values[0]) // heads
    output = np.zeros(len(values[0]))
    for head in range(heads):
        part = slice(head * size, (head + 1) * size)
        of_head = np.array([logit[head] for logit in logits])
        weights = np.exp(of_head - of_head.max())
        weights /= weights.sum()
        output[part] = sum(weight * value[part] for weight, value in zip(weights, values))
    return output


def dots(a: Array, b: Array, heads: int) -> Array:
    """Product of two vectors head by head: (heads,)."""
    size = len(a) // heads
    parts = [slice(head * size, (head + 1) * size) for head in range(heads)]
    return np.array([a[part] @ b[part] for part in parts])


def self_attention(
    weights: Weights, tokens: list[Array], positions: list[Array] | None, heads: int
) -> list[Array]:
    """Post-norm; positions (2 D,) are added to queries and keys, not to values."""
    width = len(weights['norm.weight'])
    mixed = [linear(weights, 'query_key_value', token) for token in tokens]
    if positions is None:
        positions = [np.zeros(2 * width)] * len(tokens)
    queries = [row[:width] + place[:width] for row, place in zip(mixed, positions)]
    keys = [row[width : 2 * width] + place[width:] for row, place in zip(mixed, positions)]
    values = [row[2 * width :] for row in mixed]
    outputs = []
    for token, query in zip(tokens, queries):
        logits = [dots(query, key, heads) / math.sqrt(width // heads) for key in keys]
        taken = linear(weights, 'output', attend(logits, values, heads))
        outputs.append(layer_norm(weights, 'norm', token + taken))
    return outputs


def cross_attention(
    weights: Weights, queries: list[Array], memory: list[Array], heads: int
) -> list[Array]:
    width = len(weights['output.bias'])
    both = [linear(weights, 'key_value', cell) for cell in memory]
    keys, values = [row[:width] for row in both], [row[width:] for row in both]
    outputs = []
    for query in queries:
        query = linear(weights, 'query', query)
        logits = [dots(query, key, heads) / math.sqrt(width // heads) for key in keys]
        outputs.append(linear(weights, 'output', attend(logits, values, heads)))
    return outputs


def guided_attention(
    weights: Weights,
    queries: list[Array],
    places: list[Array],
    memory: list[Array],
    cells: list[Array],
    heads: int,
) -> list[Array]:
    """Spec section 5, step 2: logits (q.k + q_p.k_p) / sqrt(2 D / heads)."""
    width = len(weights['output.bias'])
    both = [linear(weights, 'key_value', cell) for cell in memory]
    keys, values = [row[:width] for row in both], [row[width:] for row in both]
    where = [linear(weights, 'key_position', cell) for cell in cells]
    outputs = []
    for query, place in zip(queries, places):
        query = linear(weights, 'query', query)
        logits = [
            (dots(query, key, heads) + dots(place, key_place, heads))
            / math.sqrt(2 * width // heads)
            for key, key_place in zip(keys, where)
        ]
        outputs.append(linear(weights, 'output', attend(logits, values, heads)))
    return outputs


def adapted(weights: Weights, features: Array) -> Array:
    """A residual bottleneck at every cell."""
    output = features.copy()
    down, up = (weights[f'{name}.weight'][:, :, 0, 0] for name in ('down', 'up'))
    for y, x in np.ndindex(features.shape[1:]):
        hidden = relu(down @ features[:, y, x] + weights['down.bias'])
        output[:, y, x] += up @ hidden + weights['up.bias']
    return output


def connected(weights: Weights, cell: Array) -> Array:
    hidden = relu(linear(weights, 'connector.0', cell))
    return layer_norm(weights, 'connector.3', linear(weights, 'connector.2', hidden))


def ratio_logits(weights: Weights, query: Array) -> Array:
    return linear(weights, 'modulation.2', relu(linear(weights, 'modulation.0', query)))


def sine(position: float, width: int = 128, temperature: float = 20.0) -> list[float]:
    """Spec section 3: angle 2 pi p / T^(2 floor(k/2) / width); even k sine, odd k cosine."""
    values = []
    for k in range(width):
        angle = 2 * math.pi * position / temperature ** (2 * (k // 2) / width)
        values.append(math.sin(angle) if k % 2 == 0 else math.cos(angle))
    return values


def box_encoding(box: Array) -> Array:
    x1, y1, x2, y2 = (float(value) for value in box)
    return np.array(sine((y1 + y2) / 2) + sine((x1 + x2) / 2) + sine(y2 - y1) + sine(x2 - x1))


def centre_encoding(box: Array, ratios: Array) -> Array:
    """The y half times r_h / h, the x half times r_w / w; `ratios` are (r_w, r_h)."""
    x1, y1, x2, y2 = (float(value) for value in box)
    w, h = max(x2 - x1, 1e-6), max(y2 - y1, 1e-6)
    y = [value * ratios[1] / h for value in sine((y1 + y2) / 2)]
    x = [value * ratios[0] / w for value in sine((x1 + x2) / 2)]
    return np.array(y + x)


def map_encoding(height: int, width: int) -> list[Array]:
    """DETR's sine encoding, row by row; cells are counted from 1."""
    return [
        np.array(sine((y + 1) / (height + 1e-6)) + sine((x + 1) / (width + 1e-6)))
        for y, x in np.ndindex(height, width)
    ]


def roi_average(features: Array, box: Array, bins: int = 7) -> Array:
    """Mean over 7 x 7 bins of ROI Align, half-pixel aligned, ceil(size / 7) points a bin."""
    channels, height, width = features.shape
    x1, y1, x2, y2 = np.array(box) * [width, height, width, height]
    bin_w, bin_h = (x2 - x1) / bins, (y2 - y1) / bins
    points_x, points_y = max(math.ceil(bin_w), 1), max(math.ceil(bin_h), 1)
    total = np.zeros(channels)
    for row, column in np.ndindex(bins, bins):
        inside = np.zeros(channels)
        for i, j in np.ndindex(points_y, points_x):
            y = y1 - 0.5 + row * bin_h + (i + 0.5) * bin_h / points_y
            x = x1 - 0.5 + column * bin_w + (j + 0.5) * bin_w / points_x
            inside += bilinear(features, y, x)
        total += inside / (points_y * points_x)
    return total / bins**2


def bilinear(features: Array, y: float, x: float) -> Array:
    """Value of a map (C, H, W) between its cells; beyond the outermost ones it is theirs."""
    height, width = features.shape[1:]
    y, x = min(max(y, 0.0), height - 1.0), min(max(x, 0.0), width - 1.0)
    top, left = int(y), int(x)
    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
    down, across = y - top, x - left
    upper = (1 - across) * features[:, top, left] + across * features[:, top, right]
    lower = (1 - across) * features[:, bottom, left] + across * features[:, bottom, right]
    return (1 - down) * upper + down * lower


def pairwise_encoding(h: Array, o: Array, height: float, width: float) -> Array:
    """Spec section 4, term by term; boxes in pixels."""
    e = 1e-10
    cx1, cy1, w1, h1 = (h[0] + h[2]) / 2, (h[1] + h[3]) / 2, h[2] - h[0], h[3] - h[1]
    cx2, cy2, w2, h2 = (o[0] + o[2]) / 2, (o[1] + o[3]) / 2, o[2] - o[0], o[3] - o[1]
    dx, dy = abs(cx2 - cx1) / (w1 + e), abs(cy2 - cy1) / (h1 + e)
    shared_w = max(0.0, min(h[2], o[2]) - max(h[0], o[0]))
    shared_h = max(0.0, min(h[3], o[3]) - max(h[1], o[1]))
    shared = shared_w * shared_h
    f = [cx1 / width, cy1 / height, cx2 / width, cy2 / height]
    f += [w1 / width, h1 / height, w2 / width, h2 / height]
    f += [w1 * h1 / (width * height), w2 * h2 / (width * height), w2 * h2 / (w1 * h1 + e)]
    f += [w1 / (h1 + e), w2 / (h2 + e), shared / (w1 * h1 + w2 * h2 - shared)]
    f += [dx if cx2 > cx1 else 0, dx if cx2 < cx1 else 0]
    f += [dy if cy2 > cy1 else 0, dy if cy2 < cy1 else 0]
    return np.array(f + [math.log(value + e) for value in f])
