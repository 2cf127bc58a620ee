"""Qwen3-VL: its answers read back, and a tiny random model with a generated tokenizer asked."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from link_hoi_core.detectors import DetectorOptions, load_detector, qwen
from link_hoi_core.detectors.qwen import Qwen, parse_boxes
from link_hoi_core.vocabulary import load_vocabulary

VOCABULARY = load_vocabulary('hico-det')
SIZE = (500, 2000)  # (height, width)
DOG = '{"bbox_2d": [100, 200, 300, 400], "label": "dog"}'
DOG_IN_PIXELS = [200, 100, 600, 200]
SPECIAL = (
    *('<|endoftext|>', '<|im_start|>', '<|im_end|>'),
    *('<|vision_start|>', '<|vision_end|>', '<|image_pad|>', '<|video_pad|>'),
)
TOKEN_IDS = {
    'image_token_id': '<|image_pad|>',
    'video_token_id': '<|video_pad|>',
    'vision_start_token_id': '<|vision_start|>',
    'vision_end_token_id': '<|vision_end|>',
}
TEMPLATE = (
    "{% for part in messages[0].content %}{% if part.type == 'image' %}"
    '<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ part.text }}{% endif %}{% endfor %}'
)


# Answers


@pytest.mark.parametrize(
    'text',
    [
        f'[{DOG}]',
        DOG,
        f'```json\n[\n\t{DOG}\n]\n```',
        f'Here is the dog I found: [{DOG}]. Anything else?',
        f'{{"objects": [{DOG}]}}',
        f'<think>a set {{like this}} is no box</think>[{DOG}]',
        DOG.replace('100', '100.0').replace('"dog"', '" dog "'),
        '{"label": "dog", "bbox_2d": [100, 200, 300, 400]}',
    ],
)
def test_a_box_is_read_whatever_stands_around_it(text: str) -> None:
    found, unreadable = parse_boxes(text, SIZE)
    assert found.boxes.tolist() == [DOG_IN_PIXELS]
    assert (list(found.names), found.scores.tolist(), unreadable) == (['dog'], [1.0], 0)


@pytest.mark.parametrize(
    'cut', ['{"bbox_2d": [1, 2', '{"bbox_2d": [1, 2, 3, 4], "la', '{"bbox_2d": [1, 2, 3, 4]']
)
def test_an_answer_that_was_cut_off_keeps_what_is_whole(cut: str) -> None:
    found, unreadable = parse_boxes(f'```json\n[{DOG}, {DOG}, {cut}', SIZE)
    assert found.boxes.tolist() == [DOG_IN_PIXELS] * 2
    assert unreadable == 1


@pytest.mark.parametrize(
    'bad',
    [
        '{"bbox_2d": [300, 200, 100, 400], "label": "dog"}',  # corners swapped
        '{"bbox_2d": [100, 400, 300, 200], "label": "dog"}',
        '{"bbox_2d": [100, 200, 100, 400], "label": "dog"}',  # no area
        '{"bbox_2d": [100, 200, 300, 1001], "label": "dog"}',  # out of range
        '{"bbox_2d": [-1, 200, 300, 400], "label": "dog"}',
        '{"bbox_2d": [100, 200, 300, 1e999], "label": "dog"}',
        '{"bbox_2d": [100, 200, 300, NaN], "label": "dog"}',
        '{"bbox_2d": ["100", 200, 300, 400], "label": "dog"}',  # no numbers
        '{"bbox_2d": [0, 0, true, true], "label": "dog"}',
        '{"bbox_2d": [100, 200, 300], "label": "dog"}',
        '{"bbox_2d": "100 200 300 400", "label": "dog"}',
        '{"bbox_2d": null, "label": "dog"}',
        '{"bbox_2d": [100, 200, 300, 400]}',  # no name
        '{"bbox_2d": [100, 200, 300, 400], "label": " "}',
        '{"bbox_2d": [100, 200, 300, 400], "label": 7}',
        '{bbox_2d: [100, 200, 300, 400], label: dog}',  # no JSON
        '{"bbox_2d": ' + '[' * 100_000 + '}',
        '{"bbox_2d": [' + '9' * 5000 + ', 0, 0, 0], "label": "dog"}',
    ],
)
def test_what_is_no_box_is_left_out_and_counted(bad: str) -> None:
    found, unreadable = parse_boxes(f'[{bad}, {DOG}]', SIZE)
    assert found.boxes.tolist() == [DOG_IN_PIXELS]
    assert unreadable == 1


@pytest.mark.parametrize('text', ['', '[]', 'There is nothing.', '{}', '{"label": "dog"}', '{{{{'])
def test_an_answer_without_boxes(text: str) -> None:
    found, unreadable = parse_boxes(text, SIZE)
    assert found.boxes.shape == (0, 4) and len(found.names) == unreadable == 0


def test_the_whole_range_is_the_whole_picture() -> None:
    found, _ = parse_boxes('{"bbox_2d": [0, 0, 1000, 1000], "label": "bed"}', SIZE)
    assert found.boxes.tolist() == [[0, 0, 2000, 500]]


# The model


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Qwen3-VL of width 32 that speaks in bytes, as its published folder would lie there."""
    transformers = pytest.importorskip('transformers')
    pytest.importorskip('torchvision')
    folder = tmp_path_factory.mktemp('models') / 'qwen'
    tokenizer = _tokenizer(transformers)
    config = transformers.Qwen3VLConfig(
        text_config={
            **{'vocab_size': len(tokenizer), 'hidden_size': 32, 'intermediate_size': 32},
            **{'num_hidden_layers': 2, 'num_attention_heads': 2, 'num_key_value_heads': 1},
            **{'head_dim': 16, 'rope_parameters': _rope()},
        },
        vision_config={
            **{'depth': 2, 'hidden_size': 32, 'intermediate_size': 32, 'num_heads': 2},
            **{'out_hidden_size': 32, 'num_position_embeddings': 16},
            'deepstack_visual_indexes': [0],
        },
        **{key: tokenizer.convert_tokens_to_ids(token) for key, token in TOKEN_IDS.items()},
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        transformers.Qwen3VLForConditionalGeneration(config).save_pretrained(folder)
    transformers.Qwen3VLProcessor(
        transformers.Qwen2VLImageProcessor(patch_size=16, merge_size=2, max_pixels=96 * 96),
        tokenizer,
        transformers.Qwen3VLVideoProcessor(),
        chat_template=TEMPLATE,
    ).save_pretrained(folder)
    return folder


@pytest.fixture
def detector(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Qwen:
    monkeypatch.setattr(qwen, 'MAX_TOKENS', 24)  # a random model has no last word
    return load_detector('qwen3-vl-8b', VOCABULARY, weights=str(folder), words=('dog', 'red hat'))


def test_the_model_answers_alike_for_one_picture_and_seed(detector: Qwen) -> None:
    image = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    said = detector.answer(image)
    assert torch.equal(torch.rand(2), expected)  # the caller's random state is left alone
    assert said and detector.answer(image) == said
    assert detector.answer(255 - image) != said


def test_pictures_of_other_kinds(detector: Qwen) -> None:
    pictures = [np.zeros((3, 30), np.uint8), np.zeros((30, 30, 4), np.uint8), np.ones((1, 1), bool)]
    sizes = [found.image_size for found in detector.detect(pictures)]
    assert sizes == [(3, 30), (30, 30), (1, 1)]


def test_the_question_has_the_words_and_the_form_of_the_answer(detector: Qwen) -> None:
    asked = detector._prompt
    assert 'categories in the picture: dog, red hat.' in asked
    example = asked[asked.index('{"bbox_2d"') : asked.index('}') + 1]
    found, _ = parse_boxes(example.replace('x1, y1, x2, y2', '0, 0, 9, 9'), SIZE)
    assert list(found.names) == ['category']


class Scripted(Qwen):
    """Says what is written here of a picture, by its first value."""

    answers = (f'[{DOG}, {{"bbox_2d": [1]}}]', '[{"bbox_2d": [0, 0, 9, 9], "label": "gnu"}]')

    def answer(self, image: np.ndarray) -> str:
        return self.answers[image[0, 0, 0]]


def test_what_it_says_becomes_detections(detector: Qwen) -> None:
    scripted = Scripted(
        'scripted', detector._model, detector._processor, DetectorOptions(VOCABULARY)
    )
    dog, gnu = scripted.detect([np.full((*SIZE, 3), value, np.uint8) for value in (0, 1)])
    assert dog.boxes.tolist() == [DOG_IN_PIXELS] and dog.scores.tolist() == [1]
    assert VOCABULARY.objects[dog.labels[0]] == 'dog' and scripted.unreadable == 1
    assert gnu.labels.tolist() == [-1] and scripted.unknown == {'gnu': 1}


def test_what_it_cannot_be_built_from(tmp_path: Path) -> None:
    pytest.importorskip('transformers')
    with pytest.raises(ValueError, match='qwen3-vl-8b has no random weights'):
        load_detector('qwen3-vl-8b', VOCABULARY, weights='random')
    with pytest.raises(FileNotFoundError, match='missing: no such file or folder'):
        load_detector('qwen3-vl-8b', VOCABULARY, weights=str(tmp_path / 'missing'))
    with pytest.raises(ValueError, match='holds no weights of Qwen/Qwen3-VL-8B-Instruct'):
        load_detector('qwen3-vl-8b', VOCABULARY, weights=str(tmp_path))


def test_a_folder_that_lacks_a_tensor_is_refused(folder: Path, tmp_path: Path) -> None:
    torch_files = pytest.importorskip('safetensors.torch')
    broken = shutil.copytree(folder, tmp_path / 'broken')
    weights = torch_files.load_file(broken / 'model.safetensors')
    name = next(name for name in weights if name.endswith('q_proj.weight'))
    torch_files.save_file(
        {key: value for key, value in weights.items() if key != name},
        broken / 'model.safetensors',
        {'format': 'pt'},
    )
    with pytest.raises(ValueError, match='it lacks 1 tensors, such as .*q_proj.weight'):
        load_detector('qwen3-vl-8b', VOCABULARY, weights=str(broken))


def test_a_pickle_is_not_read(folder: Path, tmp_path: Path) -> None:
    torch_files = pytest.importorskip('safetensors.torch')
    pickled = shutil.copytree(folder, tmp_path / 'pickled')
    weights = torch_files.load_file(pickled / 'model.safetensors')
    (pickled / 'model.safetensors').unlink()
    torch.save(weights, pickled / 'pytorch_model.bin')
    with pytest.raises(ValueError, match='pickled holds no weights of Qwen'):
        load_detector('qwen3-vl-8b', VOCABULARY, weights=str(pickled))


def _tokenizer(transformers: object) -> object:
    """Every byte a token, and Qwen's special ones."""
    tokenizers = pytest.importorskip('tokenizers')
    words = [*sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet()), *SPECIAL]
    inner = tokenizers.Tokenizer(
        tokenizers.models.BPE({word: i for i, word in enumerate(words)}, [])
    )
    inner.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = tokenizers.decoders.ByteLevel()
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=inner,
        eos_token='<|im_end|>',
        pad_token='<|endoftext|>',
        additional_special_tokens=list(SPECIAL),
    )


def _rope() -> dict:
    return {
        **{'rope_type': 'default', 'rope_theta': 1e4},
        **{'mrope_section': [4, 2, 2], 'mrope_interleaved': True},
    }
