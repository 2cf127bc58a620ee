"""BLIP and BLIP-2: their patch tokens as a map, their texts and images in one space."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from link_hoi_core.backbones.backbone import BackboneConfig
from link_hoi_core.backbones.blip import Blip, Blip2, build

transformers = pytest.importorskip('transformers')

BLIP = ('blip-b-384', 'blip-base', 'Salesforce/blip-itm-base-coco')
BLIP2 = ('blip2-vit-g', 'blip2-vit-g', 'Salesforce/blip2-itm-vit-g')
SHAPE = {
    'hidden_size': 32,
    'intermediate_size': 64,
    'num_hidden_layers': 2,
    'num_attention_heads': 4,
}
IMAGES = {**SHAPE, 'initializer_range': 0.02}
WORDS = (
    *('[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]'),
    *('a', 'person', 'is', 'riding', 'holding', 'horse', 'cup', '[DEC]'),
)
TEXTS = {
    'vocab_size': len(WORDS),
    'max_position_embeddings': 16,
    'pad_token_id': 0,
}
SPECIAL = {'bos_token_id': len(WORDS) - 1, 'eos_token_id': 3, 'sep_token_id': 3}


def small_blip() -> nn.Module:
    """An untrained BLIP of 4 x 4 patches, with a shared space of 24 dimensions, float64."""
    torch.manual_seed(0)
    config = transformers.BlipConfig(
        vision_config={**IMAGES, 'image_size': 64, 'patch_size': 16},
        text_config={**SHAPE, **TEXTS, **SPECIAL},
        image_text_hidden_size=24,
    )
    return transformers.BlipForImageTextRetrieval(config).double()


def small_blip2() -> nn.Module:
    """An untrained BLIP-2 of 4 x 4 patches with 3 queries, float64."""
    torch.manual_seed(0)
    config = transformers.Blip2Config(
        vision_config={**IMAGES, 'image_size': 56, 'patch_size': 14},
        qformer_config={**SHAPE, **TEXTS, 'hidden_size': 16, 'use_qformer_text_input': True},
        num_query_tokens=3,
        image_text_hidden_size=24,
    )
    return transformers.Blip2ForImageTextRetrieval(config).double()


def make_tokenizer() -> object:
    return transformers.BertTokenizer(vocab={word: i for i, word in enumerate(WORDS)})


def blip(tokenizer: object = None, **changes: object) -> Blip:
    return Blip('blip-b-384', small_blip(), BackboneConfig('it', **changes), tokenizer).freeze()


def blip2(tokenizer: object = None, **changes: object) -> Blip2:
    return Blip2('blip2-vit-g', small_blip2(), BackboneConfig('it', **changes), tokenizer).freeze()


def images(count: int, height: int, width: int) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(count, 3, height, width, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize('make', [blip, blip2])
def test_map_is_the_patch_tokens_row_by_row(make: Callable[..., Blip | Blip2]) -> None:
    model = make(feature_space='width')
    batch = images(2, 3 * model.stride, 5 * model.stride)
    see = model.model.vision_model
    tokens = see(pixel_values=batch, interpolate_pos_encoding=True).last_hidden_state
    found = model.encode_image(batch)
    assert found.shape == (2, 32, 3, 5) and model.width == 32
    for row in range(3):
        for column in range(5):
            assert torch.equal(found[:, :, row, column], tokens[:, 1 + row * 5 + column])


def test_projected_map_is_the_projection_of_each_token() -> None:
    native, projected = blip(feature_space='width'), blip(feature_space='proj')
    batch = images(2, 48, 80)
    head = native.model.vision_proj
    wanted = torch.einsum('dc,bchw->bdhw', head.weight, native.encode_image(batch))
    wanted = wanted + head.bias[:, None, None]
    assert (projected.width, projected.text_width) == (24, 24)
    torch.testing.assert_close(projected.encode_image(batch), wanted)


def test_blip2_projects_no_single_token() -> None:
    model = blip2(feature_space='proj')
    assert (model.width, model.text_width) == (32, 24)
    batch = images(1, 56, 56)
    assert torch.equal(model.encode_image(batch), blip2(feature_space='width').encode_image(batch))
    with pytest.raises(ValueError, match='does not compare'):
        model.embed_image(batch)


@pytest.mark.parametrize('make', [blip, blip2])
def test_a_batch_gives_what_single_images_give(make: Callable[..., Blip | Blip2]) -> None:
    model = make()
    batch = images(3, 3 * model.stride, 5 * model.stride)
    singles = torch.cat([model.encode_image(image[None]) for image in batch])
    torch.testing.assert_close(model.encode_image(batch), singles, rtol=0, atol=1e-10)


@pytest.mark.parametrize('make', [blip, blip2])
def test_native_size_uses_the_position_embeddings_as_they_are(
    make: Callable[..., Blip | Blip2],
) -> None:
    model = make(feature_space='width')
    batch = images(1, *model.input.size)
    tokens = model.model.vision_model(pixel_values=batch).last_hidden_state[:, 1:]
    assert torch.equal(model.encode_image(batch).flatten(2).mT, tokens)


def test_blip_scores_images_and_texts_as_the_library_does() -> None:
    model = blip(make_tokenizer())
    batch = images(2, 64, 64)
    tokens = torch.tensor([[2, 6, 7, 8, 10, 3], [2, 9, 5, 11, 3, 0]])
    wanted = model.model(
        input_ids=tokens, attention_mask=tokens.ne(0).long(), pixel_values=batch, use_itm_head=False
    ).itm_score
    texts = model.encode_text(['person is riding horse', 'holding a cup'])
    torch.testing.assert_close(model.embed_image(batch) @ texts.T, wanted)
    torch.testing.assert_close(texts.norm(dim=1), torch.ones(2).double())


def test_blip2_embeds_texts_as_the_library_does() -> None:
    model = blip2(make_tokenizer())
    tokens = torch.tensor([[2, 6, 7, 8, 10, 3], [2, 9, 5, 11, 3, 0]])
    wanted = model.model(
        input_ids=tokens, attention_mask=tokens.ne(0).long(), pixel_values=images(2, 56, 56)
    ).text_embeds
    texts = model.encode_text(['person is riding horse', 'holding a cup'])
    assert texts.shape == (2, model.text_width)
    torch.testing.assert_close(texts, wanted)
    torch.testing.assert_close(texts.norm(dim=1), torch.ones(2).double())


@pytest.mark.parametrize('make', [blip, blip2])
def test_a_text_is_embedded_alone_as_among_others_and_cut_at_the_full_length(
    make: Callable[..., Blip | Blip2],
) -> None:
    model = make(make_tokenizer())
    texts = ['riding', 'a person is holding a cup', 'horse ' * 30]
    alone = torch.cat([model.encode_text([text]) for text in texts])
    torch.testing.assert_close(model.encode_text(texts), alone, rtol=0, atol=1e-10)


@pytest.mark.parametrize('make', [blip, blip2])
def test_without_a_tokenizer_there_is_one_sentence(make: Callable[..., Blip | Blip2]) -> None:
    with pytest.raises(ValueError, match='has no tokenizer: give weights') as error:
        make().encode_text(['a cup'])
    assert '\n' not in str(error.value)


@pytest.mark.parametrize('make', [blip, blip2])
def test_it_is_frozen_until_gradients_are_asked_for(make: Callable[..., Blip | Blip2]) -> None:
    model = make()
    batch = images(1, 2 * model.stride, 2 * model.stride)
    assert not model.encode_image(batch).requires_grad
    model.requires_grad_(True).encode_image(batch)[:, 0].sum().backward()
    assert model.model.vision_model.embeddings.patch_embedding.weight.grad.abs().sum() > 1e-3


def test_input_is_as_published_unless_the_configuration_says_otherwise() -> None:
    model = blip()
    assert model.input.size == (64, 64) and model.input.interpolation == 'bicubic'
    np.testing.assert_allclose(model.input.mean, [0.4815, 0.4578, 0.4082], atol=1e-4)
    np.testing.assert_allclose(model.input.std, [0.2686, 0.2613, 0.2758], atol=1e-4)
    assert blip(image_size=96).input.size == (96, 96)
    assert blip(statistics='imagenet').input.mean == (0.485, 0.456, 0.406)
    with pytest.raises(ValueError, match='takes multiples of 14'):
        blip2(image_size=100)


@pytest.mark.parametrize(
    ('row', 'small', 'kind'), [(BLIP, small_blip, Blip), (BLIP2, small_blip2, Blip2)]
)
def test_weights_and_tokenizer_load_from_a_folder(
    row: tuple[str, str, str],
    small: Callable[[], nn.Module],
    kind: type[Blip | Blip2],
    tmp_path: Path,
) -> None:
    model = small().float()
    model.save_pretrained(tmp_path)
    make_tokenizer().save_pretrained(tmp_path)
    config = BackboneConfig(row[0], str(tmp_path))
    found = build(*row, config).freeze()
    wanted = kind(row[0], model, config, make_tokenizer()).freeze()
    batch, texts = images(1, 112, 112).float(), ['holding a cup', 'riding']
    assert torch.equal(found.encode_image(batch), wanted.encode_image(batch))
    assert torch.equal(found.encode_text(texts), wanted.encode_text(texts))


@pytest.mark.parametrize(
    ('architecture', 'total', 'vision', 'width', 'size'),
    [
        ('blip-base', 223.7, 86.1, 256, 384),  # BLIP's ViT-B/16: 86 M
        ('blip2-vit-g', 1172.0, 986.0, 1408, 224),  # the hub counts 1.17 B; EVA's ViT-g: 986 M
    ],
)
def test_full_size_is_the_published_one(
    architecture: str, total: float, vision: float, width: int, size: int
) -> None:
    with torch.device('meta'):
        model = build('it', architecture, 'no/where', BackboneConfig('it', 'random'))
    count = {
        part: sum(value.numel() for value in module.parameters()) / 1e6
        for part, module in (('total', model), ('vision', model.model.vision_model))
    }
    assert count == pytest.approx({'total': total, 'vision': vision}, abs=0.1)
    assert (model.width, model.text_width, model.input.size) == (width, 256, (size, size))
    heads = model.model.config.vision_config.num_attention_heads
    assert heads == {'blip-base': 12, 'blip2-vit-g': 16}[architecture]
