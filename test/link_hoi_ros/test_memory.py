"""Fewer pairs when memory runs out, and more again with time."""

from __future__ import annotations

import pytest
import torch

from link_hoi_ros.memory import RETRY_SECONDS, PairLimit

OutOfMemory = torch.cuda.OutOfMemoryError


class Gpu:
    """Room for so many pairs, and a clock."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.tried: list[int] = []
        self.time = 0.0
        self.limit = PairLimit(clock=lambda: self.time)

    def predict(self, pairs: int) -> int:
        self.tried.append(pairs)
        if pairs > self.room:
            raise OutOfMemory('CUDA out of memory (simulated)')
        return pairs

    def run(self, most: int = 400) -> int:
        return self.limit.run(self.predict, most)


def test_all_pairs_are_tried_where_there_is_room():
    gpu = Gpu(room=400)
    assert gpu.run() == 400
    assert gpu.limit.value is None


def test_half_as_many_are_tried_until_they_fit_and_no_more_after_that():
    gpu = Gpu(room=120)
    assert gpu.run() == 100
    assert gpu.run() == 100
    assert gpu.tried == [400, 200, 100, 100]
    assert gpu.limit.value == 100


def test_more_are_tried_again_after_a_while_until_all_fit():
    gpu = Gpu(room=120)
    gpu.run()
    gpu.room = 1000
    found = []
    for _ in range(4):
        gpu.time += RETRY_SECONDS
        found.append(gpu.run())
    assert found == [200, 400, 400, 400]
    assert gpu.limit.value is None


def test_a_smaller_wish_is_granted_while_limited():
    gpu = Gpu(room=120)
    gpu.run()
    assert gpu.run(most=30) == 30


def test_when_two_pairs_do_not_fit_it_is_said_and_tried_again():
    gpu = Gpu(room=0)
    for _ in range(2):
        with pytest.raises(OutOfMemory):
            gpu.run()
    assert gpu.tried[-2:] == [2, 2]
    gpu.room = 1000
    assert gpu.run() == 2
