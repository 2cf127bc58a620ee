"""Weights of others: what cannot be had or read is one sentence that says what to do."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from link_hoi_core.hub import download, load_weights, upload, weights_file


def fail(error: Exception) -> object:
    def load(source: str) -> None:
        raise error

    return load


def test_published_weights_are_loaded_by_the_repositorys_name() -> None:
    assert load_weights(lambda source: f'loaded {source}', 'pretrained', 'a/b') == 'loaded a/b'


def test_local_weights_are_loaded_from_their_path(tmp_path: Path) -> None:
    save_file({'weight': torch.ones(2)}, tmp_path / 'model.safetensors')
    found = load_weights(load_file, str(tmp_path / 'model.safetensors'), 'a/b')
    assert found['weight'].tolist() == [1, 1]


def test_a_path_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / 'absent'
    with pytest.raises(FileNotFoundError, match=f'^{path}: no such file or folder of weights$'):
        load_weights(load_file, str(path), 'a/b')


@pytest.mark.parametrize('kind', [OSError, RuntimeError, ValueError])
def test_a_missing_network_says_what_to_download(kind: type[Exception]) -> None:
    with pytest.raises(ConnectionError, match='hf download a/b --local-dir FOLDER') as caught:
        load_weights(fail(kind('no route\n\n  to host' + 99 * ' of yours')), 'pretrained', 'a/b')
    sentence = str(caught.value)
    assert sentence.startswith('a/b could not be') and 'no route to host' in sentence
    assert ' of yours ...): where there is a network' in sentence  # cut between words
    assert '\n' not in sentence and len(sentence) < 450


@pytest.mark.parametrize('content', [b'', b'no weights', bytes(1000)])
def test_a_damaged_file_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / 'weights'
    path.write_bytes(content)
    loaders = (load_file, lambda source: torch.load(source, weights_only=True))
    for load in loaders:
        with pytest.raises(ValueError, match=f'^{path} holds no weights of a/b: ') as caught:
            load_weights(load, str(path), 'a/b')
        assert '\n' not in str(caught.value) and 'weights_only' not in str(caught.value)
        assert not str(caught.value).endswith(': ')


def test_a_file_that_would_run_code_is_refused(tmp_path: Path) -> None:
    path = tmp_path / 'weights.pth'
    path.write_bytes(pickle.dumps(fail, protocol=2))
    with pytest.raises(ValueError, match='holds no weights of a/b'):
        load_weights(lambda source: torch.load(source, weights_only=True), str(path), 'a/b')


@pytest.mark.parametrize('kind', [KeyError, TypeError, AttributeError, ZeroDivisionError])
def test_a_mistake_of_ours_is_not_taken_for_a_missing_network(kind: type[Exception]) -> None:
    with pytest.raises(kind):
        load_weights(fail(kind()), 'pretrained', 'a/b')


def test_whatever_the_hubs_library_raises_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its client's own errors, too, which are no OSError."""
    pytest.importorskip('huggingface_hub')
    monkeypatch.setenv('https_proxy', 'http://127.0.0.1:9')  # nobody listens
    monkeypatch.setenv('HTTPS_PROXY', 'http://127.0.0.1:9')
    with pytest.raises(ConnectionError, match='^a/b could not be put on the hub '):
        upload(tmp_path, 'a/b', private=True)
    with pytest.raises(ConnectionError, match='^a/b could not be had from the hub '):
        download('a/b', ['config.json'])


def test_libraries_are_quiet_while_they_load_and_as_before_afterwards() -> None:
    code = """
import logging
import pytest
from link_hoi_core.hub import load_weights
bars = pytest.importorskip('transformers.utils.logging')
hub = pytest.importorskip('huggingface_hub.utils')
def load(source):
    logging.error('as open_clip does')
    bars.get_logger('transformers.modeling').warning('a table')
    list(bars.tqdm(range(9), desc='Loading weights'))
    assert not hub.are_progress_bars_disabled()
load_weights(load, 'pretrained', 'a/b')
assert bars.is_progress_bar_enabled() and not logging.root.handlers
logging.getLogger('ours').warning('heard again')
"""
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert (done.returncode, done.stderr.strip()) == (0, 'heard again')


def test_the_most_wanted_file_of_a_folder_is_found(tmp_path: Path) -> None:
    names = ('first.safetensors', 'second.bin')
    with pytest.raises(FileNotFoundError, match='lacks first.safetensors and second.bin'):
        weights_file(str(tmp_path), names)
    (tmp_path / 'second.bin').touch()
    assert weights_file(str(tmp_path), names) == str(tmp_path / 'second.bin')
    (tmp_path / 'first.safetensors').touch()
    assert weights_file(str(tmp_path), names) == str(tmp_path / 'first.safetensors')
    assert weights_file(str(tmp_path / 'second.bin'), names) == str(tmp_path / 'second.bin')
