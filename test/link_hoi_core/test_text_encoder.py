"""Which encoder a model's texts go through, and that they come out as unit vectors."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from link_hoi_core.backbones import BackboneConfig, build_backbone
from link_hoi_core.checkpoint import build_model
from link_hoi_core.model.link import LinkConfig
from link_hoi_core.text_encoder import embed_texts
from link_hoi_core.vocabulary import load_vocabulary, text_embeddings

TEXTS = ['a photo of a person is riding the object', 'a photo of a person is holding the object']
TIMM = 'timm:test_vit.r160_in1k'


@pytest.fixture
def tiny_clip(tmp_path: Path) -> str:
    """An architecture with a text side that builds in no time; nobody published weights."""
    open_clip = pytest.importorskip('open_clip')
    content = {
        'embed_dim': 24,
        'vision_cfg': {
            'image_size': 32,
            'layers': 1,
            'width': 32,
            'head_width': 16,
            'patch_size': 8,
        },
        'text_cfg': {
            **{'context_length': 77, 'vocab_size': 49408},
            **{'width': 16, 'heads': 2, 'layers': 1},
        },
    }
    (tmp_path / 'tiny-text.json').write_text(json.dumps(content))
    open_clip.add_model_config(tmp_path)
    return 'open_clip:tiny-text'


def unit(found: torch.Tensor, width: int) -> None:
    assert found.shape == (len(TEXTS), width) and found.dtype == torch.float32
    torch.testing.assert_close(found.norm(dim=-1), torch.ones(len(TEXTS)), rtol=0, atol=1e-5)
    assert not torch.allclose(found[0], found[1]) and not found.requires_grad


@pytest.mark.parametrize(
    'config', [BackboneConfig(), BackboneConfig(TIMM, weights='random', text='minilm')]
)
def test_minilm(config: BackboneConfig) -> None:
    found = embed_texts(TEXTS, config, None)
    unit(found, 384)
    torch.testing.assert_close(found, torch.from_numpy(text_embeddings(TEXTS)), rtol=0, atol=0)


def test_the_backbones_own_text_side_with_its_template(tiny_clip: str) -> None:
    config = BackboneConfig(tiny_clip, weights='random', seed=3)
    backbone = build_backbone(config)
    found = embed_texts(TEXTS, config, backbone)
    unit(found, 24)
    torch.testing.assert_close(found, backbone.encode_text(TEXTS), rtol=0, atol=1e-6)
    backbone.prompt_template = 'this is {}.'
    worded = backbone.encode_text([f'this is {text}.' for text in TEXTS])
    torch.testing.assert_close(embed_texts(TEXTS, config, backbone), worded, rtol=0, atol=1e-6)


def test_texts_come_out_in_single_precision(tiny_clip: str) -> None:
    config = BackboneConfig(tiny_clip, weights='random', seed=3)
    low = embed_texts(TEXTS, config, build_backbone(config).to(torch.bfloat16))
    assert low.dtype == torch.float32
    full = embed_texts(TEXTS, config, build_backbone(config))
    torch.testing.assert_close(low, full, rtol=0, atol=0.02)


def test_another_models_text_side(tiny_clip: str) -> None:
    """A backbone without texts, DINO for one, borrows those of a CLIP."""
    pytest.importorskip('timm')
    config = BackboneConfig(TIMM, weights='random', image_size=64, text=tiny_clip, seed=3)
    found = embed_texts(TEXTS, config, build_backbone(config))
    unit(found, 24)
    lender = build_backbone(BackboneConfig(tiny_clip, weights='random', seed=3))
    torch.testing.assert_close(found, lender.encode_text(TEXTS), rtol=0, atol=1e-6)


def test_local_weights_are_those_of_the_backbone_alone(tiny_clip: str, tmp_path: Path) -> None:
    (tmp_path / 'dino.safetensors').write_bytes(b'of something else')
    config = BackboneConfig(TIMM, weights=str(tmp_path / 'dino.safetensors'), text=tiny_clip)
    with pytest.raises((ValueError, ConnectionError)) as error:
        embed_texts(TEXTS, config, None)
    assert 'tiny-text' in str(error.value) and 'dino.safetensors' not in str(error.value)
    assert '\n' not in str(error.value)


def test_no_text_side_is_one_sentence() -> None:
    pytest.importorskip('timm')
    config = BackboneConfig(TIMM, weights='random')
    with pytest.raises(ValueError, match='timm:test_vit.r160_in1k has no text side: set text to'):
        embed_texts(TEXTS, config, build_backbone(config))


def test_no_such_encoder_gives_the_nearest() -> None:
    config = BackboneConfig(TIMM, weights='random', text='clip-vit-b61')
    with pytest.raises(ValueError, match="unknown backbone 'clip-vit-b61': did you mean"):
        embed_texts(TEXTS, config, None)


def test_a_models_classifier_begins_as_its_verbs_prompts(tiny_clip: str) -> None:
    config = BackboneConfig(tiny_clip, weights='random', seed=3)
    model, backbone = build_model(LinkConfig(width=32, vocabulary='v-coco', backbone=config))
    prompts = load_vocabulary('v-coco').verb_prompts
    expected = backbone.encode_text(prompts)
    assert expected.shape == (24, 24)
    torch.testing.assert_close(model.head.verbs.data, expected, rtol=0, atol=1e-6)
