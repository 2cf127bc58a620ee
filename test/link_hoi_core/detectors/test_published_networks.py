"""Published networks, rebuilt under their authors' key names, give the same through ours."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from link_hoi_core.detectors.published_weights import published_state
from link_hoi_core.vocabulary import COCO80

transformers = pytest.importorskip('transformers')
torchvision = pytest.importorskip('torchvision')
pytest.importorskip('timm')

WIDTH, HEADS, FFN, QUERIES, POINTS, LEVELS = 32, 2, 24, 5, 4, 4


def sine(mask: Tensor, offset: float) -> Tensor:
    """Position encodings (B, C, H, W); the deformable ones count from the middle of a cell."""
    angles = []
    for axis in (1, 2):
        count = mask.cumsum(axis, dtype=torch.float32)
        last = count.select(axis, -1).unsqueeze(axis)
        count = (count + offset) / (last + 1e-6) * 2 * math.pi
        steps = torch.arange(WIDTH // 2)
        angle = count[..., None] / 10000 ** (2 * (steps // 2) / (WIDTH // 2))
        angles.append(torch.where(steps % 2 == 0, angle.sin(), angle.cos()))
    return torch.cat(angles, dim=-1).permute(0, 3, 1, 2)


class Mlp(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        sizes = (WIDTH, WIDTH, WIDTH, 4)
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(sizes, sizes[1:]))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers[:-1]:
            x = layer(x).relu()
        return self.layers[-1](x)


class Detr(nn.Module):
    """facebookresearch/detr (Carion et al. 2020), post-norm, without dropout."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        resnet = torchvision.models.resnet50(norm_layer=torchvision.ops.FrozenBatchNorm2d)
        body = torchvision.models._utils.IntermediateLayerGetter(resnet, {'layer4': '0'})
        self.backbone = nn.ModuleList([nn.ModuleDict({'body': body})])
        self.transformer = nn.Module()
        self.transformer.encoder, self.transformer.decoder = nn.Module(), nn.Module()
        sizes = (WIDTH, HEADS, FFN, 0.0)
        self.transformer.encoder.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(*sizes) for _ in range(2)
        )
        self.transformer.decoder.layers = nn.ModuleList(
            nn.TransformerDecoderLayer(*sizes) for _ in range(2)
        )
        self.transformer.decoder.norm = nn.LayerNorm(WIDTH)
        self.input_proj = nn.Conv2d(2048, WIDTH, 1)
        self.query_embed = nn.Embedding(QUERIES, WIDTH)
        self.class_embed = nn.Linear(WIDTH, classes + 1)
        self.bbox_embed = Mlp()

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        cells = self.input_proj(self.backbone[0]['body'](images)['0'])
        place = sine(torch.ones_like(cells[:, 0]), 0).flatten(2).permute(2, 0, 1)
        x = cells.flatten(2).permute(2, 0, 1)
        for layer in self.transformer.encoder.layers:
            x = layer.norm1(x + layer.self_attn(x + place, x + place, x)[0])
            x = layer.norm2(x + layer.linear2(layer.linear1(x).relu()))
        query = self.query_embed.weight[:, None].expand(-1, len(images), -1)
        y = torch.zeros_like(query)
        for layer in self.transformer.decoder.layers:
            y = layer.norm1(y + layer.self_attn(y + query, y + query, y)[0])
            y = layer.norm2(y + layer.multihead_attn(y + query, x + place, x)[0])
            y = layer.norm3(y + layer.linear2(layer.linear1(y).relu()))
        y = self.transformer.decoder.norm(y).transpose(0, 1)
        return self.class_embed(y), self.bbox_embed(y).sigmoid()


def tiny_detr(library: object, names: dict[int, str]) -> object:
    return library.DetrConfig(
        **{'id2label': names, 'd_model': WIDTH, 'num_queries': QUERIES},
        **{'encoder_layers': 2, 'decoder_layers': 2},
        **{'encoder_ffn_dim': FFN, 'decoder_ffn_dim': FFN},
        **{'encoder_attention_heads': HEADS, 'decoder_attention_heads': HEADS},
    )


def randomised(network: nn.Module, seed: int = 0) -> nn.Module:
    """Every weight and statistic of its own, so that no two can be taken for each other."""
    generator = torch.Generator().manual_seed(seed)
    for name, value in network.state_dict().items():
        if not value.is_floating_point():
            continue
        noise = torch.randn(value.shape, generator=generator)
        if name.endswith('embed.weight'):  # of queries and levels
            value.copy_(noise)
        elif value.ndim > 1:
            value.copy_(noise / math.sqrt(value[0].numel()))
        elif name.endswith(('weight', 'running_var')):
            value.copy_(1 + 0.1 * noise.abs())
        else:
            value.copy_(0.1 * noise)
    return network.eval()


def test_a_detr_checkpoint_gives_what_its_network_gives() -> None:
    published = randomised(Detr(80))
    ours = transformers.DetrForObjectDetection(
        tiny_detr(transformers, dict(enumerate(COCO80)))
    ).eval()
    ours.load_state_dict(published_state(published.state_dict(), ours.state_dict(), 'detr'))
    images = torch.randn(2, 3, 96, 128, generator=torch.Generator().manual_seed(1))

    with torch.no_grad():
        logits, boxes = published(images)
        found = ours(pixel_values=images)

    assert logits.std(dim=1).mean() > 1e-3  # the queries differ, so their order is tested
    torch.testing.assert_close(found.logits, logits, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.pred_boxes, boxes, rtol=1e-4, atol=1e-5)


class SwinBlock(nn.Module):
    """A block of Swin (Liu et al. 2021), its windows as a mask over all pairs of cells."""

    def __init__(self, width: int, window: int, shift: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn = nn.Module()
        self.attn.qkv, self.attn.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        table = torch.zeros((2 * window - 1) ** 2, 2)
        self.attn.relative_position_bias_table = nn.Parameter(table)
        index = torch.zeros(window**2, window**2, dtype=torch.int64)
        self.attn.register_buffer('relative_position_index', index)
        self.mlp = nn.Module()
        self.mlp.fc1, self.mlp.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.window, self.shift = window, shift

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[1:3]
        more = [-side % self.window for side in (height, width)]
        padded = functional.pad(self.norm1(x), (0, 0, 0, more[1], 0, more[0]))
        qkv = self.attn.qkv(padded.flatten(1, 2)).unflatten(-1, (3, 2, -1))
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        attended = functional.scaled_dot_product_attention(
            query, key, value, attn_mask=self._mask(*padded.shape[1:3])
        )
        attended = self.attn.proj(attended.transpose(1, 2).flatten(2)).view(padded.shape)
        x = x + attended[:, :height, :width]
        return x + self.mlp.fc2(functional.gelu(self.mlp.fc1(self.norm2(x))))

    def _mask(self, height: int, width: int) -> Tensor:
        """(2, N, N): the bias of two cells, -inf where they share no window or wrap around."""
        cells = torch.cartesian_prod(torch.arange(height), torch.arange(width))
        sides = torch.tensor([height, width])
        cells = (cells - self.shift) % sides
        wrapped = cells >= sides - self.shift
        kind = torch.cat((cells // self.window, wrapped), dim=1)
        together = (kind[:, None] == kind[None]).all(dim=-1)
        inside = cells % self.window
        y, x = ((inside[:, None] - inside[None]) + self.window - 1).unbind(-1)
        bias = self.attn.relative_position_bias_table[y * (2 * self.window - 1) + x]
        return bias.permute(2, 0, 1).masked_fill(~together, -math.inf)


class Swin(nn.Module):
    """Four stages; the last three leave it, each through a norm of its own."""

    def __init__(self, width: int = 8, window: int = 3) -> None:
        super().__init__()
        self.patch_embed = nn.Module()
        self.patch_embed.proj = nn.Conv2d(3, width, 4, 4)
        self.patch_embed.norm = nn.LayerNorm(width)
        self.layers = nn.ModuleList()
        for stage in range(4):
            size = width * 2**stage
            layer = nn.Module()
            layer.blocks = nn.ModuleList(SwinBlock(size, window, s) for s in (0, window // 2))
            if stage < 3:
                layer.downsample = nn.Module()
                layer.downsample.reduction = nn.Linear(4 * size, 2 * size, bias=False)
                layer.downsample.norm = nn.LayerNorm(4 * size)
            if stage > 0:
                self.add_module(f'norm{stage}', nn.LayerNorm(size))
            self.layers.append(layer)

    def forward(self, images: Tensor) -> list[Tensor]:
        x = self.patch_embed.norm(self.patch_embed.proj(images).permute(0, 2, 3, 1))
        maps = []
        for stage, layer in enumerate(self.layers):
            for block in layer.blocks:
                x = block(x)
            if stage > 0:
                maps.append(getattr(self, f'norm{stage}')(x).permute(0, 3, 1, 2))
            if stage < 3:
                x = functional.pad(x, (0, 0, 0, x.shape[2] % 2, 0, x.shape[1] % 2))
                quarters = [x[:, row::2, column::2] for column in (0, 1) for row in (0, 1)]
                x = layer.downsample.reduction(layer.downsample.norm(torch.cat(quarters, -1)))
        return maps


class DeformableAttention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.sampling_offsets = nn.Linear(WIDTH, HEADS * LEVELS * POINTS * 2)
        self.attention_weights = nn.Linear(WIDTH, HEADS * LEVELS * POINTS)
        self.value_proj, self.output_proj = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, query: Tensor, boxes: Tensor, memory: Tensor, sizes: list) -> Tensor:
        """`boxes` (B, Q, 2 or 4): where to look in units of the image, within a box if given."""
        offsets = self.sampling_offsets(query).unflatten(-1, (HEADS, LEVELS, POINTS, 2))
        weights = self.attention_weights(query).unflatten(-1, (HEADS, -1)).softmax(-1)
        weights = weights.unflatten(-1, (LEVELS, POINTS))
        values = self.value_proj(memory).split([h * w for h, w in sizes], dim=1)
        result = 0
        for level, (height, width) in enumerate(sizes):
            cells = values[level].unflatten(-1, (HEADS, -1)).permute(0, 2, 3, 1).flatten(0, 1)
            if boxes.shape[-1] == 4:
                scale = boxes[:, :, None, None, 2:] / 2 / POINTS
            else:
                scale = 1 / torch.tensor([width, height])
            places = boxes[:, :, None, None, :2] + offsets[:, :, :, level] * scale
            sampled = functional.grid_sample(
                cells.unflatten(-1, (height, width)),
                (2 * places - 1).transpose(1, 2).flatten(0, 1),
                align_corners=False,
            ).unflatten(0, (-1, HEADS))
            result = result + (sampled * weights[:, :, :, level].transpose(1, 2)[:, :, None]).sum(
                -1
            )
        return self.output_proj(result.permute(0, 3, 1, 2).flatten(2))


def deformable_layer(decodes: bool) -> nn.Module:
    """Modules under the names of the publication; the network says how they are used."""
    layer = nn.Module()
    layer.self_attn = nn.MultiheadAttention(WIDTH, HEADS) if decodes else DeformableAttention()
    if decodes:
        layer.cross_attn, layer.norm3 = DeformableAttention(), nn.LayerNorm(WIDTH)
    layer.norm1, layer.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
    layer.linear1, layer.linear2 = nn.Linear(WIDTH, FFN), nn.Linear(FFN, WIDTH)
    return layer


class HDeformableDetr(nn.Module):
    """HDETR/H-Deformable-DETR with mixed selection, look forward twice and both branches."""

    def __init__(self, classes: int, one_to_many: int) -> None:
        super().__init__()
        self.backbone = nn.ModuleList([nn.ModuleDict({'body': Swin()})])
        self.transformer = nn.Module()
        self.transformer.level_embed = nn.Parameter(torch.zeros(LEVELS, WIDTH))
        for name, decodes in (('encoder', False), ('decoder', True)):
            part = nn.Module()
            part.layers = nn.ModuleList(deformable_layer(decodes) for _ in range(2))
            self.transformer.add_module(name, part)
        for name, size in (('enc_output', WIDTH), ('pos_trans', 2 * WIDTH)):
            self.transformer.add_module(name, nn.Linear(size, size))
            self.transformer.add_module(f'{name}_norm', nn.LayerNorm(size))
        self.input_proj = nn.ModuleList(
            nn.Sequential(conv, nn.GroupNorm(32, WIDTH))
            for conv in (
                *(nn.Conv2d(size, WIDTH, 1) for size in (16, 32, 64)),
                nn.Conv2d(64, WIDTH, 3, 2, 1),
            )
        )
        self.query_embed = nn.Embedding(QUERIES + one_to_many, WIDTH)
        self.class_embed = nn.ModuleList(nn.Linear(WIDTH, classes) for _ in range(3))
        self.bbox_embed = nn.ModuleList(Mlp() for _ in range(3))
        self.transformer.decoder.class_embed = self.class_embed
        self.transformer.decoder.bbox_embed = self.bbox_embed

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        maps = self.backbone[0]['body'](images)
        maps = [project(x) for project, x in zip(self.input_proj, [*maps, maps[-1]])]
        sizes = [x.shape[2:] for x in maps]
        memory = self._encode(maps, sizes)
        boxes, place = self._propose(memory, sizes)
        content = self.query_embed.weight.expand(len(images), -1, -1)
        branch = torch.arange(len(self.query_embed.weight)) < QUERIES
        apart = branch[:, None] != branch[None]
        for layer, box_head in zip(self.transformer.decoder.layers, self.bbox_embed):
            query = (content + place).transpose(0, 1)
            mixed = layer.self_attn(query, query, content.transpose(0, 1), attn_mask=apart)[0]
            content = layer.norm2(content + mixed.transpose(0, 1))
            seen = layer.cross_attn(content + place, boxes, memory, sizes)
            content = layer.norm1(content + seen)
            content = layer.norm3(content + layer.linear2(layer.linear1(content).relu()))
            boxes = (torch.logit(boxes, eps=1e-5) + box_head(content)).sigmoid()
        return self.class_embed[1](content)[:, :QUERIES], boxes[:, :QUERIES]

    def _encode(self, maps: list[Tensor], sizes: list) -> Tensor:
        place = [sine(torch.ones_like(x[:, 0]), -0.5).flatten(2).transpose(1, 2) for x in maps]
        place = torch.cat([p + e for p, e in zip(place, self.transformer.level_embed)], dim=1)
        x = torch.cat([x.flatten(2).transpose(1, 2) for x in maps], dim=1)
        centres = cell_centres(sizes)[None, :, :2].expand(len(x), -1, -1)
        for layer in self.transformer.encoder.layers:
            x = layer.norm1(x + layer.self_attn(x + place, centres, x, sizes))
            x = layer.norm2(x + layer.linear2(layer.linear1(x).relu()))
        return x

    def _propose(self, memory: Tensor, sizes: list) -> tuple[Tensor, Tensor]:
        """The best cells' boxes, and what they say of a query's place."""
        part = self.transformer
        proposals = cell_centres(sizes)
        valid = ((proposals > 0.01) & (proposals < 0.99)).all(dim=-1, keepdim=True)
        features = part.enc_output_norm(part.enc_output(memory * valid))
        scores = self.class_embed[2](features)[..., 0]
        logits = self.bbox_embed[2](features) + proposals.logit().masked_fill(~valid, math.inf)
        best = scores.topk(len(self.query_embed.weight), dim=1).indices
        boxes = logits.gather(1, best[..., None].expand(-1, -1, 4)).sigmoid()
        steps = torch.arange(WIDTH // 2)
        angle = boxes[..., None] * 2 * math.pi / 10000 ** (2 * (steps // 2) / (WIDTH // 2))
        waves = torch.where(steps % 2 == 0, angle.sin(), angle.cos()).flatten(2)
        return boxes, part.pos_trans_norm(part.pos_trans(waves))[..., :WIDTH]


def cell_centres(sizes: list) -> Tensor:
    """(N, 4) boxes cxcywh around every cell of every level, larger the coarser it is."""
    boxes = []
    for level, (height, width) in enumerate(sizes):
        y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing='ij')
        side = torch.full((height * width,), 0.05 * 2**level)
        centres = ((x.flatten() + 0.5) / width, (y.flatten() + 0.5) / height)
        boxes.append(torch.stack((*centres, side, side), dim=-1))
    return torch.cat(boxes)


def tiny_h_deformable(library: object, names: dict[int, str]) -> object:
    swin = library.SwinConfig(
        **{'embed_dim': 8, 'depths': [2, 2, 2, 2], 'num_heads': [2, 2, 2, 2]},
        **{'window_size': 3, 'out_indices': [2, 3, 4], 'drop_path_rate': 0.0},
    )
    return library.DeformableDetrConfig(
        **{'backbone_config': swin, 'id2label': names, 'd_model': WIDTH},
        **{'num_queries': QUERIES, 'two_stage_num_proposals': QUERIES},
        **{'encoder_layers': 2, 'decoder_layers': 2},
        **{'encoder_ffn_dim': FFN, 'decoder_ffn_dim': FFN},
        **{'encoder_attention_heads': HEADS, 'decoder_attention_heads': HEADS},
        **{'two_stage': True, 'with_box_refine': True, 'tie_word_embeddings': False},
    )


def test_an_h_deformable_checkpoint_gives_what_its_network_gives() -> None:
    """Swin, two stages, refinement, and a one-to-many branch that changes nothing."""
    from link_hoi_core.detectors.h_deformable_detr import HDeformableDetr as Ours

    published = randomised(HDeformableDetr(80, one_to_many=6))
    ours = Ours(tiny_h_deformable(transformers, dict(enumerate(COCO80)))).eval()
    state = published_state(published.state_dict(), ours.state_dict(), 'h-deformable-detr')
    ours.load_state_dict(state)
    images = torch.randn(2, 3, 104, 148, generator=torch.Generator().manual_seed(1))

    with torch.no_grad():
        logits, boxes = published(images)
        found = ours(pixel_values=images)

    assert logits.std(dim=1).mean() > 1e-3
    torch.testing.assert_close(found.logits, logits, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found.pred_boxes, boxes, rtol=1e-4, atol=1e-4)
