"""DINO and DINOv2: patch tokens laid out as they lie in the image, at any size, from any source."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from link_hoi_core.backbones.backbone import BackboneConfig
from link_hoi_core.backbones.dino import Dino, build

transformers = pytest.importorskip('transformers')

SHAPE = {'hidden_size': 32, 'num_hidden_layers': 2, 'num_attention_heads': 4}
DINO = ('dino-b16-448', 'dino-base', 'facebook/dino-vitb16')
DINOV2 = ('dinov2-b', 'dinov2-base', 'facebook/dinov2-base')


def small(kind: str) -> nn.Module:
    """An untrained ViT of 4 x 4 patches, float64."""
    torch.manual_seed(0)
    if kind == 'dino':
        config = transformers.ViTConfig(**SHAPE, intermediate_size=64, image_size=64, patch_size=16)
        model = transformers.ViTModel(config, add_pooling_layer=False)
    elif kind == 'dinov2':
        model = transformers.Dinov2Model(transformers.Dinov2Config(**SHAPE, image_size=56))
    else:
        config = transformers.Dinov2WithRegistersConfig(**SHAPE, image_size=56)
        model = transformers.Dinov2WithRegistersModel(config)
    return model.double()


def backbone(kind: str, **changes: object) -> Dino:
    return Dino(kind, small(kind), BackboneConfig(kind, **changes)).freeze()


def images(count: int, height: int, width: int) -> Tensor:
    return torch.randn(
        count, 3, height, width, generator=torch.Generator().manual_seed(1), dtype=torch.float64
    )


@pytest.mark.parametrize(('kind', 'others'), [('dino', 1), ('dinov2', 1), ('registers', 5)])
def test_map_is_the_patch_tokens_row_by_row(kind: str, others: int) -> None:
    model = backbone(kind)
    side = model.stride
    batch = images(2, 3 * side, 5 * side)
    options = {'interpolate_pos_encoding': True} if kind == 'dino' else {}
    tokens = model.model(pixel_values=batch, **options).last_hidden_state
    found = model.encode_image(batch)
    assert found.shape == (2, 32, 3, 5)
    assert model.width == 32 and tokens.shape[1] == others + 15
    for row in range(3):
        for column in range(5):
            assert torch.equal(found[:, :, row, column], tokens[:, others + row * 5 + column])


@pytest.mark.parametrize('kind', ['dino', 'dinov2'])
def test_a_cell_sees_most_of_the_pixels_at_its_own_place(kind: str) -> None:
    model = backbone(kind)
    side = model.stride
    batch = images(1, 3 * side, 5 * side)
    changed = batch.clone()
    changed[:, :, side : 2 * side, 4 * side :] += 5
    difference = (model.encode_image(changed) - model.encode_image(batch)).norm(dim=1)[0]
    assert difference.argmax() == 1 * 5 + 4


@pytest.mark.parametrize('kind', ['dino', 'dinov2'])
def test_a_batch_gives_what_single_images_give(kind: str) -> None:
    model = backbone(kind)
    batch = images(3, 3 * model.stride, 5 * model.stride)
    singles = torch.cat([model.encode_image(image[None]) for image in batch])
    torch.testing.assert_close(model.encode_image(batch), singles, rtol=0, atol=1e-10)


def test_native_size_uses_the_position_embeddings_as_they_are() -> None:
    model = backbone('dino')
    batch = images(1, *model.input.size)
    tokens = model.model(batch, interpolate_pos_encoding=False).last_hidden_state[:, 1:]
    assert torch.equal(model.encode_image(batch).flatten(2).mT, tokens)


@pytest.mark.parametrize('kind', ['dino', 'dinov2'])
def test_position_embeddings_are_interpolated_between_their_places(kind: str) -> None:
    """A ramp from top to bottom stays one, in more steps: nothing is turned or shuffled."""
    model = backbone(kind)
    embeddings = model.model.embeddings
    ramp = torch.arange(4.0).double()[:, None, None].expand(4, 4, 32).reshape(1, 16, 32)
    embeddings.position_embeddings.data[:, 1:] = ramp
    tokens = torch.zeros(1, 1 + 8 * 6, 32)
    found = embeddings.interpolate_pos_encoding(tokens, 8 * model.stride, 6 * model.stride)
    rows = found[0, 1:].reshape(8, 6, 32)
    assert (rows[1:] > rows[:-1]).all()
    torch.testing.assert_close(rows, rows[:, :1].expand(8, 6, 32), rtol=0, atol=1e-5)


@pytest.mark.parametrize('kind', ['dino', 'dinov2'])
def test_sides_are_multiples_of_the_patch(kind: str) -> None:
    model = backbone(kind)
    with pytest.raises(ValueError, match=f'multiples of {model.stride}'):
        model.encode_image(images(1, model.stride + 1, model.stride))


def test_it_is_frozen_until_gradients_are_asked_for() -> None:
    model = backbone('dinov2')
    assert not model.encode_image(images(1, 28, 28)).requires_grad
    model.requires_grad_(True).encode_image(images(1, 28, 28))[:, 0].sum().backward()
    assert model.model.embeddings.patch_embeddings.projection.weight.grad.abs().sum() > 1e-3


def test_input_is_as_published_unless_the_configuration_says_otherwise() -> None:
    model = backbone('dinov2')
    assert (model.stride, model.input.size) == (14, (56, 56))
    assert model.input.mean == (0.485, 0.456, 0.406) and model.input.std == (0.229, 0.224, 0.225)
    assert backbone('dino', image_size=448).input.size == (448, 448)
    assert model.text_width is None
    with pytest.raises(ValueError, match='no text side'):
        model.encode_text(['a cup'])


@pytest.mark.parametrize(('kind', 'row'), [('dino', DINO), ('dinov2', DINOV2)])
def test_weights_load_from_a_folder(kind: str, row: tuple[str, str, str], tmp_path: Path) -> None:
    model = small(kind).float()
    model.save_pretrained(tmp_path)
    config = BackboneConfig(row[0], str(tmp_path))
    batch = images(1, 112, 112).float()
    found = build(*row, config).freeze().encode_image(batch)
    assert torch.equal(found, Dino(row[0], model, config).freeze().encode_image(batch))


def test_published_names_of_tensors_load(tmp_path: Path) -> None:
    """The hub's facebook/dino-vitb16 has the names that transformers gave its ViT until 2025."""
    model = small('dino').float()
    model.save_pretrained(tmp_path)
    names = load_file(tmp_path / 'model.safetensors')
    assert 'encoder.layer.0.attention.attention.query.weight' in names
    config = BackboneConfig(DINO[0], str(tmp_path))
    found = build(*DINO, config).model.state_dict()
    assert all(torch.equal(value, found[key]) for key, value in model.state_dict().items())


def test_weights_of_another_model_are_named(tmp_path: Path) -> None:
    small('dino').float().save_pretrained(tmp_path)
    with pytest.raises(ValueError, match='dinov2-base: it is of type vit, expected dinov2'):
        build(*DINOV2, BackboneConfig(DINOV2[0], str(tmp_path)))


def test_a_lacking_tensor_is_one_sentence_and_not_a_random_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    small('dinov2').float().save_pretrained(tmp_path)
    weights = load_file(tmp_path / 'model.safetensors')
    del weights['layernorm.weight']
    save_file(weights, tmp_path / 'model.safetensors', {'format': 'pt'})
    with pytest.raises(ValueError, match='lacks 1 tensors, such as layernorm.weight'):
        build(*DINOV2, BackboneConfig(DINOV2[0], str(tmp_path)))
    assert not caplog.records


def test_a_tensor_of_another_shape_is_an_error(tmp_path: Path) -> None:
    small('dinov2').float().save_pretrained(tmp_path)
    weights = load_file(tmp_path / 'model.safetensors')
    weights['layernorm.weight'] = torch.zeros(16)
    save_file(weights, tmp_path / 'model.safetensors', {'format': 'pt'})
    with pytest.raises(ValueError, match='holds no weights of facebook/dinov2-base'):
        build(*DINOV2, BackboneConfig(DINOV2[0], str(tmp_path)))


def test_pickled_weights_are_refused(tmp_path: Path) -> None:
    model = small('dinov2').float()
    model.config.save_pretrained(tmp_path)
    torch.save(model.state_dict(), tmp_path / 'pytorch_model.bin')
    with pytest.raises(ValueError, match='model.safetensors'):
        build(*DINOV2, BackboneConfig(DINOV2[0], str(tmp_path)))


def test_a_file_of_weights_is_refused_with_what_is_expected(tmp_path: Path) -> None:
    small('dinov2').float().save_pretrained(tmp_path)
    with pytest.raises(ValueError, match='expected a folder with config.json'):
        build(*DINOV2, BackboneConfig(DINOV2[0], str(tmp_path / 'model.safetensors')))


@pytest.mark.parametrize(
    ('architecture', 'millions', 'width', 'size'),
    [
        ('dinov2-base', 86.6, 768, 518),  # DINOv2's model card: 86 M and 300 M
        ('dinov2-large', 304.4, 1024, 518),
        ('dino-base', 85.8, 768, 224),  # DINO's README: 85 M
    ],
)
def test_full_size_is_the_published_one(
    architecture: str, millions: float, width: int, size: int
) -> None:
    with torch.device('meta'):
        model = build('it', architecture, 'no/where', BackboneConfig('it', 'random'))
    assert sum(value.numel() for value in model.parameters()) / 1e6 == pytest.approx(
        millions, abs=0.05
    )
    assert (model.width, model.input.size) == (width, (size, size))
