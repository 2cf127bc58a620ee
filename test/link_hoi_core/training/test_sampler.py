"""Batches: every image once, of like numbers of pairs, another order in each epoch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from link_hoi_core.training.sampler import PairBudgetSampler

COUNTS = np.random.default_rng(0).integers(1, 60, 500).tolist()


def epoch(sampler: PairBudgetSampler, number: int) -> list[list[int]]:
    sampler.set_epoch(number)
    return list(sampler)


def test_an_epoch_shows_every_image_once_in_a_constant_number_of_batches() -> None:
    sampler = PairBudgetSampler(COUNTS, most_images=16, most_pairs=200, seed=0)
    epochs = [epoch(sampler, number) for number in range(3)]
    for batches in epochs:
        assert len(batches) == len(sampler)
        assert sorted(sum(batches, [])) == list(range(500))
        assert max(map(len, batches)) <= 16
    assert epochs[0] != epochs[1]
    together = [{frozenset(batch) for batch in batches} for batches in epochs]
    assert len(together[0] & together[1]) < len(sampler) / 2  # other images meet


def test_batches_hold_images_of_like_numbers_of_pairs() -> None:
    sampler = PairBudgetSampler(COUNTS, most_images=16, most_pairs=200, seed=0)
    for batch in sampler:
        padded = len(batch) * max(COUNTS[image] for image in batch)
        assert padded <= 200 * (1 + PairBudgetSampler.NOISE) or len(batch) == 1


def test_the_order_depends_on_the_seed_and_the_epoch_only() -> None:
    orders = []
    for seed, number in ((1, 5), (1, 5), (1, 6), (2, 5)):
        torch.manual_seed(len(orders))  # what training draws from makes no difference
        sampler = PairBudgetSampler(COUNTS, most_images=16, most_pairs=200, seed=seed)
        orders.append(epoch(sampler, number))
    assert orders[0] == orders[1]
    assert orders[0] != orders[2] and orders[0] != orders[3]


@pytest.mark.parametrize('world', [2, 3, 8, 100])
def test_processes_share_the_batches_of_one(world: int) -> None:
    """As many each, all of them seen, none more often than it takes to fill the last step."""
    limits = {'most_images': 16, 'most_pairs': 200, 'seed': 3}
    alone = [tuple(batch) for batch in epoch(PairBudgetSampler(COUNTS, **limits), 4)]
    shares = [
        epoch(PairBudgetSampler(COUNTS, **limits, rank=rank, world=world), 4)
        for rank in range(world)
    ]
    steps = -(-len(alone) // world)
    assert [len(share) for share in shares] == [steps] * world
    assert len(PairBudgetSampler(COUNTS, **limits, rank=world - 1, world=world)) == steps
    seen = [tuple(batch) for share in shares for batch in share]
    assert set(seen) == set(alone)
    assert max(map(seen.count, alone)) <= -(-world // len(alone)) + 1
    if world <= len(alone):
        assert len(seen) - len(set(seen)) == steps * world - len(alone)


def test_the_processes_have_like_work_in_a_step() -> None:
    limits = {'most_images': 16, 'most_pairs': 200, 'seed': 0}
    shares = [PairBudgetSampler(COUNTS, **limits, rank=rank, world=2) for rank in range(2)]
    assert len(shares[0].ends) % 2 == 0  # no step is filled with batches of another kind
    for step in zip(*shares):
        most = [max(COUNTS[image] for image in batch) for batch in step]
        assert max(most) <= 2 * min(most) + 2


@pytest.mark.parametrize('counts', [[5], [100000], [1, 1, 1]])
def test_few_images_make_a_batch(counts: list[int]) -> None:
    sampler = PairBudgetSampler(counts, most_images=64, most_pairs=1024, seed=0)
    assert len(sampler) == 1 and sorted(*sampler) == list(range(len(counts)))
