"""Detectors of any words: prompts, decoding against float64, and runs with generated tokenizers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from link_hoi_core.detectors.batches import pixel_boxes
from link_hoi_core.detectors.detector import Detector
from link_hoi_core.detectors.grounding import build, decode_tokens, prompts
from link_hoi_core.detectors.options import DetectorOptions
from link_hoi_core.vocabulary import load_vocabulary

transformers = pytest.importorskip('transformers')

VOCABULARY = load_vocabulary('hico-det')
WORDS = ('person', 'cell phone', 'robot arm', 'dog')
SIZES = [(120, 160), (90, 60)]
REPOSITORIES = {
    'grounding-dino': 'IDEA-Research/grounding-dino-tiny',
    'owlv2': 'google/owlv2-base-patch16-ensemble',
}


@pytest.fixture(scope='module')
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A tiny model of each kind with a generated tokenizer, as the library saves them."""
    torch.manual_seed(0)
    made = {}
    for name, (model, tokenizer) in {'grounding-dino': tiny_dino(), 'owlv2': tiny_owl()}.items():
        made[name] = tmp_path_factory.mktemp(name)
        model.save_pretrained(made[name])
        tokenizer.save_pretrained(made[name])
    return made


@pytest.fixture(params=REPOSITORIES)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


def tiny_dino() -> tuple[torch.nn.Module, object]:
    """The ids of its special tokens are those that the library has for BERT's own vocabulary."""
    tokens = {**{f'[unused{i}]': i for i in range(1100)}}
    words = ['person', 'cell', 'phone', 'robot', 'arm', 'dog', 'bi', '##cycle', 'a', 'photo', 'of']
    names = {0: '[PAD]', 100: '[UNK]', 101: '[CLS]', 102: '[SEP]', 103: '[MASK]', 1012: '.'}
    names |= {1029: '?'} | {200 + i: word for i, word in enumerate(words)}
    vocabulary = {names.get(index, token): index for token, index in tokens.items()}
    swin = transformers.SwinConfig(
        **{'embed_dim': 8, 'depths': [1, 1, 1, 1], 'num_heads': [1, 1, 2, 2]},
        **{'window_size': 3, 'out_indices': [2, 3, 4]},
    )
    bert = transformers.BertConfig(
        **{'vocab_size': 1100, 'hidden_size': 32, 'num_hidden_layers': 1},
        **{'num_attention_heads': 2, 'intermediate_size': 16},
    )
    config = transformers.GroundingDinoConfig(
        **{'backbone_config': swin, 'text_config': bert, 'd_model': 32, 'num_queries': 7},
        **{'encoder_layers': 1, 'decoder_layers': 2, 'encoder_ffn_dim': 16, 'decoder_ffn_dim': 16},
        **{'encoder_attention_heads': 4, 'decoder_attention_heads': 4},
    )
    model = transformers.GroundingDinoForObjectDetection(config)
    return model, transformers.BertTokenizer(vocab=vocabulary)


def tiny_owl() -> tuple[torch.nn.Module, object]:
    letters = [chr(code) for code in range(ord('a'), ord('z') + 1)]
    tokens = ['!', *letters, *(f'{letter}</w>' for letter in letters)]
    tokens += ['<|startoftext|>', '<|endoftext|>']
    tokenizer = transformers.CLIPTokenizer(
        vocab={token: index for index, token in enumerate(tokens)}, merges=[], pad_token='!'
    )
    small = {
        **{'hidden_size': 32, 'intermediate_size': 16},
        **{'num_hidden_layers': 1, 'num_attention_heads': 2},
    }
    ends = {'bos_token_id': len(tokens) - 2, 'eos_token_id': len(tokens) - 1}
    config = transformers.Owlv2Config(
        text_config={**small, **ends, 'vocab_size': len(tokens), 'max_position_embeddings': 40},
        vision_config={**small, 'image_size': 96, 'patch_size': 16},
        projection_dim=32,
    )
    model = transformers.Owlv2ForObjectDetection(config)
    for weight in model.box_head.parameters():
        weight.data *= 0.1  # boxes about where and as large as their patch
    return model, tokenizer


def load(kind: str, folder: Path, **options: object) -> Detector:
    """Built as the registry does, looking for WORDS at every score."""
    chosen = {'vocabulary': VOCABULARY, 'words': WORDS, 'score_threshold': 0.0, **options}
    detector = build(
        'tiny', kind, REPOSITORIES[kind], DetectorOptions(weights=str(folder), **chosen)
    )
    if kind == 'grounding-dino':
        detector.size = 96, 160
    return detector


def photos(sizes: list[tuple[int, int]] = SIZES) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [random.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]


def test_a_prompt_ends_each_word_and_knows_where_it_stands() -> None:
    ((tokens, spans),) = prompts([[5], [6, 7], [8]], 1, 2, 3, 256)
    assert tokens == [1, 5, 3, 6, 7, 3, 8, 3, 2]
    assert spans == [(0, 1, 2), (1, 3, 5), (2, 6, 7)]


@pytest.mark.parametrize('longest', [5, 8, 11, 256])
def test_long_lists_are_asked_for_in_several_prompts(longest: int) -> None:
    words = [[10 + i, 20 + i][: 1 + i % 2] for i in range(9)]
    made = prompts(words, 1, 2, 3, longest)
    assert all(len(tokens) <= longest for tokens, _ in made)
    read = {index: tokens[a:b] for tokens, spans in made for index, a, b in spans}
    assert read == dict(enumerate(words))


def test_a_word_that_fits_into_no_prompt_is_refused(folders: dict[str, Path]) -> None:
    detector = load('grounding-dino', folders['grounding-dino'])
    with pytest.raises(ValueError, match="'dog dog .* has 300 tokens, expected at most 253"):
        detector.set_words(['person', 'dog ' * 300])
    assert detector.words == WORDS


def test_tokens_become_words_as_in_float64() -> None:
    random = np.random.default_rng(0)
    logits = random.normal(-1, 1.5, size=(2, 50, 12))
    logits[..., 10:] = -np.inf
    spans = [(4, 1, 2), (0, 3, 6), (7, 7, 9)]

    scores, words = decode_tokens(torch.tensor(logits), spans)

    probabilities = 1 / (1 + np.exp(-logits))
    for image in range(2):
        for query in range(50):
            row = probabilities[image, query]
            best = {word: row[a:b].max() for word, a, b in spans}
            word = max(best, key=best.get)
            assert scores[image, query] == pytest.approx(row.max(), rel=1e-12)
            assert words[image, query] == (word if best[word] >= 0.25 else -1)


def test_a_box_is_one_word_though_two_score() -> None:
    """As published, 'cell' and 'dog' above the threshold would be the phrase 'cell dog'."""
    logits = torch.full((1, 1, 8), -9.0)
    logits[0, 0, 1], logits[0, 0, 4] = 1.0, 1.5
    scores, words = decode_tokens(logits, [(0, 1, 3), (1, 4, 5)])
    assert words.tolist() == [[1]]
    assert scores[0, 0] == pytest.approx(1 / (1 + np.exp(-1.5)))


def test_a_batch_is_in_order_and_inside_its_images(kind: str, folders: dict[str, Path]) -> None:
    detector = load(kind, folders[kind])
    found = detector.detect(photos())
    assert [one.image_size for one in found] == SIZES
    for one, (height, width) in zip(found, SIZES):
        assert len(one) > 0
        assert (one.boxes >= 0).all()
        assert (one.boxes <= (width, height, width, height)).all()
        assert set(one.names) <= set(WORDS)
        known = {name: VOCABULARY.object_index(name) for name in WORDS}
        expected = [-1 if known[name] is None else known[name] for name in one.names]
        assert one.labels.tolist() == expected


def test_a_batch_gives_what_single_images_give(kind: str, folders: dict[str, Path]) -> None:
    detector = load(kind, folders[kind])
    images = photos([(90, 120), (120, 90), (90, 120)])
    together = detector.find(images, ['', '', ''])
    for image, expected in zip(images, together):
        (alone,) = detector.find([image], [''])
        np.testing.assert_allclose(alone.scores, expected.scores, atol=1e-5)
        np.testing.assert_allclose(alone.boxes, expected.boxes, atol=1e-2)
        assert alone.names == expected.names


def test_the_owl_agrees_with_the_whole_model_of_the_library(folders: dict[str, Path]) -> None:
    """Texts embedded once, boxes scaled by the padded side."""
    detector = load('owlv2', folders['owlv2'])
    (image,) = photos([(96, 60)])  # padded to the input's size: no resizing, no rounding
    tokenizer = transformers.AutoTokenizer.from_pretrained(folders['owlv2'])
    model = transformers.Owlv2ForObjectDetection.from_pretrained(folders['owlv2'])
    processor = transformers.Owlv2ImageProcessor(size={'height': 96, 'width': 96})
    texts = tokenizer(
        [f'a photo of a {word}' for word in WORDS],
        **{'padding': 'max_length', 'max_length': 40, 'return_tensors': 'pt'},
    )
    pixels = processor(image.transpose(2, 0, 1), return_tensors='pt')
    with torch.no_grad():
        output = model(**texts, **pixels)
    (expected,) = processor.post_process_object_detection(output, 0.0, torch.tensor([[96, 60]]))

    (found,) = detector.find([image], [''])

    np.testing.assert_allclose(found.scores, expected['scores'], atol=1e-5)
    np.testing.assert_allclose(found.boxes, expected['boxes'], atol=1e-3)
    assert list(found.names) == [WORDS[label] for label in expected['labels']]


def test_grounding_dino_agrees_with_the_library(folders: dict[str, Path]) -> None:
    """The same boxes and scores as from its text prompt, in one pass."""
    detector = load('grounding-dino', folders['grounding-dino'])
    (image,) = photos([(96, 120)])
    tokenizer = transformers.AutoTokenizer.from_pretrained(folders['grounding-dino'])
    text = tokenizer('person. cell phone. robot arm. dog.', return_tensors='pt')
    model = transformers.GroundingDinoForObjectDetection.from_pretrained(folders['grounding-dino'])
    processor = transformers.GroundingDinoImageProcessor(do_resize=False)
    pixels = processor(image.transpose(2, 0, 1), return_tensors='pt')
    with torch.no_grad():
        output = model.eval()(**text, **pixels)

    ((tokens, spans),) = detector._prompts
    assert tokens == text['input_ids'][0].tolist()
    scores, words = decode_tokens(output.logits[0], spans)
    (found,) = detector.find([image], [''])
    np.testing.assert_allclose(found.scores, scores[words >= 0], atol=1e-5)
    assert found.names == [WORDS[word] for word in words[words >= 0]]
    expected = pixel_boxes(output.pred_boxes, [(96, 120)])[0, words >= 0]
    np.testing.assert_allclose(found.boxes, expected, atol=1e-3)


def test_several_prompts_find_what_each_finds(folders: dict[str, Path]) -> None:
    detector = load('grounding-dino', folders['grounding-dino'])
    detector.model.config.max_text_len = 8
    expected = []
    for words in (WORDS[:2], WORDS[2:]):
        detector.set_words(words)
        assert len(detector._prompts) == 1
        (found,) = detector.find(photos()[:1], [''])
        expected += list(zip(found.names, found.scores.tolist()))
    detector.set_words(WORDS)
    assert len(detector._prompts) == 2
    (found,) = detector.find(photos()[:1], [''])
    assert sorted(zip(found.names, found.scores.tolist())) == sorted(expected)


def test_words_can_be_changed_while_it_runs(kind: str, folders: dict[str, Path]) -> None:
    detector = load(kind, folders[kind])
    detector.set_words(['dog'])
    assert detector.words == ('dog',)
    (found,) = detector.detect(photos()[:1])
    assert set(found.names) == {'dog'}


@pytest.mark.parametrize('words', [[], 'dog', ['dog', '. ?'], ['_']])
def test_words_that_say_nothing_are_refused(
    kind: str, folders: dict[str, Path], words: list[str]
) -> None:
    detector = load(kind, folders[kind])
    with pytest.raises(ValueError, match='words to look for'):
        detector.set_words(words)
    assert detector.words == WORDS


def test_without_words_it_looks_for_the_vocabularys_objects(
    kind: str, folders: dict[str, Path]
) -> None:
    detector = load(kind, folders[kind], words=())
    assert len(detector.words) == 80
    assert 'cell phone' in detector.words


def test_thresholds_are_the_papers(kind: str, folders: dict[str, Path]) -> None:
    detector = load(kind, folders[kind], score_threshold=None)
    assert detector.score_threshold == {'grounding-dino': 0.35, 'owlv2': 0.1}[kind]
    assert detector.score_exponent == 1.0


def test_no_image_gives_no_detections(kind: str, folders: dict[str, Path]) -> None:
    assert load(kind, folders[kind]).detect([]) == []


@pytest.mark.parametrize('size', [(1, 1), (2, 300)])
def test_an_image_of_hardly_any_pixels_is_no_trouble(
    kind: str, folders: dict[str, Path], size: tuple[int, int]
) -> None:
    detector = load(kind, folders[kind])
    (raw,) = detector.find(photos([size]), [''])
    assert np.isfinite(raw.boxes).all()
    (found,) = detector.detect(photos([size]))
    assert found.image_size == size


@pytest.mark.parametrize('weights', ['pretrained', 'random'])
def test_a_missing_network_is_one_sentence(
    kind: str, weights: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr('huggingface_hub.constants.HF_HUB_OFFLINE', True)
    with pytest.raises(ConnectionError, match=f'hf download {REPOSITORIES[kind]}') as error:
        build('x', kind, REPOSITORIES[kind], DetectorOptions(VOCABULARY, weights=weights))
    assert '\n' not in str(error.value)


def test_a_folder_without_a_tokenizer_is_refused(
    kind: str, folders: dict[str, Path], tmp_path: Path
) -> None:
    for name in ('config.json', 'model.safetensors'):
        (tmp_path / name).write_bytes((folders[kind] / name).read_bytes())
    with pytest.raises(ValueError, match='has a tokenizer of . tokens for a network of') as error:
        load(kind, tmp_path)
    assert '\n' not in str(error.value)
