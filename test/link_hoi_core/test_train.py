"""The training command from end to end on generated annotations: what it leaves, and resuming."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from tiny_runs import arguments, refused, weights

from link_hoi_core.checkpoint import load_checkpoint
from link_hoi_core.configuration import load_configuration
from link_hoi_core.data.hico_det import ground_truth_detections, read_hico_det
from link_hoi_core.predictor import HoiPredictor
from link_hoi_core.train import main
from link_hoi_core.vocabulary import load_vocabulary, zero_shot_split

pytest.importorskip('lightning')
ROOT = Path(__file__).resolve().parents[2]


def test_a_run_leaves_a_checkpoint_that_predicts(trained: Path) -> None:
    predictor = HoiPredictor.from_checkpoint(trained / 'checkpoint')
    assert predictor.model.config.width == 32
    assert 0 < predictor.config['f1_threshold'] < 1
    assert predictor.config['seed'] == 7 and predictor.config['optimiser']['epochs'] == 6


def test_the_card_says_what_the_run_was(trained: Path) -> None:
    card = (trained / 'checkpoint' / 'README.md').read_text()
    for text in ('Full', 'mF1', 'Seed 7', 'parameters', 'python -m link_hoi_core.train', 'pixels'):
        assert text in card
    assert '"width": 32' in card


def test_a_run_leaves_logs_and_nothing_half_written(trained: Path) -> None:
    assert {path.name for path in trained.iterdir()} == {
        *('checkpoint', 'figures.json', 'experiment.json'),
        *('last.ckpt', 'best.ckpt', 'tensorboard', 'csv'),
    }
    figures = json.loads((trained / 'figures.json').read_text())
    assert list(figures) == ['full', 'rare', 'non_rare', 'mf1', 'mprec', 'mrec', 'f1_threshold']
    assert {path.name for path in (trained / 'checkpoint').iterdir()} == {
        *('model.safetensors', 'config.json', 'README.md')
    }
    assert list(trained.glob('tensorboard/*/events.out.tfevents.*'))


def test_the_loss_falls(trained: Path, data: Path) -> None:
    """On the training images as they are, against the same model before training."""
    from link_hoi_core.training.examples import HoiExamples
    from link_hoi_core.training.experiment import Augmentation, Experiment
    from link_hoi_core.training.module import LinkTraining

    experiment = load_configuration(Experiment, data / 'tiny.yaml')
    images = read_hico_det(data / 'train.json')
    images = [image for image in images if len(image.hoi)]
    boxes = [ground_truth_detections(image) for image in images]
    unchanged = Augmentation(flip=0, jitter=0, score_noise=0)
    examples = HoiExamples(images, boxes, 0, 117, unchanged)
    batch = examples.collate([examples[index] for index in range(len(examples))])
    torch.manual_seed(7)
    module = LinkTraining(experiment, images).eval()
    before = module.training_step(batch, 0).item()
    module.model = load_checkpoint(trained / 'checkpoint').model
    assert module.training_step(batch, 0).item() < 0.75 * before


def test_loss_and_the_official_figure_are_logged(trained: Path) -> None:
    with next(trained.glob('csv/*/metrics.csv')).open() as file:
        rows = list(csv.DictReader(file))
    assert all(float(row['loss']) > 0 for row in rows if row.get('loss'))
    assert len([row for row in rows if row.get('loss')]) == 2  # each twentieth of 48 steps
    assert len([row for row in rows if row.get('full')]) == 6  # each epoch


def test_resume_state_loads_without_pickled_code(trained: Path) -> None:
    state = torch.load(trained / 'last.ckpt', map_location='cpu', weights_only=True)
    assert state['epoch'] == 5


def kill_and_resume(data: Path, output: Path, *more: str) -> None:
    """Kill the run once it has left a state, then let it go on to its end."""
    log_file = output.parent / 'log'
    command = [sys.executable, '-m', 'link_hoi_core.train', *arguments(data, output, *more)]
    threads = {'OMP_NUM_THREADS': str(torch.get_num_threads())}
    with log_file.open('w') as log:
        run = subprocess.Popen(
            command, cwd=ROOT, stdout=log, stderr=log, env={**os.environ, **threads}
        )
        try:
            while not (output / 'last.ckpt').is_file():
                assert run.poll() is None, log_file.read_text()
                time.sleep(0.01)
        finally:
            run.kill()
            run.wait()
    assert not (output / 'checkpoint').exists()
    done = torch.load(output / 'last.ckpt', map_location='cpu', weights_only=True)['epoch']
    assert done < 5  # the last epoch's number: it was killed before its end
    assert main(arguments(data, output, '--resume', *more)) == 0


@pytest.mark.timeout(200)
def test_a_killed_run_that_is_resumed_ends_with_the_same_weights(
    data: Path, trained: Path, tmp_path: Path
) -> None:
    kill_and_resume(data, tmp_path / 'killed')
    assert weights(tmp_path / 'killed') == weights(trained)


def test_a_run_killed_after_its_last_epoch_is_completed_by_resuming(
    data: Path, trained: Path, tmp_path: Path
) -> None:
    """Its averaged weights are in last.ckpt; only the checkpoint was not yet written."""
    output = Path(shutil.copytree(trained, tmp_path / 'unfinished'))
    shutil.rmtree(output / 'checkpoint')
    assert main(arguments(data, output, '--resume')) == 0
    assert weights(output) == weights(trained)


def test_missing_configuration_file(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    command = ['--config', f'{tmp_path}/absent.yaml', '--output', f'{tmp_path}/run']
    refused(capfd, command, 'absent.yaml')
    assert not (tmp_path / 'run').exists()


def test_a_used_folder_is_left_as_it_was(
    data: Path, trained: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    output = Path(shutil.copytree(trained, tmp_path / 'used'))
    refused(capfd, arguments(data, output), str(output), 'already holds a run', '--resume')
    assert weights(output) == weights(trained)


def taught_by(*teachers: Path | str) -> tuple[str, ...]:
    names = json.dumps([str(teacher) for teacher in teachers])
    return '--set', f'distillation.teachers={names}'


@pytest.fixture(scope='module')
def student(data: Path, trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that had the plain one's checkpoint as its teacher."""
    output = tmp_path_factory.mktemp('runs') / 'student'
    assert main(arguments(data, output, *taught_by(trained / 'checkpoint'))) == 0
    return output


def test_a_student_learns_from_its_teacher(data: Path, trained: Path, student: Path) -> None:
    """Each level's loss is logged and falls, and the card says who taught."""
    assert weights(student) != weights(trained)
    with next(student.glob('csv/*/metrics.csv')).open() as file:
        rows = [row for row in csv.DictReader(file) if row.get('loss')]
    for row in rows:
        parts = [
            float(row[f'loss_{name}']) for name in ('annotated', 'logits', 'encoder', 'latent')
        ]
        total = parts[0] + parts[1] + 0.5 * parts[2] + parts[3]
        assert float(row['loss']) == pytest.approx(total, rel=1e-4)
    for name in ('logits', 'encoder', 'latent'):
        assert float(rows[-1][f'loss_{name}']) < float(rows[0][f'loss_{name}'])
    card = (student / 'checkpoint' / 'README.md').read_text()
    assert 'Taught by' in card and load_checkpoint(trained / 'checkpoint').sha256[:12] in card
    state = torch.load(student / 'last.ckpt', map_location='cpu', weights_only=True)
    plain = torch.load(trained / 'last.ckpt', map_location='cpu', weights_only=True)
    assert state['state_dict'].keys() == plain['state_dict'].keys()


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_a_killed_student_that_is_resumed_ends_with_the_same_weights(
    data: Path, trained: Path, student: Path, tmp_path: Path
) -> None:
    kill_and_resume(data, tmp_path / 'killed', *taught_by(trained / 'checkpoint'))
    assert weights(tmp_path / 'killed') == weights(student)


def assigned(assignment: str, *words: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return ('--set', assignment), words


@pytest.mark.parametrize(
    ('more', 'words'),
    [
        assigned('model.widht=64', 'unknown key model.widht', 'model.width'),
        assigned('model.width=36', 'width', '36', '8'),  # is not a multiple of the heads
        assigned('model.vocabulary=hicodet', 'hicodet', 'hico-det'),
        assigned('model.vocabulary=v-coco', 'train.json', 'V-COCO'),
        assigned('data.train=absent.json', 'absent.json'),
        assigned('data.test=absent.json', 'absent.json'),
        assigned('data.root=/no/such/folder', '/no/such/folder'),
        assigned('data.train=tiny.yaml', 'tiny.yaml', 'JSON'),
        assigned('data.train=no_pairs.json', 'no_pairs.json', 'no image with a human-object pair'),
        assigned('optimiser.epochs=many', 'optimiser.epochs', "'many'", 'int'),
        assigned('optimiser.precision=fp8', 'fp8', 'fp32, bf16, fp16'),
        assigned('distillation.teachers=boxes', 'distillation.teachers', 'list'),
        assigned('distillation.tau=0', 'distillation.tau', 'above 0'),
        assigned('distillation.latent=-1', 'distillation.latent', '-1'),
        assigned('setting.split=RFUC', 'RFUC', 'RF-UC'),
        assigned('setting.shots=0', 'shots is 0'),
        (('--set', 'setting.split=UO', '--set', 'model.vocabulary=v-coco'), ('UO', 'v-coco')),
        (taught_by('runs/absent/checkpoint'), ('runs/absent/checkpoint',)),
        ((*taught_by('boxes'), '--set', 'setting.split=UV'), ('boxes', 'UV', 'fully supervised')),
        (('--device', 'abacus'), ('abacus',)),
        (('--device', 'cuda:99'), ('cuda:99',)),
        pytest.param(
            ('--device', 'cuda'),
            ('cuda',),
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason='this machine has CUDA'),
        ),
        (('--devices', '0'), ('devices', '0')),
        (('--resume',), ('last.ckpt', 'no run to resume')),
    ],
)
def test_bad_settings_are_one_sentence_and_leave_nothing(
    data: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    more: tuple[str, ...],
    words: tuple[str, ...],
) -> None:
    refused(capfd, arguments(data, tmp_path / 'run', *more), *words)
    assert not (tmp_path / 'run').exists()


def test_a_split_that_leaves_no_pair(
    data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    unseen = load_vocabulary('hico-det').hois[zero_shot_split('UV')]
    verb, object_ = unseen[0].tolist()
    content = json.loads((data / 'train.json').read_text())
    hoi = int(load_vocabulary('hico-det').hoi_index[object_, verb])
    for pairs in content['annotation']:
        count = len(pairs['hoi'])
        pairs.update(hoi=[hoi] * count, object=[object_] * count, verb=[verb] * count)
    (tmp_path / 'unseen.json').write_text(json.dumps(content))
    more = ('--set', f'data.train={tmp_path}/unseen.json', '--set', 'setting.split=UV')
    refused(capfd, arguments(data, tmp_path / 'run', *more), 'no image', 'zero-shot UV (pair)')
    assert not (tmp_path / 'run').exists()


@pytest.mark.parametrize('setting', [('split=RF-UC',), ('shots=2',), ('split=UV', 'shots=1')])
def test_a_run_in_another_setting_says_so(
    data: Path, tmp_path: Path, setting: tuple[str, ...]
) -> None:
    output = tmp_path / 'run'
    assigned = [word for value in setting for word in ('--set', f'setting.{value}')]
    assert main(arguments(data, output, *assigned, '--set', 'optimiser.epochs=1')) == 0
    card = (output / 'checkpoint' / 'README.md').read_text()
    with next(output.glob('csv/*/metrics.csv')).open() as file:
        rows = [row for row in csv.DictReader(file) if row.get('full')]
    zero_shot = 'split' in setting[0]
    for name in ('unseen', 'seen', 'hm'):
        assert (name in rows[-1]) == zero_shot
    assert ('Harmonic mean' in card) == zero_shot
    for value in setting:
        expected = {'split=RF-UC': 'zero-shot RF-UC', 'split=UV': 'zero-shot UV'}
        assert expected.get(value, f'{value[-1]}-shot') in card


def test_resuming_from_a_damaged_state(
    data: Path, trained: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    output = Path(shutil.copytree(trained, tmp_path / 'run'))
    state = (output / 'last.ckpt').read_bytes()
    (output / 'last.ckpt').write_bytes(state[: len(state) // 2])
    refused(capfd, arguments(data, output, '--resume'), 'last.ckpt')
    assert weights(output) == weights(trained)


def test_without_lightning_it_says_what_to_install(data: Path, tmp_path: Path) -> None:
    script = (
        "import sys; sys.modules['lightning'] = None\n"
        'from link_hoi_core.train import main; sys.exit(main(sys.argv[1:]))'
    )
    run = subprocess.run(
        [sys.executable, '-c', script, *arguments(data, tmp_path / 'run')],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
    )
    assert run.returncode == 2
    assert 'training needs lightning' in run.stderr and 'pip install' in run.stderr
    assert 'Traceback' not in run.stderr
