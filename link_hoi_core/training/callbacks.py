"""What Lightning's own callbacks do not do: say how long data were waited for, stop on a signal."""

from __future__ import annotations

import signal
import time
from types import FrameType

import torch
from lightning import Callback, LightningModule, Trainer

from link_hoi_core.training.batch import Batch


class Interrupted(Exception):
    """A signal came while training.

    Attributes:
        number: SIGTERM or SIGINT.
        first: whether this is rank 0.
    """

    def __init__(self, number: int, first: bool) -> None:
        super().__init__(f'{signal.Signals(number).name} came')
        self.number, self.first = number, first


class StopOnSignal(Callback):
    """Ends training after the running step, or the running validation, when a signal comes.

    What is kept is the last whole epoch: a resumed run repeats the begun one, and ends as if it had
    not been interrupted. Of several processes one signalled is enough.
    """

    SIGNALS = (signal.SIGTERM, signal.SIGINT)

    def __init__(self) -> None:
        self.number = 0
        self._former: dict[int, object] = {}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Listen in place of Lightning, which leaves Python's own handler of SIGINT."""
        self._former = {number: signal.signal(number, self._note) for number in self.SIGNALS}

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: object,
        batch: object,
        batch_idx: int,
    ) -> None:
        self._stop(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._listen_no_more()
        self._stop(trainer)

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        self._listen_no_more()

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.number = number

    def _stop(self, trainer: Trainer) -> None:
        number = torch.tensor(self.number, device=trainer.strategy.root_device)
        if number := int(trainer.strategy.reduce(number, reduce_op='max')):
            raise Interrupted(number, trainer.is_global_zero)

    def _listen_no_more(self) -> None:
        for number, former in self._former.items():
            signal.signal(number, former)


class EpochOrder(Callback):
    """Tells the sampler of batches which epoch begins; Lightning tells only samplers of images."""

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        trainer.train_dataloader.batch_sampler.set_epoch(trainer.current_epoch)


class WaitShare(Callback):
    """Logs each epoch's speed and the share of its time in which the device had no data.

    `wait_share` in [0, 1] is the mean over processes, `images_per_second` their sum; validation
    does not count.
    """

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.waited, self.images = 0.0, 0
        self.start = self.last = time.monotonic()

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        self.waited += time.monotonic() - self.last
        self.images += len(batch.targets)

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: object,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        self.last = time.monotonic()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        took = max(self.last - self.start, 1e-9)  # of an epoch without a step
        speed = self.images / took * trainer.world_size
        figures = {'wait_share': self.waited / took, 'images_per_second': speed}
        pl_module.log_dict(figures, prog_bar=True, sync_dist=True)
