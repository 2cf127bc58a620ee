"""Which images meet in a batch, and which process gets it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from torch.utils.data import Sampler

from link_hoi_core.model.scene import cut_by_pairs


class PairBudgetSampler(Sampler[list[int]]):
    """Shuffled batches of images with like numbers of pairs, always the same number of batches.

    The batches' sizes are cut once; which images meet is drawn anew in each epoch, by sorting them
    by their number of pairs times a random factor. The order depends on the seed and the epoch
    only. Of several processes each takes one of every `world` neighbouring batches, so that they
    all have like work in a step; where the last step lacks batches, the first ones are repeated.

    Attributes:
        seed, epoch, rank: what an epoch's random numbers depend on; another epoch by `set_epoch`.
    """

    NOISE = 0.2

    def __init__(
        self,
        pair_counts: Sequence[int],
        most_images: int,
        most_pairs: int,
        seed: int,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        """Cut the sizes of the batches.

        Args:
            most_images, most_pairs: of one batch of one process, see `cut_by_pairs`.
            rank, world: the number of this process, and how many there are.
        """
        self.pair_counts = np.asarray(pair_counts)
        self.seed, self.epoch, self.rank, self.world = seed, 0, rank, world
        rows = np.arange(len(self.pair_counts))
        batches = cut_by_pairs(rows, self.pair_counts, most_images, most_pairs)
        self.ends = np.cumsum([len(batch) for batch in batches])

    def set_epoch(self, epoch: int) -> None:
        """Of which epoch the next iteration is."""
        self.epoch = epoch

    def __len__(self) -> int:
        return -(-len(self.ends) // self.world)

    def __iter__(self) -> Iterator[list[int]]:
        random = np.random.default_rng((self.seed, self.epoch))
        noise = 1 + self.NOISE * random.random(len(self.pair_counts))
        batches = np.split(np.argsort(self.pair_counts * noise), self.ends[:-1])
        steps = np.resize(np.arange(len(batches)), (len(self), self.world))
        for index in random.permutation(steps[:, self.rank]):
            yield batches[index].tolist()
