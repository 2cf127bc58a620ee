"""Batches: every image once, of like numbers of pairs, another order in each epoch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from link_hoi_core.training.sampler import PairBudgetSampler

COUNTS = np.random.default_rng(0).integers(1, 60, 500).tolist()


def test_an_epoch_shows_every_image_once_in_a_constant_number_of_batches() -> None:
    sampler = PairBudgetSampler(COUNTS, most_images=16, most_pairs=200)
    epochs = [list(sampler) for _ in range(3)]
    for batches in epochs:
        assert len(batches) == len(sampler)
        assert sorted(sum(batches, [])) == list(range(500))
        assert max(map(len, batches)) <= 16
    assert epochs[0] != epochs[1]
    together = [{frozenset(batch) for batch in batches} for batches in epochs]
    assert len(together[0] & together[1]) < len(sampler) / 2  # other images meet


def test_batches_hold_images_of_like_numbers_of_pairs() -> None:
    sampler = PairBudgetSampler(COUNTS, most_images=16, most_pairs=200)
    for batch in sampler:
        padded = len(batch) * max(COUNTS[image] for image in batch)
        assert padded <= 200 * (1 + PairBudgetSampler.NOISE) or len(batch) == 1


def test_sampler_repeats_by_the_seed() -> None:
    sampler = PairBudgetSampler(COUNTS, most_images=16, most_pairs=200)
    orders = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        orders.append(list(sampler))
    assert orders[0] == orders[1] != orders[2]


@pytest.mark.parametrize('counts', [[5], [100000], [1, 1, 1]])
def test_few_images_make_a_batch(counts: list[int]) -> None:
    sampler = PairBudgetSampler(counts, most_images=64, most_pairs=1024)
    assert len(sampler) == 1 and sorted(*sampler) == list(range(len(counts)))
