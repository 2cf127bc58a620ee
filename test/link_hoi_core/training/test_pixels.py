"""Training steps of a student that sees: through which backbones, taught by whom."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

pytest.importorskip('lightning')
pytest.importorskip('timm')

from link_hoi_core.backbones.backbone import BackboneConfig  # noqa: E402
from link_hoi_core.checkpoint import build_model, save_checkpoint  # noqa: E402
from link_hoi_core.configuration import to_dict  # noqa: E402
from link_hoi_core.model.link import LinkConfig  # noqa: E402
from link_hoi_core.model.scene import build_scene  # noqa: E402
from link_hoi_core.structures import Detections  # noqa: E402
from link_hoi_core.training.batch import Batch  # noqa: E402
from link_hoi_core.training.experiment import DistillationConfig, Experiment  # noqa: E402
from link_hoi_core.training.module import LinkTraining  # noqa: E402

pytestmark = pytest.mark.filterwarnings('ignore:You are trying to `self.log')

VIT, CNN = 'timm:test_vit.r160_in1k', 'timm:test_resnet.r160_in1k'
DETECTIONS = [
    Detections([[0, 0, 9, 9], [1, 1, 8, 8], [2, 2, 7, 7]], [1, 1, 0.5], [0, 1, 0], (10, 10)),
    Detections([[0, 0, 9, 9], [1, 1, 8, 8]], [0.9, 0.8], [0, 56], (10, 10)),
]
NO_PAIR = [
    Detections([[0, 0, 9, 9]], [1], [56], (10, 10)),
    Detections([[0, 0, 9, 9], [1, 1, 8, 8]], [1, 1], [56, 57], (10, 10)),
]
NOTHING = [Detections(np.zeros((0, 4)), [], [], (10, 10))] * 2


def seeing(name: str, seed: int = 0, **changes: object) -> LinkConfig:
    """A small model that looks through a small random backbone."""
    backbone = BackboneConfig(name, weights='random', text='minilm', seed=seed)
    return LinkConfig(**{'width': 32, 'dropout': 0, 'backbone': backbone, 'adapter': 4, **changes})


@pytest.fixture(scope='module')
def teachers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Checkpoints by what they look through: as the student, or a wider map or another one."""
    folder = tmp_path_factory.mktemp('teachers')
    configs = {
        'same': seeing(VIT, width=48),
        'other weights': seeing(VIT, seed=1),
        'wider': seeing(CNN, width=64, encoder_layers=3, adapter=0),
    }
    for name, config in configs.items():
        torch.manual_seed(2)
        model, backbone = build_model(config)
        save_checkpoint(folder / name, model, backbone, {'model': to_dict(config)}, '')
    return {name: str(folder / name) for name in configs}


@pytest.fixture
def student(teachers: dict[str, str]) -> Callable[..., LinkTraining]:
    """Build the student of the named teachers; keywords as of `LinkConfig`."""

    def make(*names: str, feature_map: float = 0.5, **changes: object) -> LinkTraining:
        torch.manual_seed(1)
        settings = DistillationConfig(
            teachers=tuple(teachers.get(name, name) for name in names), feature_map=feature_map
        )
        model = seeing(VIT, **changes)
        return LinkTraining(Experiment(model=model, distillation=settings), images=[]).train()

    return make


def make_batch(module: LinkTraining, detections: list[Detections] = DETECTIONS) -> Batch:
    """The detections in random pictures, as each backbone wants them."""
    random = np.random.default_rng(0)
    images = [random.integers(0, 256, (10, 10, 3), np.uint8) for _ in detections]
    scene = build_scene(detections, person=0)
    targets = torch.zeros(*scene.pairs.shape[:2], 117)
    if scene.pairs.shape[1] and scene.pair_present.any():
        targets[0, 0, 76] = targets[1, 0, 87] = 1
    return Batch(scene, targets, tuple(backbone.prepare(images) for backbone in module.backbones))


def cached(module: LinkTraining, batch: Batch) -> Batch:
    """The batch with half-precision maps in the place of its pictures."""
    pairs = zip(module.backbones, batch.pictures)
    maps = tuple(backbone.encode_image(picture).half() for backbone, picture in pairs)
    return replace(batch, pictures=maps, encoded=True)


def test_gradients_reach_the_student_only(student: Callable[..., LinkTraining]) -> None:
    """Two teachers with maps of other widths, and one that sees nothing."""
    module = student('other weights', 'wider', 'boxes')
    assert len({backbone.width for backbone in module.backbones}) == 2
    assert len(module.backbones) == 3
    module.training_step(make_batch(module), 0).backward()
    without = [name for name, value in module.named_parameters() if value.grad is None]
    assert without == []
    assert module.model.adapter.up.weight.grad.any()
    frozen = [*module.backbones, *(teacher.model for teacher in module.teachers.checkpoints)]
    for model in frozen:
        assert not model.training and all(value.grad is None for value in model.parameters())


def test_teachers_and_backbones_are_no_part_of_the_state(
    student: Callable[..., LinkTraining],
) -> None:
    module = student('wider')
    expected = {f'model.{name}' for name in module.model.state_dict()}
    assert module.state_dict().keys() == expected
    assert {name for name, _ in module.named_parameters()} <= expected


def test_a_copy_for_the_average_holds_weights_and_nothing_frozen(
    student: Callable[..., LinkTraining],
) -> None:
    module = student('same', 'wider')
    copied = copy.deepcopy(module)
    assert copied.backbones == [] and copied.teachers is None
    assert copied.state_dict().keys() == module.state_dict().keys()
    assert len(module.backbones) == 2  # the module itself has lost nothing
    module.training_step(make_batch(module), 0)


def test_models_that_look_through_one_backbone_run_it_once(
    student: Callable[..., LinkTraining],
) -> None:
    module = student('same', 'wider', 'same')
    assert [backbone.name for backbone in module.backbones] == [VIT, CNN]
    runs = []
    module.backbones[0].model.patch_embed.register_forward_hook(lambda *_: runs.append(1))
    module.training_step(make_batch(module), 0)
    assert len(runs) == 1


@pytest.mark.parametrize('names', [(), ('same', 'wider', 'boxes')], ids=['alone', 'taught'])
def test_cached_maps_give_the_loss_of_pixels(
    student: Callable[..., LinkTraining], names: tuple[str, ...]
) -> None:
    module = student(*names)
    batch = make_batch(module)
    live = module.training_step(batch, 0).item()
    assert module.training_step(cached(module, batch), 0).item() == pytest.approx(live, rel=2e-3)


def test_what_is_in_the_picture_matters(student: Callable[..., LinkTraining]) -> None:
    module = student('wider')
    batch = make_batch(module)
    before = module.training_step(batch, 0).item()
    for place in range(2):
        pictures = list(batch.pictures)
        pictures[place] = pictures[place].flip(-1)
        changed = replace(batch, pictures=tuple(pictures))
        assert module.training_step(changed, 0).item() != before


@pytest.mark.parametrize('detections', [NO_PAIR, NOTHING], ids=['no pair', 'nothing'])
@pytest.mark.parametrize('names', [(), ('same',)], ids=['alone', 'taught'])
def test_a_batch_without_a_pair_does_no_harm(
    student: Callable[..., LinkTraining], names: tuple[str, ...], detections: list[Detections]
) -> None:
    module = student(*names, feature_map=0)
    loss = module.training_step(make_batch(module, detections), 0)
    loss.backward()
    gradients = [value.grad for value in module.parameters()]
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)
    if not names or detections is NOTHING:
        assert loss.item() == 0 and not any(gradient.any() for gradient in gradients)


def test_a_map_cannot_be_taught_without_an_adapter(student: Callable[..., LinkTraining]) -> None:
    with pytest.raises(ValueError, match=r'model\.adapter.*distillation\.feature_map'):
        student('same', adapter=0)
    for module in (student('same', adapter=0, feature_map=0), student('boxes', adapter=0)):
        assert module.training_step(make_batch(module), 0) > 0
