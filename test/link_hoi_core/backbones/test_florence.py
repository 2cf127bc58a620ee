"""Florence-2's image tower: the map of its last stage, from a tower or from the whole model."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from link_hoi_core.backbones.backbone import BackboneConfig
from link_hoi_core.backbones.florence import Florence, build

transformers = pytest.importorskip('transformers')

ROW = ('florence2-b', 'florence2-base', 'florence-community/Florence-2-base')
TOWER = {
    'embed_dim': (8, 16, 24, 32),
    'num_heads': (2, 2, 2, 4),
    'num_groups': (2, 2, 2, 4),
    'depths': (1, 1, 1, 1),
    'window_size': 3,
    'projection_dim': 16,
}


def tower() -> nn.Module:
    """An untrained DaViT with the published strides and tiny widths, float64."""
    torch.manual_seed(0)
    config = transformers.Florence2VisionConfig(**TOWER)
    return transformers.Florence2VisionBackbone(config).double()


def whole_model() -> nn.Module:
    """An untrained Florence-2 as it is published, language model and all, float32."""
    torch.manual_seed(0)
    language = {'d_model': 16, 'encoder_layers': 1, 'decoder_layers': 1, 'vocab_size': 100}
    heads = {f'{side}_attention_heads': 2 for side in ('encoder', 'decoder')}
    widths = {f'{side}_ffn_dim': 16 for side in ('encoder', 'decoder')}
    config = transformers.Florence2Config(
        vision_config=TOWER,
        text_config={'model_type': 'bart', **language, **heads, **widths},
        image_token_id=99,
    )
    return transformers.Florence2ForConditionalGeneration(config)


def backbone(**changes: object) -> Florence:
    return Florence('florence2-b', tower(), BackboneConfig('florence2-b', **changes)).freeze()


def images(count: int, height: int, width: int) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(count, 3, height, width, generator=generator, dtype=torch.float64)


def test_map_is_that_of_the_last_stage() -> None:
    model = backbone()
    batch = images(2, 96, 160)
    features = batch
    for stage, blocks in zip(model.model.convs, model.model.blocks):
        features = stage(features)
        for block in blocks:
            features = block(features)
    found = model.encode_image(batch)
    assert found.shape == (2, 32, 3, 5)
    assert (model.stride, model.width) == (32, 32)
    assert torch.equal(found, features)


def test_a_cell_sees_most_of_the_pixels_at_its_own_place() -> None:
    model = backbone()
    batch = images(1, 96, 160)
    changed = batch.clone()
    changed[:, :, :32, 128:] += 5
    difference = (model.encode_image(changed) - model.encode_image(batch)).norm(dim=1)[0]
    assert difference.argmax() == 4


def test_a_batch_gives_what_single_images_give() -> None:
    model = backbone()
    batch = images(3, 96, 160)
    singles = torch.cat([model.encode_image(image[None]) for image in batch])
    torch.testing.assert_close(model.encode_image(batch), singles, rtol=0, atol=1e-10)


def test_sides_are_multiples_of_the_stride() -> None:
    with pytest.raises(ValueError, match='multiples of 32'):
        backbone().encode_image(images(1, 48, 32))
    with pytest.raises(ValueError, match='image_size is 100'):
        backbone(image_size=100)


def test_it_is_frozen_until_gradients_are_asked_for() -> None:
    model = backbone()
    assert not model.encode_image(images(1, 32, 32)).requires_grad
    model.requires_grad_(True).encode_image(images(1, 64, 64))[:, 0].sum().backward()
    assert model.model.convs[0].conv.weight.grad.abs().sum() > 1e-3


def test_input_is_as_published_unless_the_configuration_says_otherwise() -> None:
    model = backbone()
    assert model.input.size == (768, 768)
    assert model.input.mean == (0.485, 0.456, 0.406) and model.input.std == (0.229, 0.224, 0.225)
    assert backbone(image_size=384).input.size == (384, 384)
    assert model.text_width is None
    with pytest.raises(ValueError, match='no text side'):
        model.encode_text(['a cup'])


def test_the_tower_is_taken_out_of_published_weights(tmp_path: Path) -> None:
    model = whole_model()
    model.save_pretrained(tmp_path)
    config = BackboneConfig(ROW[0], str(tmp_path))
    found = build(*ROW, config).freeze()
    wanted = Florence(ROW[0], model.model.vision_tower, config).freeze()
    batch = images(1, 96, 160).float()
    assert torch.equal(found.encode_image(batch), wanted.encode_image(batch))
    assert not any('language' in key for key in found.state_dict())


@pytest.mark.parametrize(
    ('architecture', 'millions', 'width'),
    [('florence2-base', 90.4, 1024), ('florence2-large', 360.6, 2048)],
)
def test_full_size_is_the_published_one(architecture: str, millions: float, width: int) -> None:
    """90 M and 360 M in the table of architectures in the Florence-2 paper."""
    with torch.device('meta'):
        model = build('it', architecture, 'no/where', BackboneConfig('it', 'random'))
    count = sum(value.numel() for value in model.parameters())
    assert count / 1e6 == pytest.approx(millions, abs=0.05)
    assert (model.width, model.input.size) == (width, (768, 768))
