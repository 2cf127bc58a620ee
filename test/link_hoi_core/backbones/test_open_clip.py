"""open_clip models as backbones, on tiny ones with random weights."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

from link_hoi_core.backbones import BACKBONES, BackboneConfig, build_backbone, fingerprint
from link_hoi_core.backbones.open_clip import OpenClip
from link_hoi_core.backbones.open_clip_towers import resize_positions

open_clip = pytest.importorskip('open_clip')

TEXT = {'width': 32, 'heads': 2, 'layers': 2}
VIT = {'layers': 2, 'width': 48, 'head_width': 16, 'patch_size': 8, 'image_size': 32}
TRUNKS = {
    'eva': ('eva02_tiny_patch14_224', 'token', '', 56),
    'siglip': ('test_vit', 'map', 'none', 160),
    'average': ('test_vit', 'avg', 'linear', 160),
    'convnext': ('test_convnext', '', 'mlp', 64),
}
ATOL = 1e-10  # in float64


def make(
    config: BackboneConfig | None = None, quick_gelu: bool = True, **vision: object
) -> OpenClip:
    """A tiny CLIP of 24-d texts, in float64."""
    torch.manual_seed(0)
    model = open_clip.CLIP(24, {**VIT, **vision}, TEXT, quick_gelu=quick_gelu)
    return OpenClip('tiny', model, config or BackboneConfig(name='tiny')).freeze().double()


def make_trunk(kind: str, feature_space: str = 'proj') -> OpenClip:
    """A tiny timm model under open_clip's head, in float64."""
    name, pool, proj, size = TRUNKS[kind]
    vision = {'timm_model_name': name, 'timm_pool': pool, 'timm_proj': proj, 'image_size': size}
    torch.manual_seed(0)
    model = open_clip.CustomTextCLIP(64 if proj == 'none' else 24, vision, TEXT)
    config = BackboneConfig(name=kind, feature_space=feature_space)
    return OpenClip(kind, model, config).freeze().double()


def images(count: int, height: int = 32, width: int = 32) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(count, 3, height, width, generator=generator, dtype=torch.float64)


def by_hand(backbone: OpenClip, batch: Tensor) -> Tensor:
    """Normed tokens (B, 1 + cells, C), each step of CLIP's vision transformer written out."""
    visual = backbone.model.visual
    count = len(batch)
    patches = functional.unfold(batch, 8, stride=8).transpose(1, 2)
    cells = patches @ visual.conv1.weight.flatten(1).T
    cls = visual.class_embedding.reshape(1, 1, -1).repeat(count, 1, 1)
    tokens = torch.cat([cls, cells], dim=1) + visual.positional_embedding
    tokens = functional.layer_norm(tokens, (48,), visual.ln_pre.weight, visual.ln_pre.bias)
    for block in visual.transformer.resblocks:
        tokens = tokens + attention(block, block.ln_1(tokens))
        hidden = block.mlp.c_fc(block.ln_2(tokens))
        tokens = tokens + block.mlp.c_proj(hidden * torch.sigmoid(1.702 * hidden))  # QuickGELU
    return functional.layer_norm(tokens, (48,), visual.ln_post.weight, visual.ln_post.bias)


def attention(block: torch.nn.Module, tokens: Tensor) -> Tensor:
    """Three heads of 16."""
    projected = tokens @ block.attn.in_proj_weight.T + block.attn.in_proj_bias
    q, k, v = (part.unflatten(2, (3, 16)).transpose(1, 2) for part in projected.chunk(3, dim=2))
    weights = (q @ k.transpose(2, 3) / 4).softmax(dim=3)
    return block.attn.out_proj((weights @ v).transpose(1, 2).flatten(2))


@pytest.mark.parametrize('feature_space', ['proj', 'width'])
def test_patch_tokens_are_those_worked_out_by_hand(feature_space: str) -> None:
    backbone = make(BackboneConfig(name='tiny', feature_space=feature_space))
    batch = images(2)
    expected = by_hand(backbone, batch)[:, 1:]
    if feature_space == 'proj':
        expected = expected @ backbone.model.visual.proj
    found = backbone.encode_image(batch)
    assert backbone.width == (24 if feature_space == 'proj' else 48) and backbone.text_width == 24
    assert found.shape == (2, backbone.width, 4, 4)
    expected = expected.transpose(1, 2).reshape(2, -1, 4, 4)
    torch.testing.assert_close(found, expected, rtol=0, atol=ATOL)


def test_the_image_embedding_is_the_class_token_in_the_same_space() -> None:
    backbone = make()
    batch = images(2)
    cls = by_hand(backbone, batch)[:, 0] @ backbone.model.visual.proj
    expected = cls / cls.norm(dim=1, keepdim=True)
    torch.testing.assert_close(backbone.embed_image(batch), expected, rtol=0, atol=ATOL)


def test_each_activation_is_the_models_own() -> None:
    quick, exact = make(quick_gelu=True), make(quick_gelu=False)
    exact.load_state_dict(quick.state_dict())
    assert (quick.encode_image(images(1)) - exact.encode_image(images(1))).abs().max() > 1e-4


VARIANTS: list[Callable[[], OpenClip]] = [
    make,
    lambda: make(pool_type='avg', final_ln_after_pool=True),
    lambda: make(attentional_pool=True, attn_pooler_queries=4, attn_pooler_heads=2),
    lambda: make(layers=(1, 1, 1, 1), width=8, image_size=64),
    *(lambda kind=kind: make_trunk(kind) for kind in TRUNKS),
]
NAMES = ['clip', 'average-clip', 'coca', 'resnet', *TRUNKS]


@pytest.mark.parametrize('build', VARIANTS, ids=NAMES)
def test_what_holds_for_every_tower(build: Callable[[], OpenClip]) -> None:
    backbone = build()
    height, width = backbone.input.size
    batch = images(3, height, width)
    maps, embeddings = backbone.encode_image(batch), backbone.embed_image(batch)
    cells = height // backbone.stride
    assert maps.shape == (3, backbone.width, cells, cells)
    library = backbone.model.encode_image(batch, normalize=True)
    torch.testing.assert_close(embeddings, library, rtol=0, atol=ATOL)
    singles = torch.cat([backbone.encode_image(image[None]) for image in batch])
    torch.testing.assert_close(maps, singles, rtol=0, atol=ATOL)
    singles = torch.cat([backbone.embed_image(image[None]) for image in batch])
    torch.testing.assert_close(embeddings, singles, rtol=0, atol=ATOL)


@pytest.mark.parametrize('build', VARIANTS, ids=NAMES)
def test_every_tower_takes_any_multiple_of_its_stride(build: Callable[[], OpenClip]) -> None:
    backbone = build()
    stride = backbone.stride
    native = images(1, *backbone.input.size)
    before = backbone.encode_image(native)
    other = images(2, 3 * stride, 5 * stride)
    assert backbone.encode_image(other).shape == (2, backbone.width, 3, 5)
    assert backbone.embed_image(other).norm(dim=1).allclose(torch.ones(2, dtype=torch.float64))
    assert torch.equal(backbone.encode_image(native), before)
    with pytest.raises(ValueError, match=f'multiples of {stride}'):
        backbone.encode_image(images(1, stride, stride + 1))


@pytest.mark.parametrize('kind', ['eva', 'average', 'convnext'])
def test_the_head_of_a_timm_trunk_is_applied_to_each_cell(kind: str) -> None:
    backbone, native = make_trunk(kind), make_trunk(kind, 'width')
    assert (backbone.width, native.width) == (24, native.model.visual.trunk.num_features)
    batch = images(1, *backbone.input.size)
    cells = native.encode_image(batch).flatten(2).transpose(1, 2)
    trunk, head = backbone.model.visual.trunk, backbone.model.visual.head
    if kind == 'eva':
        expected = trunk.head(cells)
    elif kind == 'average':
        expected = head.proj(trunk.fc_norm(cells))
    else:
        norm = trunk.head.norm
        normed = functional.layer_norm(cells, cells.shape[-1:], norm.weight, norm.bias, norm.eps)
        expected = head.mlp(normed)
    found = backbone.encode_image(batch).flatten(2).transpose(1, 2)
    torch.testing.assert_close(found, expected, rtol=0, atol=ATOL)


@pytest.mark.parametrize(
    ('build', 'width'), [(VARIANTS[2], 48), (VARIANTS[3], 256), (VARIANTS[5], 64)]
)
def test_models_that_pool_with_attention_keep_their_own_width(
    build: Callable[[], OpenClip], width: int
) -> None:
    assert build().width == width


def test_a_trunk_interpolates_as_timm_does() -> None:
    timm = pytest.importorskip('timm')
    backbone = make_trunk('eva', 'width')
    trunk = timm.create_model(
        'eva02_tiny_patch14_224', dynamic_img_size=True, num_classes=24, global_pool='token'
    )
    trunk.load_state_dict(backbone.model.visual.trunk.state_dict())
    batch = images(2, 28, 70)
    expected = trunk.eval().double().forward_features(batch)[:, 1:]
    found = backbone.encode_image(batch).flatten(2).transpose(1, 2)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


def test_positions_of_the_native_grid_stay_as_they_are() -> None:
    positions = torch.randn(17, 48)
    assert resize_positions(positions, (4, 4), (4, 4)) is positions


def test_interpolated_positions_are_the_librarys() -> None:
    backbone = make(image_size=32)
    state = {'visual.positional_embedding': backbone.model.visual.positional_embedding}
    larger = open_clip.CLIP(24, {**VIT, 'image_size': 48}, TEXT)
    open_clip.model.resize_pos_embed(state, larger)
    found = resize_positions(backbone.model.visual.positional_embedding, (4, 4), (6, 6))
    torch.testing.assert_close(found, state['visual.positional_embedding'])


def test_texts_are_embedded_in_unit_length_by_clips_own_tokenizer() -> None:
    backbone = make()
    texts = [f'a photo of a person is {verb} the object' for verb in ('riding', 'holding')]
    found = backbone.encode_text(texts)
    assert found.shape == (2, 24) and found.dtype == torch.float64
    torch.testing.assert_close(found.norm(dim=1), torch.ones(2, dtype=torch.float64))
    tokens = open_clip.tokenize(texts)
    expected = backbone.model.encode_text(tokens, normalize=True)
    torch.testing.assert_close(found, expected, rtol=0, atol=ATOL)
    assert backbone.encode_text([]).shape == (0, 24)


def test_many_texts_give_what_single_ones_give() -> None:
    backbone = make()
    texts = [f'a photo of {count} things' for count in range(260)]
    found = backbone.encode_text(texts)
    assert found.shape == (260, 24)
    for row in (0, 255, 256, 259):
        single = backbone.encode_text([texts[row]])[0]
        torch.testing.assert_close(found[row], single, rtol=0, atol=ATOL)


def test_statistics_are_clips_own_or_those_of_imagenet() -> None:
    own = make().input
    assert own.mean == (0.48145466, 0.4578275, 0.40821073)
    assert own.std == (0.26862954, 0.26130258, 0.27577711)
    assert own.size == (32, 32) and own.interpolation == 'bicubic'
    config = BackboneConfig(name='tiny', statistics='imagenet', image_size=48)
    imagenet = make(config).input
    assert imagenet.mean == (0.485, 0.456, 0.406) and imagenet.size == (48, 48)
    with pytest.raises(ValueError, match='image_size is 50, but tiny takes multiples of 8'):
        make(BackboneConfig(name='tiny', image_size=50))


def test_gradients_flow_when_asked_for_and_the_model_stays_in_eval_mode() -> None:
    backbone = make()
    assert not any(weight.requires_grad for weight in backbone.parameters())
    backbone.requires_grad_(True).train()
    assert not any(module.training for module in backbone.modules())
    backbone.encode_image(images(1)).sum().backward()
    backbone.encode_text(['riding']).sum().backward()
    without = {key for key, weight in backbone.named_parameters() if weight.grad is None}
    assert without == {'model.logit_scale'}


@pytest.fixture
def tiny_clip(tmp_path: Path) -> str:
    """An architecture that open_clip knows by the name 'tiny-clip'; nobody published weights."""
    folder = tmp_path / 'architectures'
    folder.mkdir()
    content = {'embed_dim': 24, 'vision_cfg': VIT, 'text_cfg': TEXT}
    (folder / 'tiny-clip.json').write_text(json.dumps(content))
    open_clip.add_model_config(folder)
    return 'open_clip:tiny-clip'


@pytest.mark.parametrize('where', ['', 'open_clip_model.safetensors', 'weights.pt'])
def test_local_weights_are_loaded(tiny_clip: str, tmp_path: Path, where: str) -> None:
    random = build_backbone(BackboneConfig(name=tiny_clip, weights='random', seed=3))
    weights = random.model.state_dict()
    save_file(weights, tmp_path / 'open_clip_model.safetensors')
    torch.save(weights, tmp_path / 'weights.pt')
    config = BackboneConfig(name=tiny_clip, weights=str(tmp_path / where))
    loaded = build_backbone(config)
    assert fingerprint(loaded) == fingerprint(random)
    picture = [np.full((20, 30, 3), 200, np.uint8)]
    found = loaded.encode_image(loaded.prepare(picture))
    assert torch.equal(found, random.encode_image(random.prepare(picture)))
    other = build_backbone(BackboneConfig(name=tiny_clip, weights='random', seed=4))
    assert fingerprint(other) != fingerprint(random)


def test_what_is_no_weights_of_the_model_is_one_sentence(tiny_clip: str, tmp_path: Path) -> None:
    wrong = tmp_path / 'wrong.safetensors'
    save_file({'some.weight': torch.zeros(3)}, wrong)
    for file in (wrong, tmp_path / 'architectures'):
        with pytest.raises(ValueError, match=f'{file} holds no weights of tiny-clip') as caught:
            build_backbone(BackboneConfig(name=tiny_clip, weights=str(file)))
        assert '\n' not in str(caught.value)
    with pytest.raises(FileNotFoundError, match='no such file or folder of weights'):
        build_backbone(BackboneConfig(name=tiny_clip, weights=str(tmp_path / 'absent.pt')))
    with pytest.raises(ValueError, match='no weights of tiny-clip are published: give a file'):
        build_backbone(BackboneConfig(name=tiny_clip))


@pytest.mark.parametrize(
    ('name', 'sentence'),
    [
        ('open_clip:ViT-B16', "unknown open_clip architecture 'ViT-B16': did you mean 'ViT-B-16'"),
        ('open_clip:ViT-B-16@openia', "unknown tag of ViT-B-16 'openia': did you mean 'openai'"),
        ('open_clip:ViT-B-16', 'expected open_clip:ViT-B-16@TAG, where TAG is one of openai, '),
    ],
)
def test_a_wrong_name_is_one_sentence(name: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        build_backbone(BackboneConfig(name=name))


def test_a_missing_network_says_what_to_download(monkeypatch: pytest.MonkeyPatch) -> None:
    hub = pytest.importorskip('huggingface_hub')
    monkeypatch.setattr(hub.constants, 'HF_HUB_OFFLINE', True)
    wanted = 'hf download timm/vit_base_patch16_clip_224.openai --local-dir FOLDER'
    with pytest.raises(ConnectionError, match=wanted) as caught:
        build_backbone(BackboneConfig(name='clip-vit-b16'))
    assert '\n' not in str(caught.value)


@pytest.fixture
def foreign_texts(tmp_path: Path) -> str:
    """A tiny architecture whose tokenizer is on the hub, as those of SigLIP are."""
    text = {**TEXT, 'vocab_size': 8, 'context_length': 6, 'hf_tokenizer_name': 'nobody/tokenizer'}
    content = {'embed_dim': 24, 'vision_cfg': VIT, 'text_cfg': text}
    (tmp_path / 'tiny-foreign.json').write_text(json.dumps(content))
    open_clip.add_model_config(tmp_path)
    return 'open_clip:tiny-foreign'


def test_a_tokenizer_that_cannot_be_had_is_one_sentence(
    foreign_texts: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = pytest.importorskip('huggingface_hub')
    monkeypatch.setattr(hub.constants, 'HF_HUB_OFFLINE', True)
    backbone = build_backbone(BackboneConfig(name=foreign_texts, weights='random'))
    assert backbone.encode_image(torch.zeros(1, 3, 32, 32)).shape == (1, 24, 4, 4)
    with pytest.raises(ConnectionError, match='hf download nobody/tokenizer') as caught:
        backbone.encode_text(['riding'])
    assert '\n' not in str(caught.value)


def test_a_downloaded_folder_brings_its_tokenizer(foreign_texts: str, tmp_path: Path) -> None:
    tokenizers = pytest.importorskip('tokenizers')
    transformers = pytest.importorskip('transformers')
    folder = tmp_path / 'downloaded'
    words = {'<pad>': 0, '<unk>': 1, 'riding': 2, 'holding': 3}
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token='<unk>'))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token='<pad>', unk_token='<unk>'
    )
    fast.save_pretrained(folder)
    architecture = open_clip.get_model_config('tiny-foreign')
    (folder / 'open_clip_config.json').write_text(json.dumps({'model_cfg': architecture}))
    random = build_backbone(BackboneConfig(name=foreign_texts, weights='random'))
    save_file(random.model.state_dict(), folder / 'open_clip_model.safetensors')
    backbone = build_backbone(BackboneConfig(name=foreign_texts, weights=str(folder)))
    tokens = torch.tensor([[3, 2, 0, 0, 0, 0]])
    expected = random.model.encode_text(tokens, normalize=True)
    assert torch.equal(backbone.encode_text(['holding riding']), expected)


@pytest.mark.parametrize(
    ('name', 'width', 'cells'),
    [
        ('clip-vit-b16', 512, 14),
        ('clip-vit-b32', 512, 7),
        ('clip-vit-l14', 768, 16),
        ('clip-vit-l14-336', 768, 24),
    ],
)
def test_the_full_size_models_give_maps_of_the_papers_shape(
    name: str, width: int, cells: int
) -> None:
    """On the device 'meta', where tensors have shapes and no values."""
    settings = open_clip.get_model_config(BACKBONES[name].architecture)
    with torch.device('meta'), torch.inference_mode():
        model = open_clip.CLIP(**settings)
        backbone = OpenClip(name, model, BackboneConfig(name=name)).freeze()
        found = backbone.encode_image(torch.zeros(1, 3, *backbone.input.size))
    assert found.shape == (1, width, cells, cells) and backbone.text_width == width


@pytest.mark.slow
def test_a_full_size_vit_b16() -> None:
    backbone = build_backbone(BackboneConfig(name='clip-vit-b16', weights='random'))
    prepared = backbone.prepare([np.zeros((48, 64, 3), np.uint8)])
    assert backbone.encode_image(prepared).shape == (1, 512, 14, 14)
    assert 'QuickGELU' in repr(backbone.model.visual)
