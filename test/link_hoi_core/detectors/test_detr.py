"""The DETR family: decoding against float64, batches, sizes, and weights from folders."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from link_hoi_core.detectors.batches import fitted, fitted_batch, pixel_boxes
from link_hoi_core.detectors.detector import Found
from link_hoi_core.detectors.detr import ARCHITECTURES, Detr, build, decode
from link_hoi_core.detectors.options import DetectorOptions
from link_hoi_core.vocabulary import COCO80, load_vocabulary

transformers = pytest.importorskip('transformers')
pytest.importorskip('timm')

VOCABULARY = load_vocabulary('hico-det')
NAMES = dict(enumerate(COCO80))
SIZES = [(120, 160), (90, 60), (64, 64)]


@pytest.fixture(scope='module')
def models() -> dict[str, torch.nn.Module]:
    """A tiny one of each architecture, random weights, class scores that differ."""
    return {architecture: tiny_model(architecture) for architecture in ARCHITECTURES}


@pytest.fixture(params=ARCHITECTURES)
def detector(request: pytest.FixtureRequest, models: dict[str, torch.nn.Module]) -> Detr:
    return make(request.param, models[request.param])


def make(architecture: str, model: torch.nn.Module, **options: object) -> Detr:
    options = DetectorOptions(**{'vocabulary': VOCABULARY, 'score_threshold': 0.0, **options})
    return Detr('tiny', ARCHITECTURES[architecture], model, options, (96, 160))


def tiny_model(architecture: str) -> torch.nn.Module:
    torch.manual_seed(0)
    small = {
        **{'d_model': 32, 'encoder_layers': 1, 'decoder_layers': 2, 'num_queries': 7},
        **{'encoder_ffn_dim': 16, 'decoder_ffn_dim': 16, 'id2label': NAMES},
        **{'encoder_attention_heads': 2, 'decoder_attention_heads': 2},
    }
    widths = {'embedding_size': 8, 'hidden_sizes': [8, 8, 8, 8], 'depths': [1, 1, 1, 1]}
    levels = transformers.ResNetConfig(**widths, layer_type='basic', out_indices=[2, 3, 4])
    if architecture == 'rt-detr':
        resnet = transformers.RTDetrResNetConfig(
            **widths, layer_type='basic', out_indices=[2, 3, 4]
        )
        config = transformers.RTDetrConfig(
            **small,
            backbone_config=resnet,
            encoder_in_channels=[8, 8, 8],
            encoder_hidden_dim=32,
            decoder_in_channels=[32, 32, 32],
        )
        model = transformers.RTDetrForObjectDetection(config)
    elif architecture == 'h-deformable-detr':
        from link_hoi_core.detectors.h_deformable_detr import HDeformableDetr

        swin = transformers.SwinConfig(
            **{'embed_dim': 8, 'depths': [1, 1, 2, 1], 'num_heads': [1, 1, 2, 2]},
            **{'window_size': 3, 'out_indices': [2, 3, 4], 'drop_path_rate': 0.0},
        )
        config = transformers.DeformableDetrConfig(
            **small,
            backbone_config=swin,
            two_stage=True,
            with_box_refine=True,
            two_stage_num_proposals=7,
            tie_word_embeddings=False,
        )
        model = HDeformableDetr(config)
    elif architecture == 'deformable-detr':
        model = transformers.DeformableDetrForObjectDetection(
            transformers.DeformableDetrConfig(**small, backbone_config=levels)
        )
    else:
        kind = {'detr': 'Detr', 'conditional-detr': 'ConditionalDetr'}[architecture]
        last = transformers.ResNetConfig(**widths, layer_type='basic', out_indices=[4])
        config = getattr(transformers, f'{kind}Config')(**small, backbone_config=last)
        model = getattr(transformers, f'{kind}ForObjectDetection')(config)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim == 2 and re.search('class|query_position|content', name):
                weight.normal_(std=0.5)
    return model.eval()


def photos(sizes: list[tuple[int, int]] = SIZES) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [random.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]


def test_softmax_scores_agree_with_float64() -> None:
    random = np.random.default_rng(1)
    logits, boxes = random.normal(size=(2, 5, 7)), random.uniform(size=(2, 5, 4))

    scores, labels, kept = decode(torch.tensor(logits), torch.tensor(boxes), None)

    exponential = np.exp(logits)
    expected = (exponential / exponential.sum(axis=2, keepdims=True))[..., :6]
    np.testing.assert_allclose(scores, expected.max(axis=2), rtol=1e-12)
    np.testing.assert_array_equal(labels, expected.argmax(axis=2))
    np.testing.assert_array_equal(kept, boxes)


@pytest.mark.parametrize('best', [1, 9, 100])
def test_sigmoid_scores_agree_with_float64(best: int) -> None:
    random = np.random.default_rng(2)
    logits, boxes = random.normal(size=(3, 5, 7)), random.uniform(size=(3, 5, 4))

    scores, labels, kept = decode(torch.tensor(logits), torch.tensor(boxes), best)

    for image in range(3):
        pairs = sorted(
            ((1 / (1 + np.exp(-logits[image, q, k])), q, k) for q in range(5) for k in range(7)),
            reverse=True,
        )[:best]
        np.testing.assert_allclose(scores[image], [score for score, _, _ in pairs], rtol=1e-12)
        assert labels[image].tolist() == [k for _, _, k in pairs]
        np.testing.assert_array_equal(kept[image], [boxes[image, q] for _, q, _ in pairs])


@pytest.mark.parametrize('best', [None, 6])
def test_an_unused_class_never_leaves(best: int | None) -> None:
    logits = torch.zeros(1, 2, 4)
    logits[0, :, 1] = 9  # the unused class is by far the likeliest

    scores, labels, _ = decode(logits, torch.zeros(1, 2, 4), best, unused=[1])

    assert 1 not in labels[scores > 0].tolist()


def test_boxes_come_back_in_pixels_of_their_own_image() -> None:
    boxes = np.random.default_rng(3).uniform(size=(2, 4, 4))
    found = pixel_boxes(torch.tensor(boxes), [(100, 200), (30, 50)])
    for image, (height, width) in enumerate([(100, 200), (30, 50)]):
        for (x, y, w, h), box in zip(boxes[image], found[image].tolist()):
            expected = ((x - w / 2) * width, (y - h / 2) * height)
            expected += ((x + w / 2) * width, (y + h / 2) * height)
            np.testing.assert_allclose(box, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ('size', 'expected'),
    [
        ((480, 640), (800, 1067)),
        ((640, 480), (1067, 800)),
        ((600, 2000), (400, 1333)),  # the long side is what limits it
        ((1, 1), (800, 800)),
        ((3, 4000), (64, 1333)),  # thinner than what a network of stride 64 can use
    ],
)
def test_the_short_side_becomes_800_and_the_long_one_at_most_1333(
    size: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert fitted(*size, 800, 1333) == expected


def test_images_are_prepared_as_the_library_prepares_them() -> None:
    pytest.importorskip('torchvision')
    processor = transformers.DetrImageProcessor()
    for size in ((480, 720), (300, 200)):
        (image,) = photos([size])
        ours = fitted_batch([image], 800, 1333, torch.device('cpu'))
        theirs = processor(image.transpose(2, 0, 1), return_tensors='pt')['pixel_values']
        grey_level = 1 / 255 / 0.22  # it rounds to whole ones after resizing
        assert (ours - theirs).abs().max() < grey_level


def test_a_batch_is_in_order_and_inside_its_images(detector: Detr) -> None:
    images = photos()
    found = detector.detect(images)

    assert [one.image_size for one in found] == SIZES
    for one, (height, width) in zip(found, SIZES):
        assert len(one) > 0
        assert (one.boxes >= 0).all()
        assert (one.boxes <= (width, height, width, height)).all()
        assert set(one.names) <= set(COCO80)
        assert (one.labels >= 0).all()


def test_a_batch_gives_what_single_images_give(detector: Detr) -> None:
    """Whatever sizes stand beside each other."""
    images = photos([(90, 120), (120, 90), (90, 120), (60, 80)])
    together = detector.find(images, [''] * 4)
    for image, expected in zip(images, together):
        (alone,) = detector.find([image], [''])
        np.testing.assert_allclose(alone.scores, expected.scores, atol=1e-5)
        distances = np.abs(_rows(alone)[:, None] - _rows(expected)[None]).max(axis=2)
        assert max(distances.min(axis=0).max(), distances.min(axis=1).max()) < 1e-2


def _rows(found: Found) -> np.ndarray:
    """Boxes with scores and classes (N, 6): ties of scores have no order."""
    classes = [COCO80.index(name) for name in found.names]
    return np.column_stack((found.boxes, found.scores * 100, classes))


def test_no_image_gives_no_detections(detector: Detr) -> None:
    assert detector.detect([]) == []


@pytest.mark.parametrize('size', [(1, 1), (2, 300), (300, 2)])
def test_an_image_of_hardly_any_pixels_is_no_trouble(detector: Detr, size: tuple[int, int]) -> None:
    (raw,) = detector.find(photos([size]), [''])
    assert np.isfinite(raw.boxes).all()
    assert np.isfinite(raw.scores).all()
    (found,) = detector.detect(photos([size]))
    assert found.image_size == size


def test_the_exponent_is_that_of_the_architecture(models: dict[str, torch.nn.Module]) -> None:
    exponents = {name: make(name, model).score_exponent for name, model in models.items()}
    assert exponents == {
        **{'detr': 2.8, 'conditional-detr': 1.0, 'deformable-detr': 1.7},
        **{'h-deformable-detr': 1.7, 'rt-detr': 1.0},
    }


def test_learned_content_replaces_what_the_proposals_give(
    models: dict[str, torch.nn.Module],
) -> None:
    """Mixed selection: the decoder starts from the embeddings, at the proposals' places."""
    model = models['h-deformable-detr']
    seen = {}
    handle = model.model.decoder.layers[0].register_forward_pre_hook(
        lambda _, inputs: seen.update(content=inputs[0], place=inputs[1])
    )
    with torch.no_grad():
        model(torch.randn(2, 3, 96, 96))
    handle.remove()
    assert torch.equal(seen['content'], model.content.weight.expand(2, -1, -1))
    assert not torch.equal(seen['place'][0], seen['place'][1])


@pytest.mark.parametrize('architecture', ARCHITECTURES)
def test_a_saved_folder_gives_the_same_detections(
    architecture: str, models: dict[str, torch.nn.Module], tmp_path: Path
) -> None:
    models[architecture].save_pretrained(tmp_path)
    options = DetectorOptions(VOCABULARY, weights=str(tmp_path), score_threshold=0.0)

    loaded = build('tiny', architecture, 'someone/something', options)
    loaded.size = 96, 160
    (expected,) = make(architecture, models[architecture]).detect(photos()[:1])
    (found,) = loaded.detect(photos()[:1])

    # To rounding: some CPUs' kernels round by where in memory the weights lie.
    np.testing.assert_allclose(found.boxes, expected.boxes, rtol=1e-6, atol=1e-4)
    np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-6, atol=1e-6)


def test_a_folder_of_another_model_is_refused(
    models: dict[str, torch.nn.Module], tmp_path: Path
) -> None:
    models['detr'].save_pretrained(tmp_path)
    options = DetectorOptions(VOCABULARY, weights=str(tmp_path))
    with pytest.raises(ValueError, match='is of type detr, expected conditional_detr') as error:
        build('x', 'conditional-detr', 'microsoft/conditional-detr-resnet-50', options)
    assert '\n' not in str(error.value)


def test_a_missing_network_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('huggingface_hub.constants.HF_HUB_OFFLINE', True)
    with pytest.raises(ConnectionError, match='hf download facebook/detr-resnet-50') as error:
        build('detr-r50', 'detr', 'facebook/detr-resnet-50', DetectorOptions(VOCABULARY))
    assert '\n' not in str(error.value)


def test_what_is_in_no_hub_says_what_to_download() -> None:
    with pytest.raises(ValueError, match='PViC publishes'):
        build('h', 'h-deformable-detr', '', DetectorOptions(VOCABULARY))


def test_random_weights_need_no_network() -> None:
    options = DetectorOptions(VOCABULARY, weights='random', score_threshold=0.0)
    detector = build('detr-r50', 'detr', 'facebook/detr-resnet-50', options)
    assert sum(p.numel() for p in detector.model.parameters()) == pytest.approx(41.5e6, rel=0.01)
    assert detector.names == list(COCO80)


def test_unknown_names_are_counted_or_dropped(models: dict[str, torch.nn.Module]) -> None:
    model = models['detr']
    names = {**NAMES, 0: 'robot arm'}
    model.config.id2label = names
    try:
        kept = make('detr', model)
        dropped = make('detr', model, keep_unknown=False)
        with_unknown, without = (one.detect(photos()) for one in (kept, dropped))
    finally:
        model.config.id2label = NAMES
    unknown = sum((one.labels < 0).sum() for one in with_unknown)
    assert kept.unknown['robot arm'] == dropped.unknown['robot arm'] == unknown
    assert sum(map(len, with_unknown)) - sum(map(len, without)) == unknown
