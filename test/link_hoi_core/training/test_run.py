"""Runs that are stopped, that fail, and that several processes share: what they leave and say."""

from __future__ import annotations

import csv
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from tiny_runs import arguments, refused, sentence, weights

from link_hoi_core.train import main

pytest.importorskip('lightning')
ROOT = Path(__file__).resolve().parents[3]


def disturbed(data: Path, output: Path, disturb: Callable[[], object], *more: str) -> int:
    """The command's status when something happens after the first epoch."""

    def wait() -> None:
        deadline = time.monotonic() + 60
        while not (output / 'last.ckpt').is_file() and time.monotonic() < deadline:
            time.sleep(0.001)
        disturb()

    waiting = threading.Thread(target=wait)
    waiting.start()
    status = main(arguments(data, output, *more))
    waiting.join()
    return status


def interrupted(data: Path, output: Path, number: int, *more: str) -> int:
    """The command's status when the signal comes after the first epoch."""
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    status = disturbed(data, output, lambda: os.kill(os.getpid(), number), *more)
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before
    return status


def content(run: Path) -> dict[Path, bytes]:
    """Every file in the folder of a run."""
    return {path.relative_to(run): path.read_bytes() for path in run.rglob('*') if path.is_file()}


@pytest.fixture(scope='module')
def stopped(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that was stopped on its way; tests that change it copy it first."""
    output = tmp_path_factory.mktemp('runs') / 'stopped'
    assert interrupted(data, output, signal.SIGTERM) == 143
    return output


@pytest.mark.parametrize(('number', 'status'), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_stops_a_run_that_can_be_resumed(
    data: Path,
    trained: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    number: int,
    status: int,
) -> None:
    output = tmp_path / 'run'
    assert interrupted(data, output, number) == status
    said = sentence(capfd.readouterr().err)
    epochs = torch.load(output / 'last.ckpt', weights_only=True)['epoch'] + 1
    assert 1 <= epochs < 6
    assert signal.Signals(number).name in said and '--resume' in said
    assert str(output / 'last.ckpt') in said and f'after {epochs} whole' in said
    assert not (output / 'checkpoint').exists() and not list(output.glob('*.partial'))
    assert main(arguments(data, output, '--resume')) == 0
    assert weights(output) == weights(trained)


def test_a_run_with_workers_repeats_and_goes_on_as_if_not_stopped(
    data: Path, tmp_path: Path
) -> None:
    """Augmentation is then drawn in other processes."""
    more = ('--set', 'data.workers=1', '--set', 'optimiser.epochs=3')
    assert main(arguments(data, tmp_path / 'straight', *more)) == 0
    assert interrupted(data, tmp_path / 'stopped', signal.SIGTERM, *more) == 143
    assert main(arguments(data, tmp_path / 'stopped', '--resume', *more)) == 0
    assert weights(tmp_path / 'stopped') == weights(tmp_path / 'straight')


def test_the_best_state_is_that_of_the_best_epoch(trained: Path) -> None:
    with next(trained.glob('csv/*/metrics.csv')).open() as file:
        figures = [float(row['full']) for row in csv.DictReader(file) if row['full']]
    best = torch.load(trained / 'best.ckpt', weights_only=True)
    assert len(figures) == 6 and figures[best['epoch']] == max(figures)


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Writing a file beyond `size` bytes fails, as on a full disk."""
    former = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, former[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, former)


def test_a_full_disk_leaves_the_former_state_whole(
    data: Path, trained: Path, stopped: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    output = Path(shutil.copytree(stopped, tmp_path / 'run'))
    before = {path: path.read_bytes() for path in output.glob('*.ckpt')}
    with files_of_at_most(2**20):
        command = arguments(data, output, '--resume')
        refused(capfd, command, '.ckpt cannot be saved', 'still whole')
    assert {path: path.read_bytes() for path in output.glob('*.ckpt*')} == before
    assert main(arguments(data, output, '--resume')) == 0
    assert weights(output) == weights(trained)


def test_a_disk_that_is_full_from_the_start(
    data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with files_of_at_most(2**20):
        refused(capfd, arguments(data, tmp_path / 'run'), 'there is no former one')
    assert not list((tmp_path / 'run').glob('*.ckpt*'))


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_last_state(
    data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A learning rate that is multiplied by 1e30 after the second epoch."""
    schedule = ('schedule=steps', 'drop_after=2', 'drop=1e30')
    more = [word for value in schedule for word in ('--set', f'optimiser.{value}')]
    refused(capfd, arguments(data, tmp_path / 'run', *more), 'the loss is nan at step ')
    state = torch.load(tmp_path / 'run' / 'last.ckpt', weights_only=True)
    assert state['epoch'] == 1
    assert all(values.isfinite().all() for values in state['current_model_state'].values())
    assert not (tmp_path / 'run' / 'checkpoint').exists()


@pytest.mark.parametrize('workers', [0, 1])
def test_a_picture_that_vanishes_while_training_is_named(
    data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], workers: int
) -> None:
    pytest.importorskip('timm')
    image = pytest.importorskip('PIL.Image')
    for name in json.loads((data / 'train.json').read_text())['filenames']:
        image.new('RGB', (640, 480)).save(tmp_path / name)
    lost = tmp_path / 'generated_00000039.jpg'  # is not among the test images
    backbone = "{name: 'timm:test_vit.r160_in1k', weights: random, image_size: 64, text: minilm}"
    values = (f'model.backbone={backbone}', f'data.images=[{tmp_path}]', f'data.workers={workers}')
    more = [word for value in values for word in ('--set', value)]
    assert disturbed(data, tmp_path / 'run', lost.unlink, *more) == 2
    said = sentence(capfd.readouterr().err)
    assert lost.name in said and str(tmp_path) in said and 'Traceback' not in said


@pytest.mark.parametrize(
    ('begun', 'more', 'changes', 'unchanged'),
    [
        (
            'stopped',
            ('--set', 'model.width=64', '--set', 'augmentation.flip=0.25', '--seed', '8'),
            ('model.width was 32, is 64', 'seed was 7, is 8', 'augmentation.flip was 0.5'),
            'optimiser',
        ),
        (
            'trained',
            ('--set', 'optimiser.learning_rate=0.5'),
            ('optimiser.learning_rate was 0.003, is 0.5',),
            'seed',
        ),
        ('trained', ('--seed', '8'), ('seed was 7, is 8',), 'optimiser'),
    ],
    ids=['model', 'optimiser', 'seed'],
)
def test_resuming_with_another_configuration_says_what_differs_and_changes_nothing(
    data: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    request: pytest.FixtureRequest,
    begun: str,
    more: tuple[str, ...],
    changes: tuple[str, ...],
    unchanged: str,
) -> None:
    run = request.getfixturevalue(begun)
    output = Path(shutil.copytree(run, tmp_path / 'run'))
    said = refused(capfd, arguments(data, output, '--resume', *more), str(output), *changes)
    assert unchanged not in said
    assert content(output) == content(run)


def test_resuming_on_more_devices_is_refused(
    data: Path, stopped: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    steps = 'was begun with 8 steps an epoch, now there are 4'
    refused(capfd, arguments(data, stopped, '--resume', '--devices', '2'), steps, 'devices')


def test_a_killed_run_of_a_version_with_fewer_keys_is_resumed(
    data: Path, trained: Path, stopped: Path, tmp_path: Path
) -> None:
    output = Path(shutil.copytree(stopped, tmp_path / 'run'))
    begun = json.loads((output / 'experiment.json').read_text())
    del begun['augmentation'], begun['data']['workers'], begun['optimiser']['precision']
    (output / 'experiment.json').write_text(json.dumps(begun))
    (output / 'last.ckpt.123.partial').write_bytes(b'killed while writing')
    assert main(arguments(data, output, '--resume')) == 0
    assert weights(output) == weights(trained) and not list(output.glob('*.partial'))


@pytest.mark.parametrize('setting', ['average=0', 'precision=bf16'])
def test_weights_that_are_not_averaged_and_other_precisions(
    data: Path, trained: Path, tmp_path: Path, setting: str
) -> None:
    more = ('--set', f'optimiser.{setting}', '--set', 'optimiser.epochs=2')
    assert main(arguments(data, tmp_path / 'run', *more)) == 0
    state = torch.load(tmp_path / 'run' / 'last.ckpt', weights_only=True)
    assert ('averaging_state' in state) == (setting != 'average=0')
    assert {values.dtype for values in state['state_dict'].values()} == {torch.float32}


LAUNCHERS = {
    'lightning': ('-m', 'link_hoi_core.train', '--devices', '2'),
    'torchrun': (
        *('-m', 'torch.distributed.run', '--standalone', '--nproc-per-node', '2'),
        *('-m', 'link_hoi_core.train'),
    ),
}


def launch(data: Path, output: Path, launcher: str, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, *LAUNCHERS[launcher], *arguments(data, output, *more)]
    environment = {**os.environ, 'OMP_NUM_THREADS': '1'}
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, text=True, stdout=-1, stderr=subprocess.STDOUT
    )


@pytest.fixture(scope='module')
def shared(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of two processes that was not interrupted."""
    output = tmp_path_factory.mktemp('runs') / 'shared'
    run = launch(data, output, 'lightning')
    text, _ = run.communicate(timeout=150)
    assert run.returncode == 0, text
    return output


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize('launcher', list(LAUNCHERS))
def test_two_processes_that_are_stopped_go_on_and_end_as_if_not(
    data: Path, shared: Path, tmp_path: Path, launcher: str
) -> None:
    """Both launchers train alike; only one process writes and speaks."""
    output = tmp_path / 'run'
    run = launch(data, output, launcher)
    while not (output / 'last.ckpt').is_file() and run.poll() is None:
        time.sleep(0.001)
    run.terminate()
    text, _ = run.communicate(timeout=100)
    assert run.returncode != 0, text
    if launcher == 'lightning':  # torchrun has a status and words of its own
        assert run.returncode == 143, text
        assert 'SIGTERM' in sentence(text) and '--resume' in sentence(text)
    assert not (output / 'checkpoint').exists()
    run = launch(data, output, launcher, '--resume')
    text, _ = run.communicate(timeout=150)
    assert run.returncode == 0, text
    assert weights(output) == weights(shared)
    assert {path.name for path in output.iterdir()} == {path.name for path in shared.iterdir()}
    assert len(list(output.glob('csv/*'))) == 2  # one a start, not one a process


@pytest.mark.slow
@pytest.mark.timeout(200)
@pytest.mark.parametrize('launcher', list(LAUNCHERS))
def test_a_failure_of_one_process_ends_all(data: Path, tmp_path: Path, launcher: str) -> None:
    schedule = ('schedule=steps', 'drop_after=2', 'drop=1e30')
    more = [word for value in schedule for word in ('--set', f'optimiser.{value}')]
    run = launch(data, tmp_path / 'run', launcher, *more)
    text, _ = run.communicate(timeout=100)
    assert run.returncode != 0
    assert 'train: the loss is nan' in text
    assert torch.load(tmp_path / 'run' / 'last.ckpt', weights_only=True)['epoch'] == 1
