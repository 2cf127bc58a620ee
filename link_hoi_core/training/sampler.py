"""Which images meet in a batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch.utils.data import Sampler

from link_hoi_core.model.scene import cut_by_pairs


class PairBudgetSampler(Sampler[list[int]]):
    """Shuffled batches of images with like numbers of pairs, always the same number of batches.

    The batches' sizes are cut once; which images meet is drawn anew in each epoch, by sorting them
    by their number of pairs times a random factor.
    """

    NOISE = 0.2

    def __init__(self, pair_counts: Sequence[int], most_images: int, most_pairs: int) -> None:
        self.pair_counts = np.asarray(pair_counts)
        rows = np.arange(len(self.pair_counts))
        batches = cut_by_pairs(rows, self.pair_counts, most_images, most_pairs)
        self.ends = np.cumsum([len(batch) for batch in batches])

    def __len__(self) -> int:
        return len(self.ends)

    def __iter__(self) -> Iterator[list[int]]:
        noise = 1 + self.NOISE * torch.rand(len(self.pair_counts)).numpy()
        batches = np.split(np.argsort(self.pair_counts * noise), self.ends[:-1])
        for index in torch.randperm(len(batches)).tolist():
            yield batches[index].tolist()
