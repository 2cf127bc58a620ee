"""The command `detect`: a real detector on real photos, killed, resumed, shared out, bad input."""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from link_hoi_core.data.recorded import read_recorded
from link_hoi_core.detect import main, name_pictures
from link_hoi_core.detectors import load_detector
from link_hoi_core.images import list_pictures, read_image
from link_hoi_core.vocabulary import load_vocabulary

ROOT = Path(__file__).resolve().parents[2]
VOCABULARY = load_vocabulary('hico-det')
COUNT = 18  # photos; enough for a signal to come in time


@pytest.fixture(scope='module')
def detector(shared: Path) -> str:
    weights = shared / 'weights' / 'yolox_nano_coco.onnx'
    if not weights.is_file():
        pytest.skip(f'{weights} is absent')
    pytest.importorskip('onnxruntime')
    return f'onnx:{weights}'


@pytest.fixture
def photos(shared: Path, tmp_path: Path) -> Path:
    """A folder of photos."""
    folder = tmp_path / 'photos'
    folder.mkdir()
    for path in list_pictures([shared / 'data' / 'images'])[10 : 10 + COUNT]:
        shutil.copyfile(path, folder / path.name)
    return folder


@pytest.fixture
def whole(photos: Path, detector: str, tmp_path: Path) -> Path:
    """The photos' detections by a run that nothing disturbs."""
    output = tmp_path / 'whole' / 'whole.json'
    assert detect(photos, '--detector', detector, '--output', output) == 0
    return output


def detect(*arguments: object) -> int:
    return main([str(argument) for argument in (*arguments, '--device', 'cpu')])


def failure(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one sentence of a command that must fail."""
    capsys.readouterr()
    assert detect(*arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith('detect: ') and said.count('\n') == 1
    return said


def begin(partial: Path, count: int, *arguments: object) -> subprocess.Popen[str]:
    """Start the command and wait until `count` photos are done."""
    command = [sys.executable, '-m', 'link_hoi_core.detect', *arguments, '--device', 'cpu']
    process = subprocess.Popen(
        [str(part) for part in command], cwd=ROOT, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while not partial.is_file() or partial.read_bytes().count(b'\n') <= count:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.002)
    return process


def test_the_file_has_what_the_detector_finds(
    photos: Path, detector: str, tmp_path: Path, capsys
) -> None:
    output = tmp_path / 'made' / 'found.json.gz'
    command = [photos, '--detector', detector, '--detector-threshold', 0.3, '--output', output]
    assert detect(*command, '--batch', 4) == 0
    said = capsys.readouterr()
    images = read_recorded(output, VOCABULARY)
    boxes = sum(len(image.detections) for image in images)
    assert said.out == f'{output}: {boxes} detections in {COUNT} pictures\n' and boxes > COUNT
    assert said.err.splitlines()[-1] == f'detect: 100 % ({COUNT} of {COUNT} pictures)'
    assert [file.name for file in output.parent.iterdir()] == [output.name]

    names = sorted(path.name for path in photos.iterdir())
    assert [image.file_name for image in images] == names
    built = load_detector(detector, VOCABULARY, score_threshold=0.3)
    for name, image in zip(names, images):
        (expected,) = built.detect([read_image(photos / name)])
        assert image.detections.image_size == expected.image_size
        assert image.detections.names == expected.names
        np.testing.assert_array_equal(image.detections.labels, expected.labels)
        np.testing.assert_allclose(image.detections.boxes, expected.boxes, atol=0.0501)
        np.testing.assert_allclose(image.detections.scores, expected.scores, atol=0.0000501)


def test_a_killed_run_goes_on_and_gives_the_same_bytes(
    photos: Path, detector: str, whole: Path, tmp_path: Path
) -> None:
    output = tmp_path / 'found.json'
    partial = tmp_path / 'found.json.partial.jsonl'
    command = [photos, '--detector', detector, '--output', output]
    process = begin(partial, 2, *command, '--batch', 1)
    process.kill()
    process.communicate()
    kept = partial.read_bytes()
    assert 3 <= kept.count(b'\n') < COUNT and not output.exists()
    partial.write_bytes(kept[:-7])  # as if it had been killed while it wrote

    first = json.loads(kept.splitlines()[1])['file_name']
    (photos / first).write_bytes(b'not looked at again')
    assert detect(*command, '--batch', 1) == 0
    assert output.read_bytes() == whole.read_bytes()
    assert not partial.exists()


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_run_says_how_to_go_on(
    number: int, photos: Path, detector: str, whole: Path, tmp_path: Path
) -> None:
    output = tmp_path / 'found.json'
    command = [photos, '--detector', detector, '--output', output]
    process = begin(tmp_path / 'found.json.partial.jsonl', 1, *command, '--batch', 1)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + number and not output.exists()
    assert said.splitlines()[-1].endswith(f'of {COUNT} pictures are done: the same command goes on')
    assert detect(*command, '--batch', 1) == 0
    assert output.read_bytes() == whole.read_bytes()


def test_shards_together_are_the_whole(
    photos: Path, detector: str, whole: Path, tmp_path: Path, capsys
) -> None:
    shards = [tmp_path / f'{i}.json' for i in range(4)]
    for i, shard in enumerate(shards):
        command = [photos, '--detector', detector, '--shard', f'{i}/4', '--output', shard]
        assert detect(*command) == 0
    counts = [len(read_recorded(shard, VOCABULARY)) for shard in shards]
    assert counts == [5, 5, 4, 4]
    merged = tmp_path / 'merged.json'
    assert detect('--merge', *reversed(shards), '--output', merged) == 0
    assert merged.read_bytes() == whole.read_bytes()

    output = ['--output', tmp_path / 'other.json']
    said = failure(capsys, '--merge', shards[0], shards[1], shards[0], *output)
    assert '0.json' in said and 'comes twice' in said
    content = json.loads(shards[1].read_text())
    content['detector']['detector_threshold'] = 0.5
    shards[1].write_text(json.dumps(content))
    assert '1.json was made with' in failure(capsys, '--merge', *shards, *output)
    assert 'no such file' in failure(capsys, '--merge', tmp_path / 'absent.json', *output)
    assert not (tmp_path / 'other.json').exists()


def test_a_run_goes_on_only_with_the_same_settings_and_pictures(
    photos: Path, detector: str, tmp_path: Path, capsys
) -> None:
    output = tmp_path / 'found.json'
    command = [photos, '--detector', detector, '--output', output]
    torn = photos / 'zzz.jpg'
    torn.write_bytes(b'no picture')
    stop = ['--most-failures', 0]
    assert 'had to be left out' in failure_after_faults(capsys, 1, *command, *stop)
    changes = {
        'detector_threshold None, not 0.5': ['--detector-threshold', 0.5],
        "shard '0/1', not '1/2'": ['--shard', '1/2'],
        "objects None, not 'cup'": ['--objects', 'cup'],
        "vocabulary 'hico-det', not 'v-coco'": ['--vocabulary', 'v-coco'],
        "detector_weights 'pretrained', not 'random'": ['--detector-weights', 'random'],
        "not 'detr-r50'": ['--detector', 'detr-r50'],
    }
    for said, change in changes.items():
        assert f'{said}: finish it so' in failure(capsys, *command, *change)
    done = min(photos.iterdir())
    moved = done.rename(tmp_path / done.name)
    assert 'is not among the pictures' in failure(capsys, *command)
    moved.rename(done)
    torn.unlink()
    assert detect(*command) == 0 and len(read_recorded(output, VOCABULARY)) == COUNT
    assert 'is there already' in failure(capsys, *command)


def failure_after_faults(
    capsys: pytest.CaptureFixture[str], faults: int, *arguments: object
) -> str:
    """The last sentence of a command that fails after one on each of `faults` pictures."""
    capsys.readouterr()
    assert detect(*arguments) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if '%' not in line]
    assert len(lines) == faults + 1
    return lines[-1]


def test_unreadable_pictures_are_left_out_up_to_a_limit(
    photos: Path, detector: str, whole: Path, tmp_path: Path, capsys
) -> None:
    bad = [photos / f'a{i}.jpg' for i in range(3)]
    for path in bad:
        path.write_bytes(next(photos.glob('0*.jpg')).read_bytes()[:999])
    output = tmp_path / 'found.json'
    command = [photos, tmp_path / 'absent.png', '--detector', detector, '--output', output]
    capsys.readouterr()
    assert detect(*command, '--most-failures', 4) == 1
    said = capsys.readouterr().err.splitlines()
    assert [line.split(' left out: ')[0] for line in said if 'left out' in line] == [
        f'detect: {path}' for path in ('a0.jpg', 'a1.jpg', 'a2.jpg', 'absent.png')
    ]
    assert output.read_bytes() == whole.read_bytes()

    output.unlink()
    last = failure_after_faults(capsys, 4, *command, '--most-failures', 3)
    assert '4 pictures had to be left out, more than --most-failures 3' in last
    assert not output.exists()


def test_a_bar_on_a_terminal(photos: Path, detector: str, tmp_path: Path) -> None:
    pytest.importorskip('rich')
    command = [sys.executable, '-m', 'link_hoi_core.detect', photos, '--detector', detector]
    command += ['--device', 'cpu', '--output', tmp_path / 'found.json']
    terminal, side = pty.openpty()
    process = subprocess.Popen([str(part) for part in command], cwd=ROOT, stderr=side)
    os.close(side)
    shown = b''
    while True:
        try:
            part = os.read(terminal, 4096)
        except OSError:  # the other side was closed
            break
        if not part:
            break
        shown += part
    os.close(terminal)
    assert process.wait(timeout=60) == 0
    assert f'{COUNT}/{COUNT}'.encode() in shown and b'detect: 100 %' not in shown


def test_bad_arguments_are_one_sentence(photos: Path, tmp_path: Path, capsys) -> None:
    (tmp_path / 'empty').mkdir()
    output = ['--output', tmp_path / 'found.json']
    start = [photos, *output, '--detector', 'detr-r50']
    cases = {
        "unknown detector 'yolo'": [photos, *output, '--detector', 'yolo'],
        'expected a name in .json or .json.gz': [*start, '--output', tmp_path / 'found'],
        'has no picture': [tmp_path / 'empty', *start[1:]],
        '--batch is 0, expected 1 or more': [*start, '--batch', 0],
        '--most-failures is -1, expected 0': [*start, '--most-failures=-1'],
        '--detector-threshold is 2.0': [*start, '--detector-threshold', 2],
        'give pictures or folders and a --detector': [photos, *output],
        '--merge takes files of recorded detections': [*start, '--merge', 'a.json'],
        "unknown vocabulary 'coco'": [*start, '--vocabulary', 'coco'],
        'is among the objects': [*start, '--objects', 'cup,'],
        'no such': [photos, *output, '--detector', f'onnx:{tmp_path}/absent.onnx'],
    }
    for said, arguments in cases.items():
        assert said in failure(capsys, *arguments)
    for shard in ('4/4', '1', '-1/2', 'a/b', '0/0'):
        with pytest.raises(SystemExit):
            detect(*start, f'--shard={shard}')
        assert f'{shard!r} is no shard, expected 0/4' in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == {'photos', 'empty'}


def test_two_pictures_of_one_name_are_refused(photos: Path, tmp_path: Path) -> None:
    first = min(photos.iterdir())
    assert name_pictures([photos, first])[first.name] == first
    (tmp_path / 'more').mkdir()
    other = shutil.copyfile(first, tmp_path / 'more' / first.name)
    with pytest.raises(ValueError, match=f'would both be recorded as {first.name!r}'):
        name_pictures([photos, other])
