"""Checkpoints: round trip, all-or-nothing saving, and clear words on every damage."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from link_hoi_core import checkpoint
from link_hoi_core.backbones import BackboneConfig, build_backbone, fingerprint
from link_hoi_core.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from link_hoi_core.configuration import to_dict
from link_hoi_core.model.link import Link
from link_hoi_core.model.scene import build_scene
from link_hoi_core.structures import Detections


@pytest.fixture
def copy(small_checkpoint: Path, tmp_path: Path) -> Path:
    """A checkpoint to damage."""
    return Path(shutil.copytree(small_checkpoint, tmp_path / 'copy'))


def edit_config(folder: Path, **model: object) -> None:
    path = folder / 'config.json'
    config = json.loads(path.read_text())
    config['model'].update(model)
    path.write_text(json.dumps(config))


def edit_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> None:
    weights = load_file(folder / 'model.safetensors')
    change(weights)
    save_file(weights, folder / 'model.safetensors')


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_round_trip(make_model: Callable[..., Link], tmp_path: Path) -> None:
    model = make_model(seed=3)
    config = {'model': to_dict(model.config), 'f1_threshold': 0.25}
    save_checkpoint(tmp_path / 'deep' / 'mine', model, None, config, 'What it is.\n')
    loaded = load_checkpoint(tmp_path / 'deep' / 'mine')
    assert loaded.name == 'mine' and loaded.config == config
    assert not loaded.model.training and loaded.model.config == model.config
    for name, value in model.state_dict().items():
        found = loaded.model.state_dict()[name]
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, value.half().float(), rtol=0, atol=0)
    weights = tmp_path / 'deep' / 'mine' / 'model.safetensors'
    assert loaded.sha256 == hashlib.sha256(weights.read_bytes()).hexdigest()
    hash_line = f'checkpoint_sha256: {loaded.sha256}'
    assert loaded.card == f'---\n{hash_line}\n---\nWhat it is.\n'
    assert weights.with_name('README.md').read_text() == loaded.card
    assert weights.stat().st_size < 2.1 * sum(v.numel() for v in model.state_dict().values()) + 1e4


def test_weights_saved_twice_are_the_same_file(
    make_model: Callable[..., Link], tmp_path: Path
) -> None:
    config = {'model': to_dict(make_model().config)}
    for name in 'ab':
        save_checkpoint(tmp_path / name, make_model(), None, config, '')
    assert contents(tmp_path / 'a') == contents(tmp_path / 'b')


def test_saving_replaces_and_leaves_nothing_else(
    make_model: Callable[..., Link], copy: Path
) -> None:
    model = make_model(seed=9)
    save_checkpoint(copy, model, None, {'model': to_dict(model.config)}, 'New.\n')
    assert (copy / 'README.md').read_text().endswith('---\nNew.\n')
    assert [path.name for path in copy.parent.iterdir()] == ['copy']
    bias = load_checkpoint(copy).model.head.bias
    torch.testing.assert_close(bias, model.head.bias, rtol=1e-3, atol=1e-3)


def test_saving_that_fails_while_writing_leaves_the_old_one(
    make_model: Callable[..., Link], copy: Path
) -> None:
    before, model = contents(copy), make_model(seed=9)
    with pytest.raises(TypeError):
        save_checkpoint(copy, model, None, {'model': {1, 2}}, 'New.\n')  # a set is not JSON
    assert contents(copy) == before
    assert [path.name for path in copy.parent.iterdir()] == ['copy']


def test_saving_that_fails_while_renaming_leaves_the_old_one(
    make_model: Callable[..., Link], copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_space(source: Path, target: Path) -> None:
        raise OSError(28, 'No space left on device')

    before, model = contents(copy), make_model(seed=9)
    monkeypatch.setattr(checkpoint.os, 'replace', no_space)
    with pytest.raises(OSError, match='No space'):
        save_checkpoint(copy, model, None, {'model': to_dict(model.config)}, 'New.\n')
    assert copy.is_dir() and contents(copy) == before


def refused(folder: Path | str, kind: type[Exception], *words: str) -> None:
    """Loading fails by one sentence that holds all the words."""
    with pytest.raises(kind) as error:
        load_checkpoint(folder)
    sentence = str(error.value)
    assert '\n' not in sentence
    assert [word for word in words if word not in sentence] == []


def test_a_file_in_the_folder_is_the_folder(
    small_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = load_checkpoint(small_checkpoint)
    monkeypatch.chdir(small_checkpoint)
    for name in (
        small_checkpoint / 'model.safetensors',
        str(small_checkpoint / 'config.json'),
        'model.safetensors',
        '.',
        f'../{small_checkpoint.name}',
    ):
        found = load_checkpoint(name)
        assert (found.name, found.sha256) == (expected.name, expected.sha256)
        assert found.card == expected.card


def test_a_file_of_something_else_is_no_checkpoint(tmp_path: Path) -> None:
    (tmp_path / 'notes.txt').write_text('hello')
    refused(tmp_path / 'notes.txt', FileNotFoundError, 'no checkpoint', 'notes.txt')


def test_a_hub_name_that_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    constants = pytest.importorskip('huggingface_hub.constants')
    monkeypatch.setattr(constants, 'HF_HUB_OFFLINE', True)
    refused('nobody/no-such-model', ConnectionError, 'nobody/no-such-model', 'hf download')


@pytest.mark.parametrize('name', ['', 'a/b/c', '../boxes', 'bo xes', 'https://example.org/a/b'])
def test_what_is_neither_a_path_nor_a_hub_name(name: str) -> None:
    refused(name, FileNotFoundError, 'no checkpoint', 'boxes')


def logits(found: Checkpoint) -> torch.Tensor:
    """Of one generated picture with a person and two things."""
    picture = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    boxes = [[5, 5, 60, 80], [30, 20, 110, 85], [70, 0, 120, 40]]
    scene = build_scene([Detections(boxes, [1, 1, 1], [0, 1, 56], (90, 120))], person=0)
    with torch.inference_mode():
        features = found.backbone.encode_image(found.backbone.prepare([picture]))
        return found.model.infer(scene, features)


def test_a_model_that_sees_comes_back_with_its_backbone(
    seeing_checkpoint: Path, tmp_path: Path
) -> None:
    first = load_checkpoint(seeing_checkpoint)
    assert fingerprint(first.backbone) in first.config['trained_backbone']
    assert first.card.endswith('\nIt sees.\n')
    assert not first.backbone.training
    assert not any(value.requires_grad for value in first.backbone.parameters())
    save_checkpoint(tmp_path / 'again', first.model, first.backbone, first.config, first.card)
    again = load_checkpoint(tmp_path / 'again')
    torch.testing.assert_close(logits(again), logits(first), rtol=0, atol=0)
    assert again.config == first.config and again.sha256 == first.sha256
    assert again.card == first.card
    assert not [
        name for name in load_file(tmp_path / 'again' / 'model.safetensors') if 'back' in name
    ]


def test_the_backbones_weights_may_lie_elsewhere(seeing_checkpoint: Path, tmp_path: Path) -> None:
    expected = load_checkpoint(seeing_checkpoint)
    file = tmp_path / 'vit.safetensors'
    head = {'head.weight': torch.zeros(1000, 64), 'head.bias': torch.zeros(1000)}
    save_file(expected.backbone.model.state_dict() | head, file)  # as timm publishes it
    found = load_checkpoint(seeing_checkpoint, backbone_weights=str(file))
    torch.testing.assert_close(logits(found), logits(expected), rtol=0, atol=0)


@pytest.fixture
def seeing(seeing_checkpoint: Path, tmp_path: Path) -> Path:
    """A checkpoint with a backbone, to damage."""
    return Path(shutil.copytree(seeing_checkpoint, tmp_path / 'seeing'))


def test_another_backbone_of_the_same_name_names_both(seeing: Path) -> None:
    config = load_checkpoint(seeing).model.config.backbone
    found = fingerprint(build_backbone(config))
    other = fingerprint(build_backbone(replace(config, seed=1)))
    assert found != other
    edit_config(seeing, backbone=asdict(replace(config, seed=1)))
    refused(seeing, ValueError, 'timm:test_vit.r160_in1k', found, other)


def test_a_backbone_of_another_width_is_named(seeing: Path) -> None:
    other = BackboneConfig('timm:test_vit2.r160_in1k', weights='random', text='minilm')
    edit_config(seeing, backbone=asdict(other))
    refused(seeing, ValueError, 'timm:test_vit2.r160_in1k')


def test_a_backbone_that_is_not_there_is_one_sentence(seeing: Path, tmp_path: Path) -> None:
    weights = str(tmp_path / 'nowhere.safetensors')
    with pytest.raises(FileNotFoundError, match='nowhere.safetensors: no such file') as error:
        load_checkpoint(seeing, backbone_weights=weights)
    assert '\n' not in str(error.value)
    edit_config(seeing, backbone={'name': 'timm:test_vitt.r160_in1k', 'weights': 'random'})
    refused(seeing, ValueError, 'test_vitt', 'did you mean', 'test_vit')


def test_with_and_without_pixels_are_different_architectures(seeing: Path, copy: Path) -> None:
    config = json.loads((seeing / 'config.json').read_text())['model']
    edit_config(seeing, backbone={'name': 'none'}, adapter=0)
    refused(seeing, ValueError, 'trained on timm:test_vit.r160_in1k', 'given no backbone')
    edit_config(copy, backbone=config['backbone'])
    refused(copy, ValueError, 'trained on no backbone', 'given timm:test_vit.r160_in1k')


def test_no_such_checkpoint_names_the_embedded_ones() -> None:
    refused('no_such_model', FileNotFoundError, 'no_such_model', 'boxes')


@pytest.mark.parametrize('file', ['model.safetensors', 'config.json'])
def test_missing_file(copy: Path, file: str) -> None:
    (copy / file).unlink()
    refused(copy, FileNotFoundError, str(copy), file)


@pytest.mark.parametrize('size', [0, 4, 100, 5000, -1])
def test_truncated_weights(copy: Path, size: int) -> None:
    weights = copy / 'model.safetensors'
    weights.write_bytes(weights.read_bytes()[:size])
    refused(copy, ValueError, str(weights), 'readable safetensors file')


def test_weights_that_are_no_safetensors(copy: Path) -> None:
    (copy / 'model.safetensors').write_bytes(b'PK\x03\x04 a pickle in a zip' * 100)
    refused(copy, ValueError, 'readable safetensors file')


def test_another_width_names_both_shapes(copy: Path) -> None:
    edit_config(copy, width=64)
    refused(copy, ValueError, 'another architecture', '32', '64', str(copy))


def test_other_layers_are_named(copy: Path, tmp_path: Path) -> None:
    fewer = Path(shutil.copytree(copy, tmp_path / 'fewer'))
    edit_config(copy, decoder_layers=3)
    refused(copy, ValueError, 'another architecture', 'decoder.layers.2', 'absent')
    edit_config(fewer, decoder_layers=1)
    refused(fewer, ValueError, 'another architecture', 'decoder.layers.1', 'absent')


def test_another_vocabulary(copy: Path) -> None:
    edit_config(copy, vocabulary='v-coco')
    refused(copy, ValueError, 'another vocabulary', 'v-coco', '117', '24')


def test_weights_that_are_not_those_of_the_card_are_refused_by_both_hashes(copy: Path) -> None:
    told = load_checkpoint(copy).sha256
    edit_weights(copy, lambda weights: weights['head.bias'].add_(0.5))
    found = hashlib.sha256((copy / 'model.safetensors').read_bytes()).hexdigest()
    refused(copy, ValueError, 'model.safetensors', 'README.md', told, found)


def test_a_card_without_a_hash_or_no_card_is_believed(copy: Path) -> None:
    for text in ('', 'From before hashes.\n', '---\nlicense: mit\n---\ncheckpoint_sha256: 12\n'):
        (copy / 'README.md').write_text(text)
        assert load_checkpoint(copy).card == text
    (copy / 'README.md').unlink()
    assert load_checkpoint(copy).card == ''


def test_the_hash_takes_its_place_in_the_cards_metadata(
    make_model: Callable[..., Link], tmp_path: Path
) -> None:
    model = make_model()
    card = '---\ncheckpoint_sha256: of-before\nlicense: mit\n---\n# Mine\n\n---\nMore.\n'
    save_checkpoint(tmp_path / 'new', model, None, {'model': to_dict(model.config)}, card)
    saved = load_checkpoint(tmp_path / 'new')
    metadata = f'license: mit\ncheckpoint_sha256: {saved.sha256}'
    assert saved.card == f'---\n{metadata}\n---\n# Mine\n\n---\nMore.\n'


@pytest.mark.parametrize('value', [float('nan'), float('inf')])
def test_weights_that_are_not_finite(copy: Path, value: float) -> None:
    edit_weights(copy, lambda weights: weights['head.bias'].fill_(value))
    refused(copy, ValueError, 'not finite', 'head.bias')


@pytest.mark.parametrize(
    ('text', 'words'),
    [
        ('{"model": {', ['not valid JSON']),
        ('\x00\x01', ['not valid JSON']),
        ('[1, 2]', ["no key 'model'"]),
        ('{"seed": 1}', ["no key 'model'"]),
        ('{"model": null}', ['model is None']),
        ('{"model": {"widht": 32}}', ['model.widht', 'model.width']),
        ('{"model": {"width": "wide"}}', ['model.width', "'wide'", 'int']),
        ('{"model": {"vocabulary": "hicodet"}}', ['hicodet', 'hico-det']),
    ],
)
def test_malformed_configuration(copy: Path, text: str, words: list[str]) -> None:
    (copy / 'config.json').write_text(text)
    refused(copy, ValueError, *words)


def test_configuration_that_is_no_text(copy: Path) -> None:
    (copy / 'config.json').write_bytes(b'\xff\xfe\x80')
    refused(copy, ValueError, 'config.json', 'not valid JSON')


@pytest.mark.parametrize(
    'sizes', [{'width': 36, 'heads': 8}, {'heads': 0}, {'width': -8}, {'encoder_layers': -1}]
)
def test_impossible_sizes_are_one_sentence(copy: Path, sizes: dict[str, int]) -> None:
    edit_config(copy, **sizes)
    refused(copy, ValueError, next(iter(sizes)))


def test_a_weight_beyond_half_precision_is_refused_before_anything_is_written(
    make_model: Callable[..., Link], tmp_path: Path
) -> None:
    model = make_model()
    with torch.no_grad():
        model.head.bias[0] = 1e6
    with pytest.raises(ValueError, match='head.bias holds a value that is not finite in half'):
        save_checkpoint(tmp_path / 'new', model, None, {'model': to_dict(model.config)}, '')
    assert list(tmp_path.iterdir()) == []
