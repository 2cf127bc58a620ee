"""One training run: data, trainer, and the checkpoint it ends with."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path

import lightning
from lightning.pytorch.callbacks import (
    EMAWeightAveraging,
    LearningRateMonitor,
    ModelCheckpoint,
    RichProgressBar,
)
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from torch.utils.data import DataLoader

from link_hoi_core.checkpoint import Checkpoint, save_checkpoint
from link_hoi_core.configuration import to_dict
from link_hoi_core.data.hico_det import AnnotatedImage, ground_truth_detections, read_hico_det
from link_hoi_core.evaluation.average_precision import best_f1_threshold
from link_hoi_core.evaluation.hico_det import hico_det_figures, rank_hico_det
from link_hoi_core.evaluation.matching import RankedDetections
from link_hoi_core.evaluation.pairs import ScoredPairs, predicted_pairs
from link_hoi_core.model.link import Link
from link_hoi_core.predictor import HoiPredictor
from link_hoi_core.structures import Detections
from link_hoi_core.training.card import Cost, card
from link_hoi_core.training.examples import HoiExamples, PairBudgetSampler
from link_hoi_core.training.experiment import Experiment
from link_hoi_core.training.module import LinkTraining

CONFIGURATION = 'experiment.json'
LAST = 'last.ckpt'
THRESHOLD_IMAGES = 10000


def train(experiment: Experiment, output: Path, device: str, resume: bool) -> None:
    """Train, evaluate with ground-truth boxes, and write `output`/checkpoint.

    Raises:
        ValueError, OSError: the data or the folder is not usable.
        FloatingPointError: the loss is not finite; the last checkpoint stays.
    """
    _prepare(output, experiment, resume)
    root = Path(experiment.data.root)
    train_images = read_hico_det(root / experiment.data.train)
    test_images = read_hico_det(root / experiment.data.test)

    lightning.seed_everything(experiment.seed)
    module = LinkTraining(experiment, test_images)
    trainer = _trainer(experiment, output, device)
    start = time.monotonic()
    trainer.fit(
        module,
        _training_batches(experiment, module, train_images),
        DataLoader(_detections(test_images), batch_size=512, collate_fn=list),
        ckpt_path=output / LAST if resume else None,
        weights_only=True,
    )
    cost = Cost(sum(p.numel() for p in module.model.parameters()), time.monotonic() - start)
    _finish(experiment, output, module.model, train_images, test_images, cost)


def _prepare(output: Path, experiment: Experiment, resume: bool) -> None:
    """A fresh folder for a new run; for a resumed one the same configuration as before."""
    resolved = json.loads(json.dumps(to_dict(experiment)))
    record = output / CONFIGURATION
    if resume:
        if not (output / LAST).is_file():
            raise FileNotFoundError(f'{output / LAST} is not there, so there is no run to resume')
        before = json.loads(record.read_text())
        changed = [key for key in resolved if resolved[key] != before.get(key)]
        if changed:
            raise ValueError(f'{output} was begun with another {" and ".join(changed)}: {before}')
        return
    if (output / LAST).exists():
        raise FileExistsError(f'{output} already holds a run: --resume it or choose another folder')
    output.mkdir(parents=True, exist_ok=True)
    partial = record.with_suffix('.partial')
    partial.write_text(json.dumps(resolved, indent=2) + '\n')
    os.replace(partial, record)


def _trainer(experiment: Experiment, output: Path, device: str) -> lightning.Trainer:
    settings = experiment.optimiser
    return lightning.Trainer(
        accelerator={'cuda': 'gpu'}.get(device, device),
        devices=1,
        max_epochs=settings.epochs,
        gradient_clip_val=settings.clip_norm,
        callbacks=[
            EMAWeightAveraging(decay=settings.average),
            ModelCheckpoint(output, filename=Path(LAST).stem, enable_version_counter=False),
            LearningRateMonitor(),
            RichProgressBar(),
        ],
        logger=[TensorBoardLogger(output, name='tensorboard'), CSVLogger(output, name='csv')],
        num_sanity_val_steps=0,
        log_every_n_steps=20,
    )


def _training_batches(
    experiment: Experiment, module: LinkTraining, images: Sequence[AnnotatedImage]
) -> DataLoader:
    vocabulary, data = module.vocabulary, experiment.data
    examples = HoiExamples(
        images, vocabulary.person, len(vocabulary.verbs), experiment.augmentation
    )
    if not len(examples):
        raise ValueError(f'{data.train} has no image with a human-object pair to train on')
    sampler = PairBudgetSampler(examples.pair_counts, data.most_images, data.most_pairs)
    return DataLoader(examples, batch_sampler=sampler, collate_fn=examples.collate)


def _finish(
    experiment: Experiment,
    output: Path,
    model: Link,
    train_images: Sequence[AnnotatedImage],
    test_images: Sequence[AnnotatedImage],
    cost: Cost,
) -> None:
    """Choose mF1's threshold on training images, evaluate, and write the checkpoint."""
    model = model.cpu().half().float().eval()  # what a checkpoint holds, and so what is evaluated
    predictor = HoiPredictor(Checkpoint('trained', model, {}, ''), select=False)
    chosen = best_f1_threshold(_ranked(predictor, train_images[:THRESHOLD_IMAGES]))
    ranked = _ranked(predictor, test_images)
    figures = hico_det_figures(ranked, predictor.vocabulary, chosen.threshold)
    config = to_dict(experiment) | {'f1_threshold': chosen.threshold}
    save_checkpoint(output / 'checkpoint', model, config, card(experiment, figures, cost))


def _ranked(predictor: HoiPredictor, images: Sequence[AnnotatedImage]) -> RankedDetections:
    """A model's triplets among the ground-truth boxes of `images`, marked right or wrong."""
    detections = _detections(images)
    found = predictor.predict_batch(detections)
    predictions = ScoredPairs.concatenate(
        predicted_pairs(index, boxes, triplets, predictor.vocabulary)
        for index, (boxes, triplets) in enumerate(zip(detections, found))
    )
    return rank_hico_det(images, predictions, predictor.vocabulary)


def _detections(images: Sequence[AnnotatedImage]) -> list[Detections]:
    """Ground-truth boxes; an image without pairs has none, and may have no size."""
    return [
        ground_truth_detections(image) if len(image.hoi) else Detections.empty((1, 1))
        for image in images
    ]
