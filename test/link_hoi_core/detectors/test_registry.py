"""Detectors by name."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from link_hoi_core.detectors import DETECTORS, DetectorOptions, find_row, load_detector
from link_hoi_core.vocabulary import COCO80, load_vocabulary

VOCABULARY = load_vocabulary('hico-det')


def test_every_family_can_build() -> None:
    for family in {row.family for row in DETECTORS.values()} | {'onnx', 'recorded'}:
        assert callable(importlib.import_module(f'link_hoi_core.detectors.{family}').build)


def test_what_the_issue_names_is_there() -> None:
    named = (
        'detr-r50 conditional-detr-r50 deformable-detr-r50 rt-detr-r50 owlv2-b16 yolov8n yolo11x'
    )
    named += ' h-deformable-detr-swin-l grounding-dino-t grounding-dino-b faster-rcnn-r50 yolo12m'
    named += ' yolo-world-s yolo-world-m yolo-world-l yolo-world-x qwen3-vl-8b'
    assert set(named.split()) <= set(DETECTORS)


def test_the_registry_imports_no_library() -> None:
    """So that the box-only model runs where none of them is installed."""
    code = (
        'import sys, link_hoi_core.detectors as d\n'
        "heavy = {'transformers', 'ultralytics', 'torchvision', 'onnxruntime', 'open_clip'}\n"
        'print(*heavy & set(sys.modules))'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, ''), done.stderr


@pytest.mark.parametrize(
    ('name', 'nearest'),
    [
        ('yolo13n', 'yolo12n'),
        ('DETR-R50', 'detr-r50'),
        ('yoloworld-s', 'yolo-world-s'),
        ('onx:a.onnx.gz', 'onnx:FILE'),
    ],
)
def test_an_unknown_name_gets_the_nearest(name: str, nearest: str) -> None:
    with pytest.raises(ValueError, match=f"unknown detector '{name}': did you mean '{nearest}'"):
        load_detector(name, VOCABULARY)


@pytest.mark.parametrize(
    ('name', 'family', 'file'),
    [
        ('onnx:a:b.bin', 'onnx', 'a:b.bin'),
        ('folder/net.onnx', 'onnx', 'folder/net.onnx'),
        ('best.pt', 'ultralytics', 'best.pt'),
        ('ultralytics:best.bin', 'ultralytics', 'best.bin'),
        ('recorded:r.json.gz', 'recorded', 'r.json.gz'),
        ('ground-truth:a.json', 'recorded', 'a.json'),
    ],
)
def test_files(name: str, family: str, file: str) -> None:
    row = find_row(name)
    assert (row.family, row.architecture) == (family, file)


@pytest.mark.parametrize('kind', ['onnx', 'ultralytics', 'recorded', 'ground-truth'])
def test_a_file_has_a_name(kind: str) -> None:
    with pytest.raises(ValueError, match=f"'{kind}:' names no file, expected {kind}:FILE"):
        load_detector(f'{kind}:', VOCABULARY)


def test_a_file_takes_no_other_weights(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a.onnx is a file with weights of its own: .*'random'"):
        load_detector(f'onnx:{tmp_path}/a.onnx', VOCABULARY, weights='random')


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'score_threshold': 1.5}, 'score_threshold is 1.5, expected 0 to 1'),
        ({'score_threshold': float('nan')}, 'score_threshold is nan'),
        ({'words': ('dog', ' ')}, 'is empty'),
    ],
)
def test_options_out_of_range(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DetectorOptions(VOCABULARY, **options)


def test_words_to_look_for() -> None:
    assert DetectorOptions(VOCABULARY).searched_words()[67] == 'cell phone'
    assert len(DetectorOptions(VOCABULARY).searched_words()) == len(COCO80)
    options = DetectorOptions(VOCABULARY, words=('red_hat', 'dog', ' red  hat'))
    assert options.searched_words() == ('red hat', 'dog')


def test_random_weights_are_drawn_from_the_seed_and_leave_the_callers_alone() -> None:
    pytest.importorskip('torchvision')
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    models = [
        load_detector('faster-rcnn-r50', VOCABULARY, weights='random', seed=seed).model
        for seed in (1, 1, 2)
    ]
    assert torch.equal(torch.rand(3), expected)
    first, same, other = (model.roi_heads.box_predictor.cls_score.weight for model in models)
    assert torch.equal(first, same) and not torch.equal(first, other)
