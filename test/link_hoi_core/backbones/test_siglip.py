"""SigLIP 2: its patch tokens as a map, its texts and images in one space."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from link_hoi_core.backbones.backbone import BackboneConfig
from link_hoi_core.backbones.siglip import Siglip, build
from link_hoi_core.text_encoder import embed_texts

transformers = pytest.importorskip('transformers')
tokenizers = pytest.importorskip('tokenizers')

ROW = ('siglip2-b16-224', 'siglip2-base-patch16-224', 'google/siglip2-base-patch16-224')
SHAPE = {
    'hidden_size': 32,
    'intermediate_size': 64,
    'num_hidden_layers': 2,
    'num_attention_heads': 4,
}
PAD, END, UNKNOWN = '<pad>', '<eos>', '<unk>'
WORDS = (PAD, END, UNKNOWN, 'a', 'person', 'is', 'riding', 'holding', 'horse', 'cup')


def small() -> nn.Module:
    """An untrained SigLIP of 4 x 4 patches and 8 tokens, float64."""
    torch.manual_seed(0)
    tokens = {'vocab_size': len(WORDS), 'max_position_embeddings': 8, 'projection_size': 32}
    ids = {'pad_token_id': 0, 'eos_token_id': 1, 'bos_token_id': 1}
    config = transformers.SiglipConfig(
        text_config={**SHAPE, **tokens, **ids},
        vision_config={**SHAPE, 'image_size': 64, 'patch_size': 16},
    )
    return transformers.SiglipModel(config).double()


def make_tokenizer() -> object:
    """Words as tokens, and an end after each text, as the published one has."""
    words = tokenizers.Tokenizer(
        tokenizers.models.WordLevel({word: i for i, word in enumerate(WORDS)}, UNKNOWN)
    )
    words.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    words.post_processor = tokenizers.processors.TemplateProcessing(
        single=f'$A {END}', special_tokens=[(END, 1)]
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=words,
        pad_token=PAD,
        eos_token=END,
        unk_token=UNKNOWN,
        padding_side='left',  # as transformers makes Gemma's, in spite of the model
    )


def backbone(tokenizer: object = None, **changes: object) -> Siglip:
    config = BackboneConfig('siglip2-b16-224', **changes)
    return Siglip('siglip2-b16-224', small(), config, tokenizer).freeze()


def images(count: int, height: int, width: int) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(count, 3, height, width, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize('feature_space', ['proj', 'width'])
def test_map_is_the_patch_tokens_row_by_row(feature_space: str) -> None:
    model = backbone(feature_space=feature_space)
    batch = images(2, 48, 80)
    seen = model.model.vision_model(pixel_values=batch, interpolate_pos_encoding=True)
    found = model.encode_image(batch)
    assert found.shape == (2, 32, 3, 5) and (model.stride, model.width) == (16, 32)
    for row in range(3):
        for column in range(5):
            assert torch.equal(
                found[:, :, row, column], seen.last_hidden_state[:, row * 5 + column]
            )


def test_a_batch_gives_what_single_images_give() -> None:
    model = backbone()
    batch = images(3, 48, 80)
    for see in (model.encode_image, model.embed_image):
        singles = torch.cat([see(image[None]) for image in batch])
        torch.testing.assert_close(see(batch), singles, rtol=0, atol=1e-10)


def test_native_size_uses_the_position_embeddings_as_they_are() -> None:
    model = backbone()
    batch = images(1, 64, 64)
    tokens = model.model.vision_model(pixel_values=batch).last_hidden_state
    assert torch.equal(model.encode_image(batch).flatten(2).mT, tokens)


def test_images_and_texts_score_as_the_library_scores_them() -> None:
    model = backbone(make_tokenizer())
    batch = images(2, 64, 64)
    ids = torch.tensor([[4, 5, 6, 8, 1, 0, 0, 0], [7, 3, 9, 1, 0, 0, 0, 0]])
    wanted = model.model(input_ids=ids, pixel_values=batch)
    image = model.embed_image(batch)
    text = model.encode_text(['person is riding horse', 'Holding a CUP'])
    torch.testing.assert_close(image, wanted.image_embeds)
    torch.testing.assert_close(text, wanted.text_embeds)
    assert text.shape == (2, model.text_width)
    torch.testing.assert_close(text.norm(dim=1), torch.ones(2).double())


def test_a_sentence_is_worded_as_published() -> None:
    """'This is a photo of ...', where the sentence begins with 'a photo of'."""
    model = backbone(make_tokenizer())
    found = embed_texts(['a person is riding'], BackboneConfig('siglip2-b16-224'), model)
    wanted = model.encode_text(['this is a person is riding.']).float()
    assert torch.equal(found, wanted)
    assert not torch.allclose(found, model.encode_text(['a person is riding']).float())


def test_a_text_is_embedded_alone_as_among_others_and_cut_at_the_full_length() -> None:
    model = backbone(make_tokenizer())
    texts = ['riding', 'a person is holding a cup', 'horse ' * 20]
    alone = torch.cat([model.encode_text([text]) for text in texts])
    torch.testing.assert_close(model.encode_text(texts), alone, rtol=0, atol=1e-10)


def test_without_a_tokenizer_there_is_one_sentence() -> None:
    with pytest.raises(ValueError, match='siglip2-b16-224 has no tokenizer: give weights') as error:
        backbone().encode_text(['a cup'])
    assert '\n' not in str(error.value)


def test_it_is_frozen_until_gradients_are_asked_for() -> None:
    model = backbone()
    assert not model.encode_image(images(1, 32, 32)).requires_grad
    model.requires_grad_(True).encode_image(images(1, 32, 32))[:, 0].sum().backward()
    assert model.model.vision_model.embeddings.patch_embedding.weight.grad.abs().sum() > 1e-3


def test_input_is_as_published_unless_the_configuration_says_otherwise() -> None:
    model = backbone()
    assert model.input.size == (64, 64) and model.input.interpolation == 'bilinear'
    assert model.input.mean == model.input.std == (0.5, 0.5, 0.5)
    assert backbone(image_size=96, statistics='imagenet').input.size == (96, 96)
    assert backbone(statistics='imagenet').input.mean == (0.485, 0.456, 0.406)


def test_weights_and_tokenizer_load_from_a_folder(tmp_path: Path) -> None:
    model = small().float()
    model.save_pretrained(tmp_path)
    make_tokenizer().save_pretrained(tmp_path)
    config = BackboneConfig(ROW[0], str(tmp_path))
    found = build(*ROW, config).freeze()
    wanted = Siglip(ROW[0], model, config, make_tokenizer()).freeze()
    batch, texts = images(1, 48, 80).float(), ['holding a cup', 'riding']
    assert torch.equal(found.encode_image(batch), wanted.encode_image(batch))
    assert torch.equal(found.encode_text(texts), wanted.encode_text(texts))


def test_a_folder_without_a_tokenizer_still_gives_maps(tmp_path: Path) -> None:
    small().float().save_pretrained(tmp_path)
    model = build(*ROW, BackboneConfig(ROW[0], str(tmp_path))).freeze()
    assert model.encode_image(images(1, 64, 64).float()).shape == (1, 32, 4, 4)
    with pytest.raises(ValueError, match='has no tokenizer'):
        model.encode_text(['a cup'])


@pytest.mark.parametrize(
    ('architecture', 'total', 'vision', 'size'),
    [
        ('base-patch16-224', 375.2, 92.9, 224),
        ('base-patch16-512', 375.8, 93.5, 512),
        ('large-patch16-384', 881.9, 316.3, 384),
        ('so400m-patch14-384', 1136.0, 428.2, 378),
    ],
)
def test_full_size_is_the_published_one(
    architecture: str, total: float, vision: float, size: int
) -> None:
    """The hub counts 0.4, 0.9 and 1 B; the paper's 86, 303 and 400 M are without the head."""
    with torch.device('meta'):
        config = BackboneConfig('it', 'random')
        model = build('it', f'siglip2-{architecture}', 'no/where', config)
    count = {
        part: sum(value.numel() for value in module.parameters()) / 1e6
        for part, module in (('total', model), ('vision', model.model.vision_model))
    }
    assert count == pytest.approx({'total': total, 'vision': vision}, abs=0.1)
    assert model.width == model.text_width and model.input.size == (size, size)
