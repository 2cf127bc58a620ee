"""MACs and parameters are those that one counts by hand, and LINK's are about the paper's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from link_hoi_core.benchmark.__main__ import main
from link_hoi_core.benchmark.complexity import Part, backbone_part, count_macs, model_parts
from link_hoi_core.benchmark.models import read_experiment, untrained
from link_hoi_core.benchmark.scenes import crowded_scene
from link_hoi_core.model.attention import SelfAttention
from link_hoi_core.model.scene import build_scene
from link_hoi_core.vocabulary import load_vocabulary

EXPERIMENTS = Path(__file__).parents[3] / 'config' / 'experiments'
HUMANS, THINGS, PAIRS = 4, 12, 60
SHARES = (
    'self-attention of pairs',
    'spatial branch',
    'semantic branch',
    'fusion of branches',
    'feed-forward',
)


def attention(queries: int, keys: int, width: int, value_width: int | None = None) -> int:
    """MACs of the two products of an attention, all heads together."""
    return queries * keys * (width + (value_width or width))


@pytest.mark.parametrize('device', ['cpu', 'meta'])
def test_attention_is_counted(device: str) -> None:
    tokens, width = 5, 8
    layer = SelfAttention(width, heads=2, dropout=0).to(device).eval()
    given = torch.zeros(1, tokens, width, device=device)
    present = torch.ones(1, tokens, dtype=torch.bool, device=device)
    with torch.no_grad():
        found = count_macs(lambda: layer(given, None, present))
    products = tokens * width * 3 * width + tokens * width * width
    assert found['Global'] == products + attention(tokens, tokens, width)


def test_a_fused_layer_hides_nothing() -> None:
    tokens, width = 5, 8
    layer = nn.TransformerEncoderLayer(width, 2, 4 * width, batch_first=True).eval()
    with torch.inference_mode():
        found = count_macs(lambda: layer(torch.zeros(1, tokens, width)))
    products = tokens * width * (4 + 4 + 4) * width
    assert found['Global'] == products + attention(tokens, tokens, width)
    assert torch.backends.mha.get_fastpath_enabled()


def test_each_part_by_hand(tiny_experiment: Path) -> None:
    d, layers, cells, c, t, verbs = 16, 2, 16, 64, 384, 117
    n, m = HUMANS + THINGS, PAIRS
    parts = {part.name: part.macs[PAIRS] for part in tiny_parts(tiny_experiment)}

    assert parts['ROI align and queries'] == n * cells * c + n * c * d

    encoder_layer = n * (512 * 2 * d + d * 3 * d + d * d + 8 * d * d) + attention(n, n, d)
    spatial = 36 * 128 + 128 * 256 + 256 * d + d * d
    mix = 2 * d * (d + d // 2) + (d + d // 2) * d
    assert parts['encoder'] == encoder_layer + n * 2 * d * d + m * (spatial + mix)

    pairs = n * 2 * 512 * 2 * d + m * 4 * d * d + attention(m, m, d)
    assert parts['self-attention of pairs'] == layers * pairs
    # Keys are twice as wide as values, which are padded for the fused kernel.
    guided = m * 2 * d * d + cells * (d * 2 * d + 256 * d) + attention(m, cells, 2 * d)
    assert parts['spatial branch'] == layers * (n * 2 * 256 * d + guided)
    semantic = m * (d * c + 2 * c * c) + cells * 2 * c * c + attention(m, cells, c)
    assert parts['semantic branch'] == layers * semantic
    assert parts['fusion of branches'] == layers * m * ((d + c) * 4 * d + 4 * d * d)
    assert parts['feed-forward'] == layers * m * 8 * d * d
    shares = sum(parts[name] for name in SHARES)
    connector = cells * (c * d + d * d)
    assert parts['decoder'] == shares + connector + n * (d * d + 2 * d)

    assert parts['head'] == m * (d * t + t * verbs)


def test_the_parts_are_the_whole(tiny_experiment: Path) -> None:
    model, _ = untrained(read_experiment(tiny_experiment))
    parts = [part for part in tiny_parts(tiny_experiment) if not part.within]
    assert sum(part.parameters for part in parts) == sum(p.numel() for p in model.parameters())
    vocabulary = load_vocabulary('hico-det')
    scene = build_scene([crowded_scene(PAIRS, vocabulary)], vocabulary.person)
    with torch.no_grad():
        whole = count_macs(lambda: model.infer(scene, torch.zeros(1, 64, 4, 4)))
    assert sum(part.macs[PAIRS] for part in parts) == whole['Global']


def tiny_parts(experiment: Path) -> list[Part]:
    """The parts of the tiny model, whose backbone is left out."""
    model, backbone = untrained(read_experiment(experiment))
    _, features = backbone_part(backbone.to('meta'), [PAIRS])
    return model_parts(model.to('meta'), features, load_vocabulary('hico-det'), [PAIRS])


def test_of_a_backbone_with_texts_the_image_side_is_counted() -> None:
    pytest.importorskip('open_clip')
    config = read_experiment(EXPERIMENTS / 'link_b.yaml', ['model.backbone.image_size=32'])
    _, backbone = untrained(config)
    part, features = backbone_part(backbone.to('meta'), [PAIRS])
    assert features.shape == (1, 512, 2, 2)
    visual = sum(p.numel() for p in backbone.model.visual.parameters())
    assert part.parameters == visual < sum(p.numel() for p in backbone.parameters())


@pytest.mark.parametrize(
    ('size', 'gmacs', 'tolerance', 'parameters'),
    [('b', 79, 2, 147.6e6), pytest.param('l', 253, 3, 369.6e6, marks=pytest.mark.slow)],
)
def test_the_totals_are_about_those_of_the_paper(
    tmp_path: Path, size: str, gmacs: float, tolerance: float, parameters: float
) -> None:
    """The paper prints 80.1 and 252.5, with a DETR-R50 at 800 x 800."""
    pytest.importorskip('open_clip')
    pytest.importorskip('transformers')
    config = EXPERIMENTS / f'link_{size}.yaml'
    json_file = tmp_path / 'cost.json'
    assert main(['complexity', '--config', str(config), '--json', str(json_file)]) == 0
    found = json.loads(json_file.read_text())
    assert found['macs']['60'] / 1e9 == pytest.approx(gmacs, abs=tolerance)
    assert found['macs']['435'] > found['macs']['60']
    assert found['parameters'] == pytest.approx(parameters, rel=1e-3)


def test_a_model_without_pixels_and_without_a_detector(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    json_file = tmp_path / 'cost.json'
    config = str(EXPERIMENTS / 'boxes_hico.yaml')
    options = ['--detector', 'none', '--pairs', '60', '--json', str(json_file)]
    assert main(['complexity', '--config', config, *options]) == 0
    found = json.loads(json_file.read_text())
    names = [part['part'] for part in found['parts'] if not part['within_the_part_above']]
    assert names == ['queries', 'encoder', 'decoder', 'head']
    assert found['parameters_with_text_side'] == found['parameters']
    assert found['command'].startswith('python -m link_hoi_core.benchmark complexity --config')
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[0] == 'boxes_hico' and lines[-1].startswith('total')


@pytest.mark.parametrize(
    ('options', 'sentence'),
    [
        (['--pairs', '59'], '59 pairs cannot be made'),
        (['--detector', 'detr-r51'], 'detr-r51'),
        (['--image-size', '0'], '--image-size is 0'),
        (['--set', 'model.widht=3'], 'did you mean model.width'),
        (['--json', 'no/such/folder/x.json'], 'no such folder'),
    ],
)
def test_bad_input_is_one_sentence(
    options: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    config = str(EXPERIMENTS / 'boxes_hico.yaml')
    detector = [] if options[0] == '--image-size' else ['--detector', 'none']
    assert main(['complexity', '--config', config, *detector, *options]) == 2
    error = capsys.readouterr().err
    assert sentence in error and error.count('\n') == 1


def test_a_detector_outside_torch_is_not_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recorded = tmp_path / 'recorded.json'
    recorded.write_text(json.dumps({'classes': ['person'], 'images': []}))
    config = str(EXPERIMENTS / 'boxes_hico.yaml')
    assert main(['complexity', '--config', config, '--detector', f'recorded:{recorded}']) == 2
    assert 'recorded' in capsys.readouterr().err
