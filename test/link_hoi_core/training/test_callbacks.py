"""How long training waited for its data."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

lightning = pytest.importorskip('lightning')
from link_hoi_core.training.callbacks import WaitShare  # noqa: E402

STEPS, IMAGES = 10, 3


@dataclass(frozen=True)
class Images:
    targets: Tensor


class Source(IterableDataset):
    """Batches that each take a while to come."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __len__(self) -> int:
        return STEPS

    def __iter__(self) -> Iterator[Images]:
        for _ in range(STEPS):
            time.sleep(self.seconds)
            yield Images(torch.zeros(IMAGES, 1))


class Model(lightning.LightningModule):
    """A step takes a while too, and validation a long one."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)
        self.seconds = seconds

    def training_step(self, batch: Images, index: int) -> Tensor:
        time.sleep(self.seconds)
        return self.layer(batch.targets).sum()

    def validation_step(self, batch: Tensor, index: int) -> None:
        time.sleep(0.2)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)

    def transfer_batch_to_device(self, batch: object, device: object, index: int) -> object:
        return batch


@pytest.mark.parametrize(('loading', 'computing'), [(0.03, 0.01), (0.01, 0.03), (0.0, 0.02)])
def test_the_share_is_that_of_loading(tmp_path: Path, loading: float, computing: float) -> None:
    trainer = lightning.Trainer(
        max_epochs=2,
        accelerator='cpu',
        callbacks=[WaitShare()],
        logger=False,
        default_root_dir=tmp_path,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    source = DataLoader(Source(loading), batch_size=None)
    trainer.fit(Model(computing), source, DataLoader([torch.zeros(1)], batch_size=None))
    step = loading + computing
    logged = {name: float(value) for name, value in trainer.callback_metrics.items()}
    assert logged['wait_share'] == pytest.approx(loading / step, abs=0.15)
    assert 0.5 * IMAGES / step < logged['images_per_second'] <= IMAGES / step
