"""Published checkpoints: every key of the full-size files has its place, and bad files say why."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from link_hoi_core.detectors.detr import ARCHITECTURES, Architecture, build
from link_hoi_core.detectors.options import DetectorOptions
from link_hoi_core.detectors.published_weights import class_names, published_state, read_checkpoint
from link_hoi_core.vocabulary import COCO80, load_vocabulary

transformers = pytest.importorskip('transformers')
pytest.importorskip('timm')

VOCABULARY = load_vocabulary('hico-det')
NAMES = dict(enumerate(COCO80))
Shapes = dict[str, tuple[int, ...]]


def linear(key: str, out: int, inputs: int) -> Shapes:
    return {f'{key}.weight': (out, inputs), f'{key}.bias': (out,)}


def norm(key: str, size: int) -> Shapes:
    return {f'{key}.weight': (size,), f'{key}.bias': (size,)}


def attention(key: str, size: int) -> Shapes:
    """torch's own, with one matrix for query, key and value."""
    fused = {f'{key}.in_proj_weight': (3 * size, size), f'{key}.in_proj_bias': (3 * size,)}
    return fused | linear(f'{key}.out_proj', size, size)


def feed_forward(key: str, size: int, hidden: int) -> Shapes:
    return linear(f'{key}.linear1', hidden, size) | linear(f'{key}.linear2', size, hidden)


def box_head(key: str, size: int) -> Shapes:
    return {
        **linear(f'{key}.layers.0', size, size),
        **linear(f'{key}.layers.1', size, size),
        **linear(f'{key}.layers.2', 4, size),
    }


def resnet50(key: str) -> Shapes:
    """torchvision's, with frozen batch norms, which have four buffers."""

    def conv(name: str, norm_name: str, out: int, inputs: int, side: int) -> Shapes:
        parts = ('weight', 'bias', 'running_mean', 'running_var')
        frozen = {f'{key}.{norm_name}.{part}': (out,) for part in parts}
        return {f'{key}.{name}.weight': (out, inputs, side, side), **frozen}

    shapes = conv('conv1', 'bn1', 64, 3, 7)
    inputs = 64
    for stage, (depth, width) in enumerate(zip((3, 4, 6, 3), (64, 128, 256, 512)), start=1):
        for block in range(depth):
            name = f'layer{stage}.{block}'
            shapes |= conv(f'{name}.conv1', f'{name}.bn1', width, inputs, 1)
            shapes |= conv(f'{name}.conv2', f'{name}.bn2', width, width, 3)
            shapes |= conv(f'{name}.conv3', f'{name}.bn3', 4 * width, width, 1)
            if block == 0:
                shapes |= conv(f'{name}.downsample.0', f'{name}.downsample.1', 4 * width, inputs, 1)
            inputs = 4 * width
    return shapes


def detr_r50(outputs: int, size: int = 256, layers: int = 6, hidden: int = 2048) -> Shapes:
    """The keys of facebookresearch/detr's checkpoints."""
    shapes = resnet50('backbone.0.body')
    for index in range(layers):
        key = f'transformer.encoder.layers.{index}'
        shapes |= attention(f'{key}.self_attn', size) | feed_forward(key, size, hidden)
        shapes |= norm(f'{key}.norm1', size) | norm(f'{key}.norm2', size)
        key = f'transformer.decoder.layers.{index}'
        shapes |= attention(f'{key}.self_attn', size) | attention(f'{key}.multihead_attn', size)
        shapes |= feed_forward(key, size, hidden)
        for number in (1, 2, 3):
            shapes |= norm(f'{key}.norm{number}', size)
    return {
        **shapes,
        **norm('transformer.decoder.norm', size),
        **linear('class_embed', outputs, size),
        **box_head('bbox_embed', size),
        'query_embed.weight': (100, size),
        'input_proj.weight': (size, 2048, 1, 1),
        'input_proj.bias': (size,),
    }


def swin_l(key: str) -> Shapes:
    shapes = {f'{key}.patch_embed.proj.weight': (192, 3, 4, 4)}
    shapes |= {f'{key}.patch_embed.proj.bias': (192,)} | norm(f'{key}.patch_embed.norm', 192)
    for stage, (depth, heads) in enumerate(zip((2, 2, 18, 2), (6, 12, 24, 48))):
        width = 192 * 2**stage
        for index in range(depth):
            block = f'{key}.layers.{stage}.blocks.{index}'
            shapes[f'{block}.attn.relative_position_bias_table'] = (13 * 13, heads)
            shapes[f'{block}.attn.relative_position_index'] = (49, 49)
            shapes |= linear(f'{block}.attn.qkv', 3 * width, width)
            shapes |= linear(f'{block}.attn.proj', width, width)
            shapes |= linear(f'{block}.mlp.fc1', 4 * width, width)
            shapes |= linear(f'{block}.mlp.fc2', width, 4 * width)
            shapes |= norm(f'{block}.norm1', width) | norm(f'{block}.norm2', width)
        if stage < 3:
            shapes[f'{key}.layers.{stage}.downsample.reduction.weight'] = (2 * width, 4 * width)
            shapes |= norm(f'{key}.layers.{stage}.downsample.norm', 4 * width)
        if stage > 0:
            shapes |= norm(f'{key}.norm{stage}', width)
    return shapes


def deformable_attention(key: str) -> Shapes:
    return {
        **linear(f'{key}.sampling_offsets', 8 * 4 * 4 * 2, 256),
        **linear(f'{key}.attention_weights', 8 * 4 * 4, 256),
        **linear(f'{key}.value_proj', 256, 256),
        **linear(f'{key}.output_proj', 256, 256),
    }


def h_deformable_swin_l(classes: int) -> Shapes:
    """The keys of HDETR/H-Deformable-DETR's checkpoints, 900 + 1500 queries, mixed selection."""
    shapes = swin_l('backbone.0.body')
    for index in range(6):
        key = f'transformer.encoder.layers.{index}'
        shapes |= deformable_attention(f'{key}.self_attn') | feed_forward(key, 256, 2048)
        shapes |= norm(f'{key}.norm1', 256) | norm(f'{key}.norm2', 256)
        key = f'transformer.decoder.layers.{index}'
        shapes |= deformable_attention(f'{key}.cross_attn') | feed_forward(key, 256, 2048)
        shapes |= attention(f'{key}.self_attn', 256)
        for number in (1, 2, 3):
            shapes |= norm(f'{key}.norm{number}', 256)
    for level, width in enumerate((384, 768, 1536, 1536)):
        side = 3 if level == 3 else 1
        shapes[f'input_proj.{level}.0.weight'] = (256, width, side, side)
        shapes[f'input_proj.{level}.0.bias'] = (256,)
        shapes |= norm(f'input_proj.{level}.1', 256)
    for index in range(7):  # the decoder's six layers and the encoder's proposals
        for prefix in ('', 'transformer.decoder.'):  # one module under two names
            shapes |= linear(f'{prefix}class_embed.{index}', classes, 256)
            shapes |= box_head(f'{prefix}bbox_embed.{index}', 256)
    return {
        **shapes,
        **linear('transformer.enc_output', 256, 256),
        **norm('transformer.enc_output_norm', 256),
        **linear('transformer.pos_trans', 512, 512),
        **norm('transformer.pos_trans_norm', 512),
        'transformer.level_embed': (4, 256),
        'query_embed.weight': (2400, 256),
    }


def empty(shapes: Shapes) -> dict[str, Tensor]:
    """Tensors of these shapes that take no memory."""
    return {key: torch.empty(shape, device='meta') for key, shape in shapes.items()}


def full_size(architecture: str) -> dict[str, Tensor]:
    kind = ARCHITECTURES[architecture]
    with torch.device('meta'):
        config = kind.config(transformers, NAMES)
        if architecture == 'detr':
            return transformers.DetrForObjectDetection(config).state_dict()
        from link_hoi_core.detectors.h_deformable_detr import HDeformableDetr

        return HDeformableDetr(config).state_dict()


@pytest.fixture(scope='module')
def wanted() -> dict[str, dict[str, Tensor]]:
    return {architecture: full_size(architecture) for architecture in ('detr', 'h-deformable-detr')}


PUBLISHED: dict[str, Callable[[], Shapes]] = {
    'detr': lambda: detr_r50(81),
    'h-deformable-detr': lambda: h_deformable_swin_l(80),
}


@pytest.mark.parametrize('architecture', PUBLISHED)
def test_every_published_key_has_its_place(
    architecture: str, wanted: dict[str, dict[str, Tensor]]
) -> None:
    state = published_state(empty(PUBLISHED[architecture]()), wanted[architecture], architecture)
    assert state.keys() == wanted[architecture].keys()
    for name, value in state.items():
        assert value.shape == wanted[architecture][name].shape, name


@pytest.mark.parametrize('architecture', PUBLISHED)
@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda shapes: shapes | {'mask_head.weight': (1,)}, 'mask_head.weight is no key of'),
        (
            lambda shapes: {k: v for k, v in shapes.items() if 'encoder.layers.3.norm2' not in k},
            r'no key for model\.encoder\.layers\.3\.final_layer_norm\.weight',
        ),
        (
            lambda shapes: shapes | {'transformer.encoder.layers.1.linear1.bias': (7,)},
            r'encoder\.layers\.1\.linear1\.bias gives .*mlp\.fc1\.bias \(7,\), expected \(2048,\)',
        ),
    ],
)
def test_a_wrong_key_is_named(
    architecture: str,
    change: Callable[[Shapes], Shapes],
    message: str,
    wanted: dict[str, dict[str, Tensor]],
) -> None:
    published = empty(change(PUBLISHED[architecture]()))
    with pytest.raises(ValueError, match=message) as error:
        published_state(published, wanted[architecture], architecture)
    assert '\n' not in str(error.value)


def test_the_first_third_of_a_fused_attention_is_the_query() -> None:
    """torch's own attention against three projections, in float64."""
    torch.manual_seed(0)
    fused = torch.nn.MultiheadAttention(8, 2, dtype=torch.float64)
    torch.nn.init.normal_(fused.in_proj_bias)
    key = 'transformer.decoder.layers.0.multihead_attn'
    published = {f'{key}.{name}': value for name, value in fused.state_dict().items()}
    prefix = 'model.decoder.layers.0.encoder_attn'
    sizes = {'weight': (8, 8), 'bias': (8,)}
    wanted = {f'{prefix}.{p}_proj.{k}': torch.empty(s) for p in 'qkvo' for k, s in sizes.items()}
    ours = published_state(published, wanted, 'detr')

    def project(part: str, x: Tensor) -> Tensor:
        weight, bias = (ours[f'{prefix}.{part}_proj.{kind}'] for kind in ('weight', 'bias'))
        return x @ weight.T + bias

    query, memory = (torch.randn(n, 8, dtype=torch.float64) for n in (3, 5))
    heads = [project(p, x).unflatten(1, (2, 4)) for p, x in zip('qkv', (query, memory, memory))]
    weights = torch.einsum('qhc,khc->hqk', heads[0], heads[1]).div(2).softmax(-1)
    expected = project('o', torch.einsum('hqk,khc->qhc', weights, heads[2]).flatten(1))
    torch.testing.assert_close(fused(query, memory, memory)[0], expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ('architecture', 'head', 'extra'),
    [('detr', 'class_embed.bias', 1), ('h-deformable-detr', 'class_embed.0.bias', 0)],
)
def test_classes_follow_from_the_size_of_the_head(architecture: str, head: str, extra: int) -> None:
    assert class_names({head: torch.zeros(80 + extra)}, architecture) == COCO80
    of_coco = class_names({head: torch.zeros(91 + extra)}, architecture)
    assert (of_coco[1], of_coco[12], of_coco[13], of_coco[90]) == (
        *('person', 'N/A', 'stop_sign'),
        'toothbrush',
    )
    assert of_coco.count('N/A') == 11
    with pytest.raises(ValueError, match='of 20 classes, expected 80 or 91'):
        class_names({head: torch.zeros(20 + extra)}, architecture)
    with pytest.raises(ValueError, match=f'no key {head}'):
        class_names({}, architecture)


def small(library: Any, names: dict[int, str]) -> Any:
    return library.DetrConfig(
        **{'id2label': names, 'd_model': 32, 'encoder_layers': 1, 'decoder_layers': 1},
        **{'encoder_ffn_dim': 16, 'decoder_ffn_dim': 16},
    )


@pytest.mark.parametrize('key', ['model_state_dict', 'model'])
def test_a_checkpoint_file_becomes_a_detector(
    key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the options of its training beside the weights, as the authors save them."""
    smaller = Architecture('DetrForObjectDetection', small, score_exponent=2.8, best=None)
    monkeypatch.setitem(ARCHITECTURES, 'detr', smaller)
    torch.manual_seed(0)
    published = {
        name: torch.randn(shape) * 0.02 + name.endswith('var')
        for name, shape in detr_r50(81, 32, 1, 16).items()
    }
    file = tmp_path / 'detr-r50-hicodet.pth'
    torch.save({key: published, 'epoch': 3, 'args': Namespace(lr=1e-4)}, file)

    options = DetectorOptions(VOCABULARY, weights=str(file), score_threshold=0.0)
    detector = build('detr-r50', 'detr', 'facebook/detr-resnet-50', options)

    weights = detector.model.state_dict()
    query = weights['model.decoder.layers.0.encoder_attn.q_proj.weight']
    fused = published['transformer.decoder.layers.0.multihead_attn.in_proj_weight']
    assert torch.equal(query, fused[:32])
    assert detector.names == list(COCO80)


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (b'no checkpoint', 'is no checkpoint of tensors'),
        ({'weights': {}}, 'neither model_state_dict nor model'),
        ([1, 2], 'neither model_state_dict nor model'),
        ({'model': {'a.weight': torch.zeros(2)}}, r'has no key class_embed\.bias'),
    ],
)
def test_a_file_of_something_else_is_refused(content: Any, message: str, tmp_path: Path) -> None:
    file = tmp_path / 'weights.pth'
    if isinstance(content, bytes):
        file.write_bytes(content)
    else:
        torch.save(content, file)
    options = DetectorOptions(VOCABULARY, weights=str(file))
    with pytest.raises(ValueError, match=message) as error:
        build('detr-r50', 'detr', 'facebook/detr-resnet-50', options)
    assert str(file) in str(error.value)
    assert '\n' not in str(error.value)


def test_reading_leaves_torch_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And needs nothing that torch 2.4 lacks."""
    monkeypatch.delattr(torch.serialization, 'safe_globals', raising=False)
    before = torch.serialization.get_safe_globals()
    torch.save({'model': {'a': torch.ones(2)}, 'args': Namespace(lr=1e-4)}, tmp_path / 'w.pth')
    assert read_checkpoint(str(tmp_path / 'w.pth'))['a'].tolist() == [1, 1]
    assert set(torch.serialization.get_safe_globals()) == set(before)


def test_nothing_in_a_file_is_run(tmp_path: Path) -> None:
    class Harmful:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / 'ran',))

    torch.save({'model': Harmful()}, tmp_path / 'weights.pth')
    with pytest.raises(ValueError, match='it is no checkpoint of tensors and training options'):
        read_checkpoint(str(tmp_path / 'weights.pth'))
    assert not (tmp_path / 'ran').exists()


def test_only_two_architectures_read_such_files(tmp_path: Path) -> None:
    torch.save({'model': {'class_embed.0.bias': torch.zeros(80)}}, tmp_path / 'weights.pth')
    options = DetectorOptions(VOCABULARY, weights=str(tmp_path / 'weights.pth'))
    with pytest.raises(ValueError, match='only detr and h-deformable-detr read'):
        build('x', 'rt-detr', 'PekingU/rtdetr_r50vd', options)
