"""Teachers: which levels they teach, to whom, and whom they refuse."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from link_hoi_core.checkpoint import load_checkpoint
from link_hoi_core.data.splits import SettingConfig
from link_hoi_core.distillation.losses import (
    Total,
    average,
    logit_distillation,
    query_distillation,
    score_distillation,
)
from link_hoi_core.distillation.teacher import LEVELS, Teachers, distillation_losses
from link_hoi_core.model.link import Link, LinkOutput
from link_hoi_core.model.scene import Scene, build_scene
from link_hoi_core.model.scoring import pair_prior, prior_logit, valid_verbs
from link_hoi_core.structures import Detections
from link_hoi_core.vocabulary import load_vocabulary

VALID = torch.from_numpy(load_vocabulary('hico-det').valid.copy())
FULL = SettingConfig()
SEED = 7


def make_scene(*labels: list[int]) -> Scene:
    """Images of 100 x 100 with these objects."""
    boxes = [[[i, i, 30 + 9 * i, 50 + 5 * i] for i in range(len(found))] for found in labels]
    scores = [[1 - 0.1 * i for i in range(len(found))] for found in labels]
    images = zip(boxes, scores, labels)
    return build_scene([Detections(*image, (100, 100)) for image in images], person=0)


def losses(student: LinkOutput, teacher: LinkOutput, scene: Scene) -> dict[str, float]:
    found = distillation_losses(student, teacher, scene, valid_verbs(scene, VALID))
    return means(found)


def means(totals: dict[str, Total]) -> dict[str, float]:
    found, _ = average(totals)
    return {level: loss.item() for level, loss in found.items()}


SCENES = {
    'no pair': make_scene([56], [56, 57]),
    'one pair': make_scene([0, 1]),
    'many, padded': make_scene([0, 0, 1, 56], [0, 1], [56]),
}


@pytest.mark.parametrize('scene', SCENES.values(), ids=SCENES)
def test_levels_are_means_over_pairs_and_layers(
    make_model: Callable[..., Link], scene: Scene
) -> None:
    """Against each pair and detection by itself; the teacher is wider and has a layer more."""
    student = make_model(1)(scene)
    teacher = make_model(2, width=48, encoder_layers=3)(scene)
    prior, valid = pair_prior(scene), valid_verbs(scene, VALID)
    by_level = {'logits': [], 'scores': [], 'encoder': [], 'latent': []}
    everything = torch.ones(1, dtype=torch.bool)
    for image, pair in scene.pair_present.nonzero().tolist():
        at = image, pair
        for ours, theirs in zip(student.logits, teacher.logits):
            verbs = valid[at]
            psi = [prior_logit(x[at][verbs], prior[at]).double() for x in (ours, theirs)]
            by_level['logits'].append(logit_distillation(*psi, torch.ones_like(verbs[verbs])).sum)
            by_level['scores'].append(score_distillation(*psi, torch.ones_like(verbs[verbs])).sum)
        for ours, theirs in zip(student.pairs, teacher.pairs):
            rows = ours[at].double()[None], theirs[at].double()[None]
            by_level['latent'].append(query_distillation(*rows, everything).sum)
    for at in map(tuple, scene.present.nonzero().tolist()):
        for ours, theirs in zip(student.detections, teacher.detections[1:]):
            rows = ours[at].double()[None], theirs[at].double()[None]
            by_level['encoder'].append(query_distillation(*rows, everything).sum)
    found = losses(student, teacher, scene)
    assert found.keys() == by_level.keys()
    for level, values in by_level.items():
        expected = torch.stack(values).mean() if values else torch.zeros(())
        assert found[level] == pytest.approx(expected.item(), rel=1e-4), level


def test_an_identical_teacher_teaches_nothing(make_model: Callable[..., Link]) -> None:
    scene = SCENES['many, padded']
    output = make_model()(scene)
    assert losses(output, output, scene) == dict.fromkeys(
        ('logits', 'scores', 'encoder', 'latent'), 0
    )


def test_negative_pairs_teach_too(make_model: Callable[..., Link]) -> None:
    """No annotation enters; every pair that is there changes the loss."""
    scene = SCENES['many, padded']
    student, teacher = make_model(1)(scene), make_model(2)(scene)
    before = losses(student, teacher, scene)['logits']
    for image, pair in scene.pair_present.nonzero().tolist():
        logits = [layer.clone() for layer in teacher.logits]
        logits[-1][image, pair] *= -1
        assert losses(student, replace(teacher, logits=logits), scene)['logits'] != before


def test_models_with_pixels_have_all_levels(seeing_checkpoint: Path) -> None:
    scene = SCENES['many, padded']
    model = load_checkpoint(seeing_checkpoint).model
    width = model.adapter.down.in_channels
    maps = [torch.randn(3, width, 4, 4, generator=torch.Generator().manual_seed(i)) for i in (0, 1)]
    student, teacher = (model(scene, features) for features in maps)
    found = losses(student, teacher, scene)
    assert found.keys() == set(LEVELS)
    assert min(found.values()) > 0
    assert set(losses(student, student, scene).values()) == {0}
    looks = [
        query_distillation(ours.latent, theirs.latent, scene.pair_present).sum.item()
        for ours, theirs in zip(student.looks, teacher.looks)
    ]
    mean = sum(looks) / len(looks) / scene.pair_present.sum().item()
    assert found['latent'] == pytest.approx(mean)


def test_several_teachers_teach_their_mean(
    make_model: Callable[..., Link], small_checkpoint: Path
) -> None:
    scene = SCENES['many, padded']
    valid = valid_verbs(scene, VALID)
    student = make_model(5)(scene)
    names = (str(small_checkpoint), 'boxes')

    def taught_by(*names: str) -> dict[str, float]:
        teachers = Teachers(names, 'hico-det', FULL, SEED)
        return means(teachers.losses(student, scene, [None] * len(names), valid))

    found, *apart = taught_by(*names), *map(taught_by, names)
    for level in ('logits', 'scores', 'encoder', 'latent'):
        assert found[level] == pytest.approx((apart[0][level] + apart[1][level]) / 2)


def test_a_teacher_of_another_vocabulary_is_refused(small_checkpoint: Path) -> None:
    with pytest.raises(ValueError, match='small.* hico-det, its student of v-coco'):
        Teachers([str(small_checkpoint)], 'v-coco', FULL, SEED)


def test_a_teacher_that_needs_pixels_is_refused_without_them(seeing_checkpoint: Path) -> None:
    with pytest.raises(ValueError, match='seeing looks at pixels'):
        Teachers([str(seeing_checkpoint)], 'hico-det', FULL, SEED)
    assert Teachers([str(seeing_checkpoint)], 'hico-det', FULL, SEED, pixels=True).checkpoints


def test_a_teacher_that_is_not_there() -> None:
    with pytest.raises(FileNotFoundError, match='runs/absent/checkpoint'):
        Teachers(['runs/absent/checkpoint'], 'hico-det', FULL, SEED)


def test_a_teacher_that_saw_the_unseen_is_refused(small_checkpoint: Path, tmp_path: Path) -> None:
    """An older checkpoint, which names no setting, saw everything."""
    student = SettingConfig('RF-UC')
    with pytest.raises(ValueError, match=r'fully supervised.*zero-shot RF-UC \(pair\)'):
        Teachers([str(small_checkpoint)], 'hico-det', student, SEED)
    same = Path(shutil.copytree(small_checkpoint, tmp_path / 'same'))
    config = json.loads((same / 'config.json').read_text()) | {'setting': {'split': 'RF-UC'}}
    (same / 'config.json').write_text(json.dumps(config))
    assert Teachers([str(same)], 'hico-det', student, SEED).checkpoints
    assert Teachers([str(same)], 'hico-det', FULL, SEED).checkpoints  # saw less, tells no secret
    with pytest.raises(ValueError, match='UV'):
        Teachers([str(same)], 'hico-det', SettingConfig('UV'), SEED)


def test_a_teacher_of_other_shots_is_refused(small_checkpoint: Path, tmp_path: Path) -> None:
    few = Path(shutil.copytree(small_checkpoint, tmp_path / 'few'))
    config = json.loads((few / 'config.json').read_text())
    (few / 'config.json').write_text(json.dumps(config | {'setting': {'shots': 4}, 'seed': SEED}))
    assert Teachers([str(few)], 'hico-det', SettingConfig(shots=4), SEED).checkpoints
    assert Teachers([str(few)], 'hico-det', FULL, SEED + 1).checkpoints
    with pytest.raises(ValueError, match='trained with seed 7, its student with 8'):
        Teachers([str(few)], 'hico-det', SettingConfig(shots=4), SEED + 1)
