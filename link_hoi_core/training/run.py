"""One training run: data, trainer, and the checkpoint it ends with."""

from __future__ import annotations

import json
import resource
import time
from pathlib import Path

import lightning
from lightning.pytorch.callbacks import EMAWeightAveraging, LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from torch.utils.data import DataLoader

from link_hoi_core.checkpoint import save_checkpoint
from link_hoi_core.configuration import to_dict
from link_hoi_core.data.hico_det import read_hico_det
from link_hoi_core.training.card import write_card
from link_hoi_core.training.examples import HoiExamples, PairBudgetSampler
from link_hoi_core.training.experiment import Experiment
from link_hoi_core.training.module import LinkTraining

CONFIGURATION = 'experiment.json'
LAST = 'last.ckpt'
