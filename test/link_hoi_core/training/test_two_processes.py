"""Two processes with parts of a batch learn what one learns from all of it (gloo, float64)."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, distributed, nn

pytest.importorskip('lightning')
pytest.importorskip('timm')

from link_hoi_core.backbones.backbone import BackboneConfig  # noqa: E402
from link_hoi_core.data.annotated_image import AnnotatedImage  # noqa: E402
from link_hoi_core.evaluation.pairs import ScoredPairs  # noqa: E402
from link_hoi_core.model.link import LinkConfig  # noqa: E402
from link_hoi_core.model.scene import build_scene  # noqa: E402
from link_hoi_core.structures import Detections  # noqa: E402
from link_hoi_core.training.batch import Batch  # noqa: E402
from link_hoi_core.training.experiment import DistillationConfig, Experiment  # noqa: E402
from link_hoi_core.training.gather import predict_together  # noqa: E402
from link_hoi_core.training.module import LinkTraining  # noqa: E402

pytestmark = pytest.mark.filterwarnings('ignore:You are trying to `self.log')

LABELS = [[0, 1], [0, 0, 1, 56], [0, 56, 57], [0, 0, 0], [56, 57], [1]]  # the last two have no pair
POSITIVES = [(0, 0, 76), (1, 1, 9), (1, 2, 76), (2, 0, 87)]  # image, pair, verb
PARTS = {
    'unlike halves': ([0], [1, 2, 3, 4]),
    'one without a pair': ([4, 5], [0, 1, 2]),
    'one without a positive': ([0, 1, 2], [3]),
}


class Step(nn.Module):
    """One training step as the forward pass that distributed training wraps."""

    def __init__(self, teachers: tuple[str, ...]) -> None:
        super().__init__()
        torch.manual_seed(1)
        backbone = BackboneConfig('timm:test_vit.r160_in1k', weights='random', text='minilm')
        model = LinkConfig(width=32, dropout=0, backbone=backbone, adapter=4)
        settings = DistillationConfig(teachers=teachers)
        self.module = LinkTraining(Experiment(model=model, distillation=settings), []).double()
        for checkpoint in self.module.teachers.checkpoints:
            checkpoint.model.double()

    def forward(self, batch: Batch) -> Tensor:
        return self.module.training_step(batch, 0)


def make_batch(images: list[int]) -> Batch:
    """These of the images, padded to the largest, with a map each."""
    scene = build_scene([detections(LABELS[image]) for image in images], person=0)
    scene = scene.map(lambda value: value.double() if value.is_floating_point() else value)
    targets = torch.zeros(*scene.pairs.shape[:2], 117, dtype=torch.float64)
    for image, pair, verb in POSITIVES:
        if image in images:
            targets[images.index(image), pair, verb] = 1
    random = torch.Generator().manual_seed(3)
    maps = torch.randn(len(LABELS), 64, 4, 5, generator=random, dtype=torch.float64)
    return Batch(scene, targets, (maps[images],), encoded=True)


def detections(labels: list[int]) -> Detections:
    boxes = [[9 * i, 5 * i, 40 + 9 * i, 50 + 5 * i] for i in range(len(labels))]
    scores = [1 - 0.1 * i for i in range(len(labels))]
    return Detections(boxes, scores, labels, (100, 100))


def learn(step: nn.Module, batch: Batch) -> dict[str, Tensor]:
    """The loss, and each parameter's gradient."""
    loss = step(batch)
    loss.backward()
    gradients = {name: value.grad for name, value in step.named_parameters()}
    return {'loss': loss.detach(), **gradients}


def predict(images: Sequence[AnnotatedImage]) -> ScoredPairs:
    """As many pairs as the width of an image says, all with the numbers of its name."""
    widths = [image.size[1] for image in images]
    index = np.repeat(np.arange(len(images), dtype=np.int32), widths)
    value = np.array([int(image.file_name) for image in images])[index]
    boxes = np.tile(value[:, None] / 7, (1, 4)).astype(np.float32)
    return ScoredPairs(index, boxes, boxes + 1, value.astype(np.int32), value / 3)


def some_images() -> list[AnnotatedImage]:
    none = np.zeros((0, 4), np.float32), np.zeros((0, 4), np.float32), *[np.zeros(0, int)] * 3
    widths = (2, 0, 5, 1, 3, 0, 9)
    return [AnnotatedImage(str(i), (1, width), *none) for i, width in enumerate(widths)]


def run(rank: int, folder: Path, teachers: tuple[str, ...]) -> None:
    """One of the two processes: leave what it learns in each case."""
    torch.set_num_threads(1)
    distributed.init_process_group(
        'gloo', init_method=f'file://{folder}/meeting', rank=rank, world_size=2
    )
    for setting, chosen in (('taught', teachers), ('alone', ())):
        for number, parts in enumerate(PARTS.values()):
            step = nn.parallel.DistributedDataParallel(Step(chosen))
            found = learn(step, make_batch(parts[rank]))
            torch.save(found, folder / f'{setting}-{number}-{rank}.pt')
    for count in (7, 1, 0):
        found = predict_together(predict, some_images()[:count], torch.device('cpu'))
        values = {key: torch.from_numpy(value) for key, value in vars(found).items()}
        torch.save(values, folder / f'pairs-{count}-{rank}.pt')
    distributed.destroy_process_group()


@pytest.fixture(scope='module')
def teachers(seeing_checkpoint: Path) -> tuple[str, ...]:
    return str(seeing_checkpoint), 'boxes'


@pytest.fixture(scope='module')
def left(teachers: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with what two processes have learnt."""
    folder = tmp_path_factory.mktemp('learnt')
    environment = {**os.environ, 'PYTHONPATH': os.pathsep.join(sys.path)}
    commands = [[sys.executable, __file__, str(rank), str(folder), *teachers] for rank in (0, 1)]
    processes = [subprocess.Popen(command, env=environment) for command in commands]
    try:
        assert [process.wait(timeout=200) for process in processes] == [0, 0]
    finally:
        for process in processes:
            process.kill()
    return folder


@pytest.mark.slow
@pytest.mark.parametrize('number', range(len(PARTS)), ids=PARTS)
@pytest.mark.parametrize('setting', ['taught', 'alone'])
def test_two_processes_have_the_loss_and_gradients_of_one(
    left: Path, teachers: tuple[str, ...], setting: str, number: int
) -> None:
    first, second = (
        torch.load(left / f'{setting}-{number}-{rank}.pt', weights_only=True) for rank in (0, 1)
    )
    parts = list(PARTS.values())[number]
    step = Step(teachers if setting == 'taught' else ())
    expected = learn(step, make_batch([*parts[0], *parts[1]]))
    loss = (first.pop('loss') + second.pop('loss')) / 2
    torch.testing.assert_close(loss, expected.pop('loss'), rtol=1e-12, atol=0)
    assert expected['module.model.head.bias'].abs().max() > 1e-3
    for name, value in expected.items():
        found = first[f'module.{name}']
        torch.testing.assert_close(found, value, rtol=1e-8, atol=1e-12, msg=name)
        assert torch.equal(found, second[f'module.{name}'])


@pytest.mark.slow
@pytest.mark.parametrize('count', [7, 1, 0])
def test_two_processes_predict_what_one_does(left: Path, count: int) -> None:
    """In the same order, also where a process has no image, or nothing is found in its share."""
    expected = predict(some_images()[:count])
    for rank in (0, 1):
        found = torch.load(left / f'pairs-{count}-{rank}.pt', weights_only=True)
        for key, value in vars(expected).items():
            assert found[key].numpy().dtype == value.dtype
            np.testing.assert_array_equal(found[key].numpy(), value)


if __name__ == '__main__':
    run(int(sys.argv[1]), Path(sys.argv[2]), tuple(sys.argv[3:]))
