"""timm models as backbones, on the tiny ones that timm itself tests with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional

from link_hoi_core.backbones import BackboneConfig, build_backbone
from link_hoi_core.backbones.timm import Timm

timm = pytest.importorskip('timm')

VIT, CNN = 'timm:test_vit.r160_in1k', 'timm:test_resnet.r160_in1k'


def build(name: str, **options: object) -> Timm:
    return build_backbone(BackboneConfig(name=name, weights='random', **options))


def images(backbone: Timm, count: int, height: int = 96, width: int = 128) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    weight = next(backbone.parameters())
    return torch.randn(count, 3, height, width, generator=generator, dtype=weight.dtype)


@pytest.mark.parametrize(
    'name',
    [
        'test_vit',
        'test_vit2',
        'test_vit3',
        'test_byobnet',
        'test_convnext',
        'test_efficientnet',
        'test_mambaout',
        'test_nfnet',
        'test_resnet',
    ],
)
def test_a_map_has_the_width_and_stride_that_the_backbone_says(name: str) -> None:
    backbone = build(f'timm:{name}')
    batch = images(backbone, 2)
    found = backbone.encode_image(batch)
    assert found.shape == (2, backbone.width, 96 // backbone.stride, 128 // backbone.stride)
    assert found.isfinite().all() and not found.requires_grad


@pytest.mark.parametrize('name', [VIT, CNN])
def test_a_batch_gives_what_single_images_give(name: str) -> None:
    backbone = build(name).double()
    batch = images(backbone, 3)
    singles = torch.cat([backbone.encode_image(image[None]) for image in batch])
    torch.testing.assert_close(backbone.encode_image(batch), singles, rtol=0, atol=1e-10)


@pytest.mark.parametrize(('height', 'width'), [(160, 160), (96, 192)])
def test_a_vit_gives_its_last_tokens_after_the_norm_without_the_class_token(
    height: int, width: int
) -> None:
    backbone = build(VIT).double()
    model, batch = backbone.model, images(backbone, 2, height, width)
    grid = (height // 16, width // 16)
    known = model.pos_embed[:, 1:].transpose(1, 2).reshape(1, 64, 10, 10)
    positions = functional.interpolate(known, grid, mode='bicubic', antialias=True)
    cells = (model.patch_embed.proj(batch) + positions).flatten(2).transpose(1, 2)
    first = (model.cls_token + model.pos_embed[:, :1]).expand(2, -1, -1)
    tokens = torch.cat([first, cells], dim=1)
    for block in model.blocks:
        tokens = block(tokens)
    expected = model.norm(tokens)[:, 1:].transpose(1, 2).reshape(2, 64, *grid)
    # timm interpolates in single precision
    tolerance = 1e-12 if grid == (10, 10) else 1e-6
    torch.testing.assert_close(backbone.encode_image(batch), expected, rtol=0, atol=tolerance)


def test_a_cnn_gives_the_last_map_of_its_feature_extractor() -> None:
    backbone = build(CNN)
    extractor = timm.create_model('test_resnet', features_only=True).eval()
    extractor.load_state_dict(backbone.model.state_dict())
    batch = images(backbone, 2)
    torch.testing.assert_close(backbone.encode_image(batch), extractor(batch)[-1])


def test_the_input_is_as_the_model_was_pretrained() -> None:
    wanted = build(CNN).input
    assert wanted.size == (160, 160) and wanted.interpolation == 'bilinear'
    assert wanted.mean == (0.5, 0.5, 0.5) and wanted.std == (0.5, 0.5, 0.5)
    lite = build('timm:efficientnet_lite0')
    assert (lite.width, lite.stride) == (320, 32)
    imagenet = build(CNN, statistics='imagenet', image_size=64).input
    assert imagenet.size == (64, 64) and imagenet.mean == (0.485, 0.456, 0.406)


@pytest.mark.parametrize('name', ['timm:test_vit_relpos', 'timm:test_maxvit', 'timm:test_vit'])
def test_any_model_can_be_built_for_another_size(name: str) -> None:
    backbone = build(name, image_size=192)
    prepared = backbone.prepare([np.zeros((20, 30, 3), np.uint8)])
    cells = 192 // backbone.stride
    assert backbone.encode_image(prepared).shape == (1, backbone.width, cells, cells)


def test_a_model_of_a_fixed_size_says_so() -> None:
    backbone = build('timm:test_vit_relpos')
    with pytest.raises(ValueError, match='160 x 160 and met one of 128 x 96: set image_size'):
        backbone.encode_image(images(backbone, 1))


def test_a_size_that_is_no_multiple_of_the_stride_is_an_error() -> None:
    with pytest.raises(ValueError, match='takes multiples of 16, such as 96 or 112'):
        build(VIT, image_size=100)
    with pytest.raises(ValueError, match='multiples of 16'):
        build(VIT).encode_image(torch.zeros(1, 3, 96, 100))


def test_it_has_no_text_side() -> None:
    backbone = build(VIT)
    assert backbone.text_width is None
    with pytest.raises(ValueError, match='no text side: set text to'):
        backbone.encode_text(['riding'])
    with pytest.raises(ValueError, match='does not compare images with texts'):
        backbone.embed_image(images(backbone, 1))


def test_gradients_flow_when_asked_for_and_the_model_stays_in_eval_mode() -> None:
    backbone = build(CNN)
    assert not any(weight.requires_grad for weight in backbone.parameters())
    backbone.requires_grad_(True).train()
    assert not any(module.training for module in backbone.modules())
    backbone.encode_image(images(backbone, 1)).sum().backward()
    assert all(weight.grad is not None for weight in backbone.parameters())


@pytest.fixture
def local(tmp_path: Path) -> tuple[Path, dict[str, torch.Tensor]]:
    """A folder as a user downloads it, and the weights in it, with a classifier."""
    torch.manual_seed(5)
    weights = timm.create_model('test_vit').state_dict()
    save_file(weights, tmp_path / 'model.safetensors')
    torch.save(weights, tmp_path / 'weights.pth')
    return tmp_path, weights


@pytest.mark.parametrize('where', ['', 'model.safetensors', 'weights.pth'])
def test_local_weights_are_loaded(local: tuple[Path, dict[str, torch.Tensor]], where: str) -> None:
    folder, weights = local
    config = BackboneConfig(name=VIT, weights=str(folder / where))
    found = build_backbone(config).model.state_dict()
    assert 'head.weight' not in found
    assert all(torch.equal(value, weights[key]) for key, value in found.items())


def test_weights_of_another_model_are_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / 'other.safetensors'
    save_file({'some.weight': torch.zeros(3)}, file)
    with pytest.raises(ValueError, match='holds no weights of timm/test_vit') as caught:
        build_backbone(BackboneConfig(name=VIT, weights=str(file)))
    assert '\n' not in str(caught.value)


def test_a_missing_network_says_what_to_download(monkeypatch: pytest.MonkeyPatch) -> None:
    hub = pytest.importorskip('huggingface_hub')
    monkeypatch.setattr(hub.constants, 'HF_HUB_OFFLINE', True)
    with pytest.raises(ConnectionError, match='hf download timm/test_vit.r160_in1k --local-dir'):
        build_backbone(BackboneConfig(name=VIT))


def test_an_unknown_model_is_answered_with_the_nearest() -> None:
    with pytest.raises(ValueError, match="unknown timm model 'tset_vit': did you mean 'test_vit'"):
        build('timm:tset_vit')
