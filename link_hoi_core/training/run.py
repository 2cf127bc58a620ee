"""One training run: data, trainer, and the checkpoint it ends with."""

from __future__ import annotations

import json
import pickle
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning
import torch
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
from link_hoi_core.data.json_files import read_json, write_json
from link_hoi_core.data.splits import training_set
from link_hoi_core.device import pick_device
from link_hoi_core.evaluation.average_precision import best_f1_threshold
from link_hoi_core.evaluation.ground_truth_boxes import predict_ground_truth_boxes
from link_hoi_core.evaluation.hico_det import hico_det_figures, rank_hico_det
from link_hoi_core.predictor import HoiPredictor
from link_hoi_core.structures import Detections
from link_hoi_core.training.card import Cost, card
from link_hoi_core.training.examples import HoiExamples
from link_hoi_core.training.experiment import Experiment
from link_hoi_core.training.module import LinkTraining
from link_hoi_core.training.sampler import PairBudgetSampler

CONFIGURATION = 'experiment.json'
LAST = 'last.ckpt'
THRESHOLD_IMAGES = 10000


def train(experiment: Experiment, output: Path, device: str, resume: bool) -> None:
    """Train, evaluate with ground-truth boxes, and write `output`/checkpoint.

    Raises:
        ValueError, OSError: the data or the folder is not usable.
        FloatingPointError: the loss is not finite; the last checkpoint stays.
    """
    _check_folder(output, experiment, resume)
    if experiment.model.vocabulary != 'hico-det':
        raise ValueError(
            f'model.vocabulary is {experiment.model.vocabulary}, but the annotations are read as '
            f"HICO-DET's, expected hico-det"
        )
    root = Path(experiment.data.root)
    train_images, hidden = training_set(
        read_hico_det(root / experiment.data.train), experiment.setting, experiment.seed
    )
    test_images = read_hico_det(root / experiment.data.test)

    lightning.seed_everything(experiment.seed)
    module = LinkTraining(experiment, train_images)
    batches = _training_batches(experiment, module, train_images, hidden)
    trainer = _trainer(experiment, output, device)
    _record(output, experiment)
    start = time.monotonic()
    trainer.fit(
        module,
        batches,
        DataLoader([test_images], batch_size=None, collate_fn=list),
        ckpt_path=output / LAST if resume else None,
        weights_only=True,
    )
    # Not what `fit` leaves: a run resumed after its last epoch has nothing left to average.
    module.load_state_dict(_read_state(output / LAST)['state_dict'])
    parameters = sum(parameter.numel() for parameter in module.model.parameters())
    cost = Cost(parameters, time.monotonic() - start, pick_device(device), resume)
    _finish(experiment, output, module, train_images, test_images, cost)


def _check_folder(output: Path, experiment: Experiment, resume: bool) -> None:
    """A fresh folder for a new run; for a resumed one the same configuration as before."""
    resolved = json.loads(json.dumps(to_dict(experiment)))
    if resume:
        if not (output / LAST).is_file():
            raise FileNotFoundError(f'{output / LAST} is not there, so there is no run to resume')
        _read_state(output / LAST)
        before = read_json(output / CONFIGURATION)
        changed = [key for key in resolved if resolved[key] != before.get(key)]
        if changed:
            raise ValueError(f'{output} was begun with another {" and ".join(changed)}: {before}')
    elif (output / LAST).exists():
        raise FileExistsError(f'{output} already holds a run: --resume it or choose another folder')


def _read_state(path: Path) -> dict[str, Any]:
    """What a run resumes from; its 'state_dict' holds the averaged weights."""
    try:
        return torch.load(path, map_location='cpu', weights_only=True)
    except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise ValueError(f'{path} is damaged, start anew: {str(error).splitlines()[0]}') from error


def _record(output: Path, experiment: Experiment) -> None:
    """Keep the resolved configuration, which a resumed run must have too."""
    output.mkdir(parents=True, exist_ok=True)
    write_json(output / CONFIGURATION, to_dict(experiment), indent=2)


def _trainer(experiment: Experiment, output: Path, device: str) -> lightning.Trainer:
    settings = experiment.optimiser
    where = pick_device(device)
    return lightning.Trainer(
        accelerator={'cpu': 'cpu', 'cuda': 'gpu'}[where.type],
        devices=1 if where.index is None else [where.index],
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
    experiment: Experiment,
    module: LinkTraining,
    images: Sequence[AnnotatedImage],
    hidden: Sequence[AnnotatedImage] | None,
) -> DataLoader:
    vocabulary, data = module.vocabulary, experiment.data
    boxes = [
        ground_truth_detections(image) if len(image.hoi) else Detections.empty((1, 1))
        for image in images  # one without pairs may be without a size
    ]
    examples = HoiExamples(
        images, boxes, vocabulary.person, len(vocabulary.verbs), experiment.augmentation, hidden
    )
    if not len(examples):
        raise ValueError(
            f'{data.train} has no image with a human-object pair to train on ({experiment.setting})'
        )
    sampler = PairBudgetSampler(examples.pair_counts, data.most_images, data.most_pairs)
    # Its own generator: a loader draws a number when it is opened, which is before the epoch's seed
    # in a run that begins or is resumed there, and after it in one that goes on.
    return DataLoader(
        examples, batch_sampler=sampler, collate_fn=examples.collate, generator=torch.Generator()
    )


def _finish(
    experiment: Experiment,
    output: Path,
    module: LinkTraining,
    train_images: Sequence[AnnotatedImage],
    test_images: Sequence[AnnotatedImage],
    cost: Cost,
) -> None:
    """Choose mF1's threshold on training images, evaluate, and write the checkpoint."""
    # In the precision of a checkpoint, so that what is evaluated is what it holds.
    model = module.model.cpu().half().float().eval()
    predictor = HoiPredictor(Checkpoint('trained', model, None, {}), select=False)
    ranked_train, ranked_test = (
        rank_hico_det(images, predict_ground_truth_boxes(predictor, images), predictor.vocabulary)
        for images in (train_images[:THRESHOLD_IMAGES], test_images)
    )
    chosen = best_f1_threshold(ranked_train)
    figures = hico_det_figures(ranked_test, predictor.vocabulary, chosen.threshold)
    config = to_dict(experiment) | {'f1_threshold': chosen.threshold}
    text = card(experiment, module.teachers.checkpoints, figures, cost)
    save_checkpoint(output / 'checkpoint', model, None, config, text)
