"""Backbones by name: built lazily, frozen, the same weights for the same configuration."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest
import torch

from link_hoi_core.backbones import BACKBONES, BackboneConfig, build_backbone, fingerprint

pytest.importorskip('timm')

SMALL = BackboneConfig(name='timm:test_vit.r160_in1k', weights='random')


def seeded(seed: int, **options: object) -> BackboneConfig:
    return BackboneConfig(name=SMALL.name, weights='random', seed=seed, **options)


def test_none_is_no_backbone() -> None:
    assert build_backbone(BackboneConfig()) is None


def test_the_registry_imports_no_model_library() -> None:
    code = (
        'import sys, link_hoi_core.backbones\n'
        "libraries = {'timm', 'open_clip', 'transformers', 'torchvision'}\n"
        'print(sorted(libraries & set(sys.modules)))'
    )
    ran = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == '[]'


@pytest.mark.parametrize('name', BACKBONES)
def test_every_row_names_a_family_that_builds_it(name: str) -> None:
    row = BACKBONES[name]
    family = importlib.import_module(f'link_hoi_core.backbones.{row.family}')
    assert callable(family.build)
    assert row.architecture and row.repository and row.size


@pytest.mark.parametrize('name', [name for name in BACKBONES if not name.startswith('clip-')])
def test_the_full_size_model_takes_the_size_of_its_row(name: str) -> None:
    """On the device 'meta', where tensors have shapes and no values."""
    pytest.importorskip('transformers')
    with torch.device('meta'), torch.inference_mode():
        backbone = build_backbone(BackboneConfig(name=name, weights='random'))
        found = backbone.encode_image(torch.zeros(1, 3, *backbone.input.size))
    assert backbone.input.size == (BACKBONES[name].size,) * 2
    cells = BACKBONES[name].size // backbone.stride
    assert found.shape == (1, backbone.width, cells, cells)


def test_open_clip_rows_are_models_that_open_clip_publishes() -> None:
    library = pytest.importorskip('open_clip')
    rows = [row for row in BACKBONES.values() if row.family == 'open_clip']
    for row in rows:
        assert row.repository in library.list_pretrained_tags_by_model(row.architecture)
        assert library.get_model_config(row.architecture)['vision_cfg']['image_size'] == row.size
    assert len(rows) == 4


@pytest.mark.parametrize(
    ('name', 'nearest'),
    [('clip-vitb16', 'clip-vit-b16'), ('DINOv2-L', 'dinov2-l'), ('non', 'none')],
)
def test_an_unknown_name_is_answered_with_the_nearest(name: str, nearest: str) -> None:
    with pytest.raises(ValueError, match=f"unknown backbone '{name}': did you mean '{nearest}'"):
        build_backbone(BackboneConfig(name=name))


def test_the_same_configuration_gives_the_same_weights() -> None:
    first, second = build_backbone(SMALL).state_dict(), build_backbone(SMALL).state_dict()
    assert all(torch.equal(value, second[key]) for key, value in first.items())
    other = build_backbone(seeded(1)).state_dict()
    assert not torch.equal(first['model.pos_embed'], other['model.pos_embed'])


def test_the_callers_random_state_is_left_alone() -> None:
    before = torch.get_rng_state()
    build_backbone(SMALL)
    assert torch.equal(torch.get_rng_state(), before)


def test_it_comes_frozen_on_the_cpu_in_float32() -> None:
    backbone = build_backbone(SMALL)
    assert {(weight.dtype, weight.device.type) for weight in backbone.parameters()} == {
        (torch.float32, 'cpu')
    }
    assert not any(weight.requires_grad for weight in backbone.parameters())
    assert not any(module.training for module in backbone.train().modules())


def test_a_fingerprint_tells_weights_apart() -> None:
    backbone = build_backbone(SMALL)
    same = fingerprint(backbone)
    assert same == fingerprint(build_backbone(SMALL)) and len(same) == 16
    assert same == fingerprint(build_backbone(seeded(0, image_size=96, statistics='imagenet')))
    assert same == fingerprint(backbone.double())
    assert same != fingerprint(build_backbone(seeded(1)))
    assert same != fingerprint(build_backbone(BackboneConfig('timm:test_vit2', 'random')))


def test_a_fingerprint_sees_every_parameter_and_buffer() -> None:
    backbone = build_backbone(BackboneConfig('timm:test_resnet', 'random'))
    known = {fingerprint(backbone)}
    for value in backbone.state_dict().values():
        value.view(-1)[0] += 1
        known.add(fingerprint(backbone))
    assert len(known) == 1 + len(backbone.state_dict())


@pytest.mark.parametrize(
    ('key', 'value'), [('feature_space', 'text'), ('statistics', 'clip'), ('image_size', 0)]
)
def test_a_wrong_setting_is_one_sentence(key: str, value: object) -> None:
    with pytest.raises(ValueError, match=f'{key} is '):
        BackboneConfig(**{key: value})
