"""The command `evaluate hico-det`: figures, options, bad input."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from link_hoi_core.data.hico_det import ground_truth_detections, read_hico_det
from link_hoi_core.evaluate import main
from link_hoi_core.evaluation.hico_det import HicoDet
from link_hoi_core.evaluation.outcome import evaluate
from link_hoi_core.evaluation.pairs import ScoredPairs, annotated_pairs, predicted_pairs
from link_hoi_core.evaluation.prediction_files import write_predictions
from link_hoi_core.predictor import HoiPredictor
from link_hoi_core.vocabulary import load_vocabulary


@pytest.fixture
def annotations(tmp_path: Path, write_annotations: Callable[..., Path]) -> Path:
    return write_annotations(tmp_path / 'annotations.json', 20)


@pytest.fixture
def predictions(tmp_path: Path, annotations: Path) -> Path:
    """Every annotated pair found, with score 0.4."""
    images = read_hico_det(annotations)
    pairs = annotated_pairs(images)
    scored = ScoredPairs(*(vars(pairs) | {'score': np.full(len(pairs), 0.4)}).values())
    write_predictions(tmp_path / 'found.json', 'hico-det', images, scored)
    return tmp_path / 'found.json'


def figures(tmp_path: Path, annotations: Path, *arguments: object) -> dict:
    output = tmp_path / 'figures.json'
    command = ['hico-det', '--annotations', annotations, *arguments, '--json', output]
    assert main([str(part) for part in command]) == 0
    return json.loads(output.read_text())


def failure(capsys: pytest.CaptureFixture[str], annotations: Path, *arguments: object) -> str:
    """The one sentence of a command that must fail."""
    assert main(['hico-det', '--annotations', *map(str, [annotations, *arguments])]) == 2
    captured = capsys.readouterr()
    assert captured.out == ''
    assert captured.err.startswith('evaluate: ')
    assert captured.err.count('\n') == 1
    return captured.err


@pytest.mark.parametrize('convention', ['official', 'pvic'])
def test_perfect_predictions(
    tmp_path: Path,
    annotations: Path,
    predictions: Path,
    convention: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    classes = {int(hoi) for image in read_hico_det(annotations) for hoi in image.hoi}
    result = figures(
        tmp_path,
        annotations,
        '--predictions',
        predictions,
        '--convention',
        convention,
        '--f1-threshold',
        0.3,
    )
    assert result['full'] == pytest.approx(100 * len(classes) / 600)
    assert result['mf1'] == result['mprec'] == result['mrec'] == pytest.approx(len(classes) / 600)
    assert (result['convention'], result['protocol']) == (convention, 'default')
    vocabulary = load_vocabulary('hico-det')
    verb, object_ = vocabulary.hois[min(classes)]
    name = f'{vocabulary.verbs[verb]} {vocabulary.objects[object_]}'
    assert len(result['per_class_ap']) == 600
    assert result['per_class_ap'][name] == pytest.approx(100)
    assert f'Full {result["full"]:6.2f}' in capsys.readouterr().out


def test_f1_threshold_given_default_and_best(
    tmp_path: Path, annotations: Path, predictions: Path
) -> None:
    by_default = figures(tmp_path, annotations, '--predictions', predictions)
    assert (by_default['f1_threshold'], by_default['mf1']) == (0.5, 0)
    best = figures(tmp_path, annotations, '--predictions', predictions, '--f1-threshold', 'best')
    assert (best['f1_threshold'], best['mf1'] > 0) == (0.01, True)


def test_model_on_annotated_boxes_gives_what_its_predictor_gives(
    tmp_path: Path, annotations: Path, small_checkpoint: Path
) -> None:
    folder = shutil.copytree(small_checkpoint, tmp_path / 'model')
    config = json.loads((folder / 'config.json').read_text())
    (folder / 'config.json').write_text(json.dumps(config | {'f1_threshold': 0.125}))
    result = figures(tmp_path, annotations, '--model', folder, '--boxes', 'ground-truth')
    predictor = HoiPredictor.from_checkpoint(folder, select=False)
    images = [image for image in read_hico_det(annotations) if len(image.hoi)]
    detections = [ground_truth_detections(image) for image in images]
    pairs = [
        predicted_pairs(i, found, predictor.predict(None, found), predictor.vocabulary)
        for i, found in enumerate(detections)
    ]
    expected = evaluate(HicoDet(images), pairs, f1_threshold=0.125).figures
    assert expected['full'] > 0
    assert result['full'] == pytest.approx(expected['full'])
    assert result['mrec'] == pytest.approx(expected['mrec'])
    assert result['f1_threshold'] == 0.125  # the checkpoint's own
    # Nothing is cut: every pair with every verb that is valid for its object.
    person = predictor.vocabulary.person
    verbs_of = predictor.vocabulary.valid.sum(1)
    assert result['detections'] == sum(
        verbs_of[np.delete(found.labels, i)].sum()
        for found in detections
        for i in np.flatnonzero(found.labels == person)
    )


def test_known_object_protocol_of_the_real_test_set(tmp_path: Path, shared: Path) -> None:
    """A false positive in an image without the object costs in the default protocol only."""
    annotations = shared / 'data/hicodet/instances_test2015.coco80.json.gz'
    images = read_hico_det(annotations)
    pairs = annotated_pairs(images)
    elsewhere = ScoredPairs(
        *(vars(pairs) | {'image': np.roll(pairs.image, 3000), 'score': pairs.score * 2}).values()
    )
    path = tmp_path / 'found.json.gz'
    write_predictions(path, 'hico-det', images, ScoredPairs.concatenate([pairs, elsewhere]))
    default = figures(tmp_path, annotations, '--predictions', path)
    known = figures(tmp_path, annotations, '--predictions', path, '--protocol', 'known-object')
    assert default['full'] < 60 < known['full']
    assert known['detections'] < default['detections'] == 2 * 33405


def test_bad_input_is_one_sentence_and_writes_nothing(
    tmp_path: Path,
    annotations: Path,
    predictions: Path,
    small_checkpoint: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = tmp_path / 'out.json'
    found = ['--predictions', predictions, '--json', output]
    broken = tmp_path / 'broken.json'
    broken.write_bytes(predictions.read_bytes()[:-30])
    nowhere = tmp_path / 'nowhere'
    cases = [
        ((nowhere, *found), 'nowhere: no such file'),
        ((broken, *found), 'broken.json: not valid JSON or truncated'),
        ((predictions, *found), 'not a HICO-DET annotation file'),
        ((annotations, '--predictions', nowhere), 'nowhere: no such file'),
        ((annotations, '--predictions', broken, '--json', output), 'broken.json: not valid JSON'),
        ((annotations, '--predictions', annotations), "an object with a list 'images'"),
        ((annotations, *found, '--protocol', 'known-object'), 'needs anno.mat'),
        ((annotations, *found, '--boxes', 'ground-truth'), '--boxes goes with --model'),
        ((annotations, '--model', small_checkpoint), 'needs --boxes ground-truth'),
        ((annotations, '--model', nowhere, '--boxes', 'ground-truth'), 'nowhere'),
        ((annotations, *found[:2], '--json', nowhere / 'out.json'), 'no such folder'),
    ]
    for arguments, message in cases:
        assert message in failure(capsys, *arguments), arguments
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {'annotations.json', 'found.json', 'broken.json'}


def test_impossible_device_is_refused(
    annotations: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = ['--model', 'boxes', '--boxes', 'ground-truth']
    status = main(['hico-det', '--annotations', str(annotations), *source, '--device', 'abacus'])
    assert status == 2
    assert "no device 'abacus'" in capsys.readouterr().err


def test_as_a_command(annotations: Path, predictions: Path) -> None:
    command = [sys.executable, '-m', 'link_hoi_core.evaluate', 'hico-det']
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [*command, '--annotations', annotations, '--predictions', predictions.parent / 'none'],
        capture_output=True,
        text=True,
        cwd=root,
        env={**os.environ, 'PYTHONPATH': str(root)},
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.count('\n') == 1
    assert 'none: no such file' in done.stderr
