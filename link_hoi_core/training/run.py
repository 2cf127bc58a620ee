"""One training run: data, trainer, and the checkpoint it ends with."""

from __future__ import annotations

import atexit
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path

import lightning
import numpy as np
import torch
from lightning import Callback
from lightning.fabric.plugins.environments import LightningEnvironment, TorchElasticEnvironment
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import (
    EMAWeightAveraging,
    LearningRateMonitor,
    ModelCheckpoint,
    RichProgressBar,
)
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from torch.utils.data import DataLoader

from link_hoi_core.device import pick_device, pick_precision
from link_hoi_core.evaluation.summary import HEADLINES
from link_hoi_core.training.callbacks import EpochOrder, StopOnSignal, WaitShare
from link_hoi_core.training.card import Cost
from link_hoi_core.training.data import TrainingData, load_training_data
from link_hoi_core.training.examples import HoiExamples
from link_hoi_core.training.experiment import Experiment
from link_hoi_core.training.finish import finish
from link_hoi_core.training.module import LinkTraining
from link_hoi_core.training.pictures import Pictures, open_pictures
from link_hoi_core.training.sampler import PairBudgetSampler
from link_hoi_core.training.state import (
    BEST,
    LAST,
    WholeFiles,
    check_folder,
    check_steps,
    read_state,
    record,
)
from link_hoi_core.vocabulary import load_vocabulary

PRECISIONS = {torch.float32: '32-true', torch.bfloat16: 'bf16-mixed', torch.float16: '16-mixed'}


def train(
    experiment: Experiment,
    output: Path,
    resume: bool,
    device: str = 'auto',
    devices: int = 1,
    nodes: int = 1,
) -> None:
    """Train, evaluate with ground-truth boxes, and write `output`/checkpoint.

    Args:
        device: 'auto', 'cpu', 'cuda' or 'cuda:1'.
        devices, nodes: so many devices of each of so many machines; torchrun says so itself.

    Raises:
        ValueError, OSError: the data or the folder is not usable.
        FloatingPointError: the loss is not finite; the last checkpoint stays.
        Interrupted: a signal came; the last checkpoint stays.
    """
    trainer = _trainer(experiment, output, device, devices, nodes)
    with _first_rank_first(trainer):
        data, module, batches = _prepare(experiment, output, resume, trainer)
    start = time.monotonic()
    if trainer.strategy.launcher is not None:  # a failed rank 0 leaves none that waits for it
        atexit.register(trainer.strategy.launcher.kill, signal.SIGKILL)
    trainer.fit(
        module,
        batches,
        DataLoader([data.test], batch_size=None, collate_fn=list),
        ckpt_path=output / LAST if resume else None,
        weights_only=True,
    )
    if trainer.is_global_zero:
        # Not what `fit` leaves: a run resumed after its last epoch has nothing left to average.
        module.load_state_dict(read_state(output / LAST)['state_dict'])
        parameters = sum(parameter.numel() for parameter in module.model.parameters())
        took = time.monotonic() - start
        cost = Cost(parameters, took, trainer.strategy.root_device, resume)
        finish(experiment, output, module, data, cost)


def _prepare(
    experiment: Experiment, output: Path, resume: bool, trainer: lightning.Trainer
) -> tuple[TrainingData, LinkTraining, DataLoader]:
    """What is trained on, what is trained, and this process's batches."""
    if trainer.is_global_zero:
        check_folder(output, experiment, resume)
    device = trainer.strategy.root_device
    data = load_training_data(experiment, output, str(device))
    lightning.seed_everything(experiment.seed)
    module = LinkTraining(experiment, data.train, data.folder)
    sources = (experiment.data, experiment.augmentation, data.folder, data.train)
    pictures = open_pictures(*sources, module.backbones, device)
    batches = _training_batches(experiment, data, pictures, trainer)
    if resume:
        state = read_state(output / LAST)
        check_steps(output, state, len(batches))
        # For workers that prepare batches before the epoch begins.
        batches.batch_sampler.set_epoch(state['epoch'] + 1)
    if trainer.is_global_zero:
        record(output, experiment)
    return data, module, batches


def _trainer(
    experiment: Experiment, output: Path, device: str, devices: int, nodes: int
) -> lightning.Trainer:
    settings, where = experiment.optimiser, pick_device(device)
    if TorchElasticEnvironment.detect():
        devices = int(os.environ['LOCAL_WORLD_SIZE'])
        nodes = int(os.environ['WORLD_SIZE']) // devices
    one = where.type != 'cpu' and ':' in device
    if one and devices * nodes > 1:
        raise ValueError(f'--device {device} is one device, but {devices * nodes} are asked for')
    try:
        return lightning.Trainer(
            accelerator={'cpu': 'cpu', 'cuda': 'gpu', 'mps': 'mps'}[where.type],
            devices=[where.index] if one else devices,
            num_nodes=nodes,
            precision=PRECISIONS[pick_precision(settings.precision)],
            max_epochs=settings.epochs,
            gradient_clip_val=settings.clip_norm,
            callbacks=_callbacks(experiment, output, where.type),
            logger=[TensorBoardLogger(output, name='tensorboard'), CSVLogger(output, name='csv')],
            plugins=[WholeFiles()],
            num_sanity_val_steps=0,
            log_every_n_steps=20,
            use_distributed_sampler=False,
        )
    except MisconfigurationException as error:
        raise ValueError(' '.join(str(error).split())) from error


def _callbacks(experiment: Experiment, output: Path, device: str) -> list[Callback]:
    """What happens besides the steps, in this order; states are saved last."""
    headline = HEADLINES[load_vocabulary(experiment.model.vocabulary).id]
    decay = experiment.optimiser.average
    return [
        # By itself it would stay on the CPU, where the module is when it is copied.
        *([EMAWeightAveraging(device, decay=decay)] if decay else []),
        EpochOrder(),
        WaitShare(),
        StopOnSignal(),
        LearningRateMonitor(),
        RichProgressBar(),
        ModelCheckpoint(
            output, Path(BEST).stem, headline, mode='max', enable_version_counter=False
        ),
        # After the best one, so that a resumed run knows how good that is.
        ModelCheckpoint(output, Path(LAST).stem, enable_version_counter=False),
    ]


@contextmanager
def _first_rank_first(trainer: lightning.Trainer) -> Iterator[None]:
    """Lets rank 0 prepare files that the others then find, however long it takes.

    Only where something else starts all processes at once, as torchrun and SLURM do: Lightning's
    own launcher starts the others when training begins.
    """
    if trainer.world_size == 1 or isinstance(
        trainer.strategy.cluster_environment, LightningEnvironment
    ):
        yield
        return
    trainer.strategy.setup_environment()
    group = torch.distributed.new_group(backend='gloo', timeout=timedelta(days=7))
    if not trainer.is_global_zero:
        torch.distributed.barrier(group)
    yield
    if trainer.is_global_zero:
        torch.distributed.barrier(group)


def _training_batches(
    experiment: Experiment,
    data: TrainingData,
    pictures: Pictures | None,
    trainer: lightning.Trainer,
) -> DataLoader:
    """The batches of this process."""
    vocabulary, settings = load_vocabulary(experiment.model.vocabulary), experiment.data
    examples = HoiExamples(
        data.train,
        data.boxes,
        vocabulary.person,
        len(vocabulary.verbs),
        experiment.augmentation,
        data.hidden,
        pictures,
    )
    sampler = PairBudgetSampler(
        examples.pair_counts,
        settings.most_images,
        settings.most_pairs,
        experiment.seed,
        trainer.global_rank,
        trainer.world_size,
    )
    return DataLoader(
        examples,
        batch_sampler=sampler,
        collate_fn=examples.collate,
        num_workers=settings.workers,
        pin_memory=trainer.strategy.root_device.type == 'cuda',
        # New workers in each epoch: those that stay go on with their random numbers, which a
        # resumed run would not have.
        worker_init_fn=partial(_begin_worker, sampler),
        # Its own, so that a loader draws nothing from the numbers of training when it is opened.
        generator=torch.Generator(),
    )


def _begin_worker(sampler: PairBudgetSampler, worker: int) -> None:
    """Random numbers by the seed, epoch, rank and worker; Ctrl-C is the training process's."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    random = np.random.default_rng((sampler.seed, sampler.epoch, sampler.rank, worker))
    torch.manual_seed(int(random.integers(2**62)))
