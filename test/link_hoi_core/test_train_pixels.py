"""Teacher and student with pixels, from the command to the checkpoint, on generated pictures."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_runs import refused
from torch import Tensor

from link_hoi_core.backbones.backbone import BackboneConfig
from link_hoi_core.checkpoint import build_model, load_checkpoint, save_checkpoint
from link_hoi_core.configuration import to_dict
from link_hoi_core.data.hico_det import ground_truth_detections, read_hico_det
from link_hoi_core.distillation.losses import map_distillation
from link_hoi_core.images import read_image
from link_hoi_core.model.link import LinkConfig
from link_hoi_core.predictor import HoiPredictor
from link_hoi_core.train import main

pytest.importorskip('lightning')
pytest.importorskip('timm')
VIT = 'timm:test_vit.r160_in1k'
#: Their weights; that of the map is raised, so that a few steps are enough to see it learnt.
LEVELS = {'logits': 1.0, 'encoder': 0.5, 'latent': 1.0, 'native': 1.0, 'feature_map': 10.0}


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory, write_annotations: Callable[..., Path]) -> Path:
    """Nineteen pictures with a pair, five without, and a configuration that takes seconds."""
    folder = tmp_path_factory.mktemp('data')
    write_annotations(folder / 'train.json', 24)
    write_annotations(folder / 'test.json', 6)  # the first pictures, in other annotations
    (folder / 'images').mkdir()
    random = np.random.default_rng(0)
    for name in json.loads((folder / 'train.json').read_text())['filenames']:
        patches = random.integers(256, size=(6, 8, 3), dtype=np.uint8)
        picture = Image.fromarray(patches).resize((640, 480), Image.Resampling.BILINEAR)
        picture.save(folder / 'images' / name)
    (folder / 'tiny.yaml').write_text(f"""
model:
  width: 32
  encoder_layers: 1
  decoder_layers: 1
  backbone: {{name: '{VIT}', weights: random, image_size: 64, text: minilm}}
data:
  root: {json.dumps(str(folder))}
  train: train.json
  test: test.json
  images: [images]
  most_images: 2
augmentation: {{flip: 0.5, crop: 0.5, colour: 0.4}}
optimiser: {{epochs: 4, learning_rate: 3e-3, average: 0.8}}
seed: 7
""")
    return folder


def arguments(data: Path, output: Path, *assignments: str) -> list[str]:
    set_ = [word for assignment in assignments for word in ('--set', assignment)]
    return [f'--config={data}/tiny.yaml', '--device=cpu', f'--output={output}', *set_]


def run(data: Path, output: Path, *assignments: str) -> Path:
    """Train, and give the run's folder."""
    assert main(arguments(data, output, *assignments)) == 0
    return output


def taught_by(*teachers: Path) -> str:
    return f'distillation.teachers={json.dumps([str(teacher) for teacher in teachers])}'


@pytest.fixture(scope='module')
def teacher(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint of a first stage."""
    return run(data, tmp_path_factory.mktemp('runs') / 'teacher') / 'checkpoint'


@pytest.fixture(scope='module')
def clip_teacher(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same on another backbone, a CLIP with its own texts: wider maps, and fewer cells."""
    pytest.importorskip('open_clip')
    backbone = {'name': 'open_clip:ViT-S-32-alt', 'weights': 'random', 'image_size': 64}
    assignment = f'model.backbone={json.dumps(backbone)}'
    return run(data, tmp_path_factory.mktemp('runs') / 'clip', assignment) / 'checkpoint'


@pytest.fixture(scope='module')
def student(
    data: Path, teacher: Path, clip_teacher: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The folder of a second stage with both as teachers, and an adapter."""
    output = tmp_path_factory.mktemp('runs') / 'student'
    taught = ('model.adapter=8', 'distillation.feature_map=10', taught_by(teacher, clip_teacher))
    return run(data, output, *taught)


def logged(run: Path) -> list[dict[str, float]]:
    """The rows of its log that have a loss."""
    with next(run.glob('csv/*/metrics.csv')).open() as file:
        rows = [row for row in csv.DictReader(file) if row.get('loss')]
    return [{key: float(value) for key, value in row.items() if value} for row in rows]


def assert_predicts(checkpoint: Path, data: Path) -> None:
    """From a picture and its boxes, and differently from another picture."""
    predictor = HoiPredictor.from_checkpoint(checkpoint, 'cpu', select=False)
    annotated = next(image for image in read_hico_det(data / 'train.json') if len(image.hoi))
    image = read_image(data / 'images' / annotated.file_name)
    detections = ground_truth_detections(annotated)
    found = predictor.predict(image, detections)
    other = predictor.predict(image[::-1].copy(), detections)
    assert len(found) and np.isfinite(found.score).all()
    assert sorted(found.score) != sorted(other.score)


@pytest.mark.slow
def test_a_student_learns_every_level_from_two_teachers(student: Path, data: Path) -> None:
    rows = logged(student)
    assert len(rows) == 2
    for row in rows:
        levels = {level: row[f'loss_{level}'] for level in LEVELS}
        assert min(levels.values()) > 0
        total = row['loss_annotated'] + sum(LEVELS[level] * levels[level] for level in LEVELS)
        assert row['loss'] == pytest.approx(total, rel=1e-4)
    assert rows[-1]['loss'] < rows[0]['loss']
    assert_predicts(student / 'checkpoint', data)


@pytest.mark.slow
def test_a_students_map_comes_nearer_to_its_teachers(
    student: Path, teacher: Path, clip_teacher: Path, data: Path
) -> None:
    """Through the adapter, which begins as the identity, on pictures as they are."""
    pictures = [read_image(path) for path in sorted((data / 'images').iterdir())]
    checkpoints = [
        load_checkpoint(path) for path in (student / 'checkpoint', teacher, clip_teacher)
    ]
    with torch.no_grad():
        own, *theirs = (
            checkpoint.backbone.encode_image(checkpoint.backbone.prepare(pictures))
            for checkpoint in checkpoints
        )
        adapted = checkpoints[0].model.adapter(own)
    before, after = (
        sum(map_distillation(features, wanted).sum for wanted in theirs)
        for features in (own, adapted)
    )
    assert after < 0.98 * before


@pytest.mark.slow
def test_a_card_names_both_teachers_and_the_backbone(
    student: Path, teacher: Path, clip_teacher: Path
) -> None:
    card = (student / 'checkpoint' / 'README.md').read_text()
    for checkpoint in (teacher, clip_teacher):
        assert load_checkpoint(checkpoint).sha256[:12] in card
    assert VIT in card


@pytest.mark.slow
def test_a_student_on_cached_views(
    data: Path, teacher: Path, clip_teacher: Path, tmp_path: Path
) -> None:
    """Each backbone's maps are made once; a second run finds them and is the same run."""
    cached = (f'data.cache={tmp_path}/maps', 'data.views=2', 'optimiser.epochs=2')
    taught = ('model.adapter=8', taught_by(teacher, clip_teacher))
    first = run(data, tmp_path / 'first', *cached, *taught)
    maps = {path: path.stat().st_mtime_ns for path in tmp_path.glob('maps/*/maps.fp16')}
    assert len(maps) == 2
    second = run(data, tmp_path / 'second', *cached, *taught)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob('maps/*/maps.fp16')} == maps
    assert torch.equal(weights(first), weights(second))
    assert_predicts(first / 'checkpoint', data)


def weights(run: Path) -> Tensor:
    """All of a run's weights in a row."""
    model = load_checkpoint(run / 'checkpoint').model
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


@pytest.mark.slow
def test_cached_and_live_pixels_train_alike(data: Path, teacher: Path, tmp_path: Path) -> None:
    """Where nothing is augmented. The cache is in fp16, to which Adam's first steps are sensitive:
    by rounding alone, weights with hardly a gradient go either way."""
    settings = ['model.dropout=0', 'optimiser.epochs=1', 'model.adapter=8', taught_by(teacher)]
    settings += [f'augmentation.{name}=0' for name in ('crop', 'colour', 'jitter', 'score_noise')]
    runs = {
        'live': ['augmentation.flip=0'],
        'cached': ['augmentation.flip=0', f'data.cache={tmp_path}/maps'],
        'mirrored': ['augmentation.flip=1'],
    }
    live, cached, mirrored = (
        weights(run(data, tmp_path / name, *settings, *more)) for name, more in runs.items()
    )
    assert (live - cached).norm() < 0.1 * (live - mirrored).norm()


@pytest.fixture
def own_data(data: Path, tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    folder = Path(shutil.copytree(data, tmp_path / 'data'))
    text = (folder / 'tiny.yaml').read_text()
    (folder / 'tiny.yaml').write_text(text.replace(str(data), str(folder)))
    return folder


SPOILT = 'generated_00000001.jpg'


def test_missing_and_broken_images_stop_a_run_before_it_begins(
    own_data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (own_data / 'images' / SPOILT).unlink()
    (own_data / 'images' / 'generated_00000002.jpg').write_text('no picture')
    (own_data / 'images' / 'generated_00000005.jpg').unlink()  # has no pair, so nobody asks for it
    command = arguments(own_data, tmp_path / 'run')
    refused(capfd, command, '2 of 19', SPOILT, 'generated_00000002.jpg')
    assert not (tmp_path / 'run').exists()


def test_some_missing_images_are_put_up_with(
    own_data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (own_data / 'images' / SPOILT).unlink()
    run(own_data, tmp_path / 'run', 'data.most_faults=1', 'optimiser.epochs=1')
    said = capfd.readouterr().err
    assert all(words in said for words in ('1 of 19', SPOILT, 'left out'))


def test_an_image_that_is_cut_short_is_named_when_it_is_met(
    own_data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = own_data / 'images' / SPOILT
    path.write_bytes(path.read_bytes()[:-3000])
    refused(capfd, arguments(own_data, tmp_path / 'run'), str(path), 'no readable picture')


def test_an_image_of_another_size_than_its_annotations(
    own_data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    Image.new('RGB', (320, 240)).save(own_data / 'images' / SPOILT)
    refused(capfd, arguments(own_data, tmp_path / 'run'), SPOILT, '320 x 240', '640 x 480')


def test_a_cache_of_another_configuration_is_refused(
    data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Another configuration has a folder of its own; here someone puts one in another's place."""
    settings = [f'data.cache={tmp_path}/maps', 'optimiser.epochs=1']
    run(data, tmp_path / 'whole', *settings)
    (whole,) = (tmp_path / 'maps').iterdir()
    run(data, tmp_path / 'views', *settings, 'data.views=2')
    (views,) = set((tmp_path / 'maps').iterdir()) - {whole}
    shutil.rmtree(whole)
    views.rename(whole)
    refused(capfd, arguments(data, tmp_path / 'run', *settings), str(whole), 'views')
    assert not (tmp_path / 'run').exists()


def test_a_teacher_of_another_vocabulary(
    data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    backbone = BackboneConfig(VIT, 'random', image_size=64, text='minilm')
    config = LinkConfig('v-coco', backbone, width=32, encoder_layers=1, decoder_layers=1)
    model, frozen = build_model(config)
    save_checkpoint(tmp_path / 'v-coco', model, frozen, {'model': to_dict(config)}, '')
    command = arguments(data, tmp_path / 'run', taught_by(tmp_path / 'v-coco'))
    refused(capfd, command, str(tmp_path / 'v-coco'), 'vocabulary v-coco', 'hico-det')
    assert not (tmp_path / 'run').exists()


@pytest.mark.parametrize(
    ('assignments', 'words'),
    [
        ([], ['without an adapter', 'model.adapter', 'distillation.feature_map']),
        (['model.backbone.name=none'], ['looks at pixels', 'student without']),
        (['data.images=[]'], ['data.images', VIT]),
    ],
)
def test_a_student_that_cannot_be_taught(
    data: Path,
    teacher: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    assignments: list[str],
    words: list[str],
) -> None:
    refused(capfd, arguments(data, tmp_path / 'run', taught_by(teacher), *assignments), *words)
    assert not (tmp_path / 'run').exists()
