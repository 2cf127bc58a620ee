"""Checkpoints: round trip, all-or-nothing saving, and clear words on every damage."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from link_hoi_core import checkpoint
from link_hoi_core.checkpoint import load_checkpoint, save_checkpoint
from link_hoi_core.configuration import to_dict
from link_hoi_core.model.link import Link


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
    loaded = load_checkpoint(tmp_path / 'deep' / 'mine', 'cpu')
    assert loaded.name == 'mine' and loaded.config == config
    assert not loaded.model.training and loaded.model.config == model.config
    for name, value in model.state_dict().items():
        found = loaded.model.state_dict()[name]
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, value.half().float(), rtol=0, atol=0)
    weights = tmp_path / 'deep' / 'mine' / 'model.safetensors'
    assert loaded.sha256 == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert weights.with_name('README.md').read_text() == 'What it is.\n'
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
    assert (copy / 'README.md').read_text() == 'New.\n'
    assert [path.name for path in copy.parent.iterdir()] == ['copy']
    bias = load_checkpoint(copy, 'cpu').model.head.bias
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
        load_checkpoint(folder, 'cpu')
    sentence = str(error.value)
    assert '\n' not in sentence
    assert [word for word in words if word not in sentence] == []


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


def test_another_vocabulary_is_another_architecture(copy: Path) -> None:
    edit_config(copy, vocabulary='v-coco')
    refused(copy, ValueError, 'another architecture', '117', '24')


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
