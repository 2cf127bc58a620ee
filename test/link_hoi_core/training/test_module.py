"""The Lightning module's own parts: the schedule, the loss of a step, the seed of an epoch."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip('lightning')

from link_hoi_core.data.hico_det import AnnotatedImage  # noqa: E402
from link_hoi_core.data.splits import SettingConfig  # noqa: E402
from link_hoi_core.distillation.losses import average, focal_loss  # noqa: E402
from link_hoi_core.model.link import LinkConfig  # noqa: E402
from link_hoi_core.model.scene import build_scene  # noqa: E402
from link_hoi_core.model.scoring import valid_verbs  # noqa: E402
from link_hoi_core.structures import Detections  # noqa: E402
from link_hoi_core.training.batch import NEITHER, Batch  # noqa: E402
from link_hoi_core.training.experiment import (  # noqa: E402
    BalanceConfig,
    DistillationConfig,
    Experiment,
    OptimiserConfig,
)
from link_hoi_core.training.module import (  # noqa: E402
    LinkTraining,
    one_cycle,
    rareness,
    rate_factor,
)


def test_one_cycle_rises_and_falls() -> None:
    factors = [one_cycle(step, 1000, 0.05) for step in range(1001)]
    assert 0 < factors[0] <= 0.02
    assert factors[:51] == sorted(factors[:51]) and factors[50] == 1
    assert factors[50:] == sorted(factors[50:], reverse=True)
    assert factors[-1] == pytest.approx(0, abs=1e-12)
    assert factors[525] == pytest.approx(0.5)  # halfway down the cosine
    assert all(0 <= factor <= 1 for factor in factors)


@pytest.mark.parametrize(('steps', 'warm_up'), [(1, 0.05), (2, 0.0), (3, 1.0), (10, 0.5)])
def test_one_cycle_of_a_short_run(steps: int, warm_up: float) -> None:
    factors = [one_cycle(step, steps, warm_up) for step in range(steps + 1)]
    assert all(0 <= factor <= 1 for factor in factors) and factors[0] > 0


@pytest.mark.parametrize(('epochs', 'each'), [(15, 7), (15, 1), (11, 3), (4, 5)])
def test_the_rate_drops_after_an_epoch(epochs: int, each: int) -> None:
    settings = OptimiserConfig(epochs=epochs, schedule='steps', drop_after=10, drop=0.2)
    factors = [rate_factor(step, epochs * each, settings) for step in range(epochs * each)]
    early = min(10, epochs) * each
    assert factors == [1.0] * early + [0.2] * (epochs * each - early)


def test_one_cycle_is_the_other_schedule() -> None:
    settings = OptimiserConfig(warm_up=0.1)
    assert rate_factor(30, 100, settings) == one_cycle(30, 100, 0.1)


def test_rare_interactions_count_more() -> None:
    boxes = np.tile(np.float32([0, 0, 9, 9]), (50, 1))
    zero, one = np.zeros(50, int), np.ones(50, int)
    often = AnnotatedImage('a.jpg', (10, 10), boxes, boxes, hoi=zero, object=one, verb=zero)
    balance = BalanceConfig(frequent=400, power=0.5)
    found = rareness([often] * 2, (2, 2), balance)  # 100 pairs of (1, 0), none else
    assert torch.allclose(found, torch.tensor([[0.05, 0.05], [0.5, 0.05]]))
    assert rareness([often] * 9, (2, 2), balance)[1, 0] == 1  # never more


@pytest.fixture
def module() -> LinkTraining:
    torch.manual_seed(1)
    experiment = Experiment(model=LinkConfig(width=32, dropout=0), balance=BalanceConfig(power=0))
    return LinkTraining(experiment, images=[])


@pytest.fixture
def batch():
    images = [
        Detections([[0, 0, 9, 9], [1, 1, 8, 8], [2, 2, 7, 7]], [1, 1, 0.5], [0, 1, 0], (10, 10)),
        Detections([[0, 0, 9, 9], [1, 1, 8, 8]], [0.9, 0.8], [0, 56], (10, 10)),
    ]
    targets = torch.zeros(2, 4, 117)
    targets[0, 0, 76] = targets[1, 0, 87] = 1
    return Batch(build_scene(images, person=0), targets)


@pytest.mark.filterwarnings('ignore:You are trying to `self.log')
def test_a_step_is_the_mean_focal_loss_of_the_layers_over_valid_verbs(module, batch) -> None:
    scene, targets = batch.scene, batch.targets
    expected = []
    for logits in module.model(scene).logits:
        entries = []
        for image, pair in ((0, 0), (0, 1), (0, 2), (0, 3), (1, 0)):
            i, j = scene.pairs[image, pair].tolist()
            prior = float(scene.scores[image, i] * scene.scores[image, j])
            for verb in module.vocabulary.valid[scene.labels[image, j]].nonzero()[0].tolist():
                probability = prior / (1 + math.exp(-logits[image, pair, verb].item()))
                psi = math.log(probability / (1 - probability))
                entries.append((psi, targets[image, pair, verb].item()))
        psi, y = torch.tensor(entries).double().T
        total = focal_loss(psi, y, torch.ones(len(y), dtype=torch.bool))
        expected.append((total.sum / total.count).item())
    loss = module.training_step(batch, 0)
    assert loss.item() == pytest.approx(sum(expected) / len(expected), rel=1e-4)


@pytest.mark.filterwarnings('ignore:You are trying to `self.log')
def test_what_padding_and_impossible_verbs_hold_does_not_matter(module, batch) -> None:
    scene, targets = batch.scene, batch.targets
    before = module.training_step(batch, 0).item()
    changed = targets.clone()
    changed[~scene.pair_present] = 1
    changed[0, 0, ~module.valid[1]] = 1  # verbs that no bicycle allows
    assert module.training_step(replace(batch, targets=changed), 0).item() == before


@pytest.mark.filterwarnings('ignore:You are trying to `self.log')
def test_what_is_neither_positive_nor_negative_does_not_matter(module, batch) -> None:
    targets = batch.targets
    verb = int(module.valid[1].nonzero()[0])
    hidden = targets.clone()
    hidden[0, 0, verb] = NEITHER
    without = module.training_step(replace(batch, targets=hidden), 0).item()
    assert without < module.training_step(batch, 0).item()  # one negative fewer


@pytest.mark.filterwarnings('ignore:You are trying to `self.log')
def test_a_split_takes_its_unseen_verbs_out_of_the_loss(module, batch) -> None:
    """In UV, 84 combinations; one of them with an object of this batch."""
    scene, targets = batch.scene, batch.targets
    torch.manual_seed(1)
    setting = SettingConfig('UV')
    limited = LinkTraining(replace(module.experiment, setting=setting), images=[])
    unseen = limited.valid != module.valid
    assert unseen.sum() == 84 and not limited.valid[unseen].any()
    label, verb = unseen[[0, 1, 56]].nonzero()[0].tolist()
    pairs = (scene.labels.gather(1, scene.pairs[..., 1]) == [0, 1, 56][label]) & scene.pair_present
    changed = targets.clone()
    changed[..., verb][pairs] = 1
    before = limited.training_step(batch, 0).item()
    assert limited.training_step(replace(batch, targets=changed), 0).item() == before
    assert module.training_step(replace(batch, targets=changed), 0).item() != before


@pytest.fixture
def taught(module, small_checkpoint: Path) -> Callable[..., LinkTraining]:
    def make(**changes: object) -> LinkTraining:
        torch.manual_seed(1)
        settings = DistillationConfig(**{'teachers': (str(small_checkpoint),), **changes})
        return LinkTraining(replace(module.experiment, distillation=settings), images=[])

    return make


@pytest.mark.filterwarnings('ignore:You are trying to `self.log')
def test_a_student_adds_its_teachers_losses_by_their_weights(module, batch, taught) -> None:
    scene = batch.scene
    weights = {'logits': 2.0, 'scores': 7.0, 'encoder': 3.0, 'latent': 5.0}
    student = taught(**weights)
    valid = valid_verbs(scene, student.valid)
    totals = student.teachers.losses(student.model(scene), scene, [None], valid)
    levels, _ = average(totals)
    assert set(levels) == set(weights) and min(levels.values()) > 0
    expected = module.training_step(batch, 0) + sum(weights[k] * levels[k] for k in weights)
    assert student.training_step(batch, 0).item() == pytest.approx(expected.item(), rel=1e-6)
    alone = taught(logits=0.0, encoder=0.0, latent=0.0)
    assert alone.training_step(batch, 0).item() == module.training_step(batch, 0).item()
    deaf = taught(annotations=0.0, **weights)
    expected = expected - module.training_step(batch, 0)
    assert deaf.training_step(batch, 0).item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.filterwarnings('ignore:You are trying to `self.log')
def test_teachers_are_not_trained_averaged_or_saved(module, batch, taught) -> None:
    student = taught()
    teacher = student.teachers.checkpoints[0].model
    student.train().training_step(batch, 0).backward()
    assert not teacher.training and all(value.grad is None for value in teacher.parameters())
    assert student.state_dict().keys() == module.state_dict().keys()
    assert len(list(student.parameters())) == len(list(module.parameters()))


def test_a_loss_that_is_not_finite_stops_the_run(module, batch) -> None:
    with torch.no_grad():
        module.model.head.bias.fill_(float('nan'))
    with pytest.raises(FloatingPointError, match='the loss is nan at step 0'):
        module.training_step(batch, 0)


def test_a_level_without_weight_is_not_computed(batch, taught) -> None:
    student = taught(encoder=0.0)
    scene = batch.scene
    valid = valid_verbs(scene, student.valid)
    found = student.teachers.losses(student.model(scene), scene, [None], valid, ['latent'])
    assert found.keys() == {'latent'}


def test_an_epoch_is_seeded_by_its_number_and_its_process(module, monkeypatch) -> None:
    def drawn(rank: int) -> list[float]:
        monkeypatch.setattr(LinkTraining, 'global_rank', rank)
        module.on_train_epoch_start()
        return torch.rand(3).tolist()

    torch.manual_seed(140_000)  # the seed times 1000, and epoch 0
    expected = torch.rand(3).tolist()
    assert drawn(0) == drawn(0) == expected
    assert drawn(1) == drawn(1) != drawn(0)
