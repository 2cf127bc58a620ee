"""Small things to test with: an untrained model, checkpoints, a data set, a run trained on it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_runs import arguments

from link_hoi_core.backbones.backbone import BackboneConfig
from link_hoi_core.checkpoint import Checkpoint, build_model, save_checkpoint
from link_hoi_core.configuration import to_dict
from link_hoi_core.model.link import Link, LinkConfig
from link_hoi_core.predictor import HoiPredictor
from link_hoi_core.train import main
from link_hoi_core.vocabulary import load_vocabulary

WIDTH, HEIGHT = 640, 480


@pytest.fixture(scope='session')
def make_model() -> Callable[..., Link]:
    """Build an untrained model of width 32 in eval mode; keywords as of `LinkConfig`."""

    def make(seed: int = 0, **changes: object) -> Link:
        torch.manual_seed(seed)
        model, _ = build_model(LinkConfig(**{'width': 32, **changes}))
        torch.nn.init.normal_(model.head.bias, std=2)  # so that the order of scores means something
        return model.eval()

    return make


@pytest.fixture(scope='session')
def make_predictor(make_model: Callable[..., Link]) -> Callable[..., HoiPredictor]:
    """Wrap the untrained model; keywords as of `HoiPredictor`."""

    def make(**options: object) -> HoiPredictor:
        return HoiPredictor(Checkpoint('small', make_model(), None, {}), **options)

    return make


@pytest.fixture(scope='session')
def small_checkpoint(
    make_model: Callable[..., Link], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The untrained model, saved; tests that damage it copy it first."""
    model = make_model()
    folder = tmp_path_factory.mktemp('models') / 'small'
    save_checkpoint(folder, model, None, {'model': to_dict(model.config)}, 'An untrained model.\n')
    return folder


@pytest.fixture(scope='session')
def seeing_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained model that looks at pixels through a small random backbone, saved."""
    pytest.importorskip('timm')
    backbone = BackboneConfig('timm:test_vit.r160_in1k', weights='random', text='minilm')
    config = LinkConfig(width=32, backbone=backbone, adapter=4)
    torch.manual_seed(0)
    model, frozen = build_model(config)
    for parameter in (model.head.bias, model.adapter.up.weight):  # not alike, and not without use
        torch.nn.init.normal_(parameter, std=2)
    folder = tmp_path_factory.mktemp('models') / 'seeing'
    save_checkpoint(folder, model.eval(), frozen, {'model': to_dict(config)}, 'It sees.\n')
    return folder


@pytest.fixture(scope='session')
def make_seeing(seeing_checkpoint: Path) -> Callable[..., HoiPredictor]:
    """A predictor that looks at pixels; keywords as of `HoiPredictor`."""

    def make(**options: object) -> HoiPredictor:
        return HoiPredictor.from_checkpoint(seeing_checkpoint, 'cpu', **options)

    return make


@pytest.fixture(params=['boxes', 'pixels'])
def make_either(request: pytest.FixtureRequest) -> Callable[..., HoiPredictor]:
    """The untrained model without pixels, then the one with."""
    wanted = {'boxes': 'make_predictor', 'pixels': 'make_seeing'}[request.param]
    return request.getfixturevalue(wanted)


@pytest.fixture
def terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> pytest.CaptureFixture[str]:
    """What is written while stderr, but not stdout, is a terminal, and Rich is installed."""
    pytest.importorskip('rich')
    kind = type(sys.stderr)  # pytest makes another stream for the test itself
    monkeypatch.setattr(kind, 'isatty', lambda stream: stream is not sys.stdout)
    monkeypatch.setenv('COLUMNS', '100')
    return capsys


@pytest.fixture(scope='session')
def write_annotations() -> Callable[..., Path]:
    """Write `count` generated images in HICO-DET's schema; every fifth has no pair."""

    def write(path: Path, count: int, seed: int = 0, with_pairs: bool = True) -> Path:
        random = np.random.default_rng(seed)
        content = {
            'annotation': [_pairs(random, index % 5 and with_pairs) for index in range(count)],
            'filenames': [f'generated_{index:08d}.jpg' for index in range(count)],
            'size': [
                [WIDTH, HEIGHT] if index % 5 and with_pairs else None for index in range(count)
            ],
            'objects': list(load_vocabulary('hico-det').objects),
        }
        path.write_text(json.dumps(content))
        return path

    return write


@pytest.fixture(scope='session')
def data(tmp_path_factory: pytest.TempPathFactory, write_annotations: Callable[..., Path]) -> Path:
    """Forty training images, twenty test images, and a configuration that takes seconds."""
    folder = tmp_path_factory.mktemp('data')
    write_annotations(folder / 'train.json', 40, seed=0)
    write_annotations(folder / 'test.json', 20, seed=1)
    write_annotations(folder / 'no_pairs.json', 10, with_pairs=False)
    (folder / 'tiny.yaml').write_text(f"""
model: {{width: 32, encoder_layers: 1, decoder_layers: 1}}
data: {{root: {json.dumps(str(folder))}, train: train.json, test: test.json, most_images: 4}}
optimiser: {{epochs: 6, learning_rate: 3e-3, clip_norm: 1.0, average: 0.8}}
seed: 7
""")
    return folder


@pytest.fixture(scope='session')
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that was not interrupted."""
    output = tmp_path_factory.mktemp('runs') / 'straight'
    assert main(arguments(data, output)) == 0
    return output


def _pairs(random: np.random.Generator, some: bool) -> dict[str, list]:
    """Up to four pairs; the verb is the object's first one, so that there is something to learn."""
    vocabulary = load_vocabulary('hico-det')
    pairs: dict[str, list] = {'boxes_h': [], 'boxes_o': [], 'hoi': [], 'object': [], 'verb': []}
    for _ in range(random.integers(1, 5) if some else 0):
        object_ = int(random.choice([1, 2, 56, 63]))
        verb = int(np.flatnonzero(vocabulary.valid[object_])[0])
        pairs['boxes_h'].append(_box(random))
        pairs['boxes_o'].append(_box(random))
        pairs['hoi'].append(int(vocabulary.hoi_index[object_, verb]))
        pairs['object'].append(object_)
        pairs['verb'].append(verb)
    return pairs


def _box(random: np.random.Generator) -> list[int]:
    """1-based inclusive pixels, at least 30 a side."""
    x1, y1 = random.integers(1, [WIDTH - 200, HEIGHT - 200])
    width, height = random.integers(30, 200, 2)
    return [int(x1), int(y1), int(x1 + width), int(y1 + height)]
