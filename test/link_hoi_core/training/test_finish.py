"""What a run leaves at its end: a checkpoint that predicts, its figures and its card."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip('lightning')

from link_hoi_core.backbones.backbone import BackboneConfig  # noqa: E402
from link_hoi_core.checkpoint import load_checkpoint  # noqa: E402
from link_hoi_core.data.annotated_image import AnnotatedImage, annotated_image  # noqa: E402
from link_hoi_core.data.hico_det import read_hico_det  # noqa: E402
from link_hoi_core.data.image_folder import ImageFolder  # noqa: E402
from link_hoi_core.data.splits import SettingConfig  # noqa: E402
from link_hoi_core.evaluation.boxes import predict_ground_truth_boxes  # noqa: E402
from link_hoi_core.evaluation.summary import benchmark_figures  # noqa: E402
from link_hoi_core.model.link import LinkConfig  # noqa: E402
from link_hoi_core.predictor import HoiPredictor  # noqa: E402
from link_hoi_core.training.card import Cost  # noqa: E402
from link_hoi_core.training.data import TrainingData  # noqa: E402
from link_hoi_core.training.experiment import DistillationConfig, Experiment  # noqa: E402
from link_hoi_core.training.finish import finish  # noqa: E402
from link_hoi_core.training.module import LinkTraining  # noqa: E402
from link_hoi_core.vocabulary import load_vocabulary  # noqa: E402

COST = Cost(parameters=1234, seconds=120, device=torch.device('cpu'), resumed=False)
SMALL = LinkConfig(width=32, encoder_layers=1, decoder_layers=1)


@pytest.fixture
def images(tmp_path: Path, write_annotations: Callable[..., Path]) -> list[AnnotatedImage]:
    return read_hico_det(write_annotations(tmp_path / 'test.json', 10))


def end(
    experiment: Experiment,
    images: Sequence[AnnotatedImage],
    output: Path,
    folder: ImageFolder | None = None,
) -> str:
    """Finish a run that has learnt nothing, and give its card."""
    torch.manual_seed(0)
    module = LinkTraining(experiment, images)
    finish(experiment, output, module, TrainingData(images, None, images, [], folder), COST)
    return (output / 'checkpoint' / 'README.md').read_text()


def figures_of(
    checkpoint: Path, images: Sequence[AnnotatedImage], folder: ImageFolder | None = None
) -> dict[str, float]:
    predictor = HoiPredictor(load_checkpoint(checkpoint), select=False)
    predictions = predict_ground_truth_boxes(predictor, images, folder)
    return benchmark_figures(images, predictions, predictor.vocabulary, np.zeros(0, np.int64))


def test_the_card_has_the_figures_of_the_checkpoint(
    images: list[AnnotatedImage], tmp_path: Path
) -> None:
    card = end(Experiment(model=SMALL), images, tmp_path / 'run')
    checkpoint = load_checkpoint(tmp_path / 'run' / 'checkpoint')
    assert 0 < checkpoint.config['f1_threshold'] < 1
    assert f'{checkpoint.config["f1_threshold"]:.2f}, a threshold chosen on training' in card
    found = figures_of(tmp_path / 'run' / 'checkpoint', images)
    assert found['full'] > 0
    row = ' | '.join(f'{found[name]:.2f}' for name in ('full', 'rare', 'non_rare'))
    assert '| Full | Rare | Non-rare | mF1 | mPrec | mRec |' in card and f'| {row} | ' in card
    for text in ('without pixels', '600 HICO-DET', 'Seed 140', '1,234 parameters', 'No teacher'):
        assert text in card


def test_a_zero_shot_card_says_what_was_unseen(
    images: list[AnnotatedImage], tmp_path: Path
) -> None:
    card = end(Experiment(model=SMALL, setting=SettingConfig('UV')), images, tmp_path / 'run')
    assert '| Unseen | Seen | Harmonic mean |' in card and '84 unseen classes' in card


def test_other_benchmarks_have_no_f1(tmp_path: Path) -> None:
    vocabulary = load_vocabulary('v-coco')
    verb, object_ = vocabulary.hois[:1].T
    boxes = np.float32([[0, 0, 50, 90]]), np.float32([[40, 20, 90, 80]])
    image = annotated_image(vocabulary, 'a.jpg', (100, 100), *boxes, object_, verb)
    experiment = Experiment(model=replace(SMALL, vocabulary='v-coco'))
    card = end(experiment, [image], tmp_path / 'run')
    assert 'V-COCO test' in card and '| mAP |' in card
    assert 'mF1' not in card and 'HICO' not in card.partition('## Training')[0]
    assert 'f1_threshold' not in load_checkpoint(tmp_path / 'run' / 'checkpoint').config


def test_a_model_that_sees_is_evaluated_on_pictures(
    images: list[AnnotatedImage], seeing_checkpoint: Path, tmp_path: Path
) -> None:
    pil = pytest.importorskip('PIL.Image')
    random = np.random.default_rng(0)
    for image in images:
        noise = random.integers(0, 256, (480, 640, 3), np.uint8)
        pil.fromarray(noise).save(tmp_path / image.file_name)
    folder = ImageFolder(tmp_path)
    backbone = BackboneConfig('timm:test_vit.r160_in1k', weights='random', text='minilm')
    experiment = Experiment(
        model=replace(SMALL, backbone=backbone, adapter=4),
        distillation=DistillationConfig(teachers=(str(seeing_checkpoint),)),
    )
    card = end(experiment, images, tmp_path / 'run', folder)
    found = figures_of(tmp_path / 'run' / 'checkpoint', images, folder)
    assert found['full'] > 0 and f'| {found["full"]:.2f} | ' in card
    assert 'LINK with timm:test_vit.r160_in1k' in card and 'random weights (seed 0)' in card
    assert load_checkpoint(seeing_checkpoint).sha256[:12] in card
    assert 'no pixels' not in card and 'mirror' not in card
    with pytest.raises(ValueError, match='it needs the image'):
        figures_of(tmp_path / 'run' / 'checkpoint', images)
