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
    assert gpu.tried == [400, 400, 200, 100, 100]
    assert gpu.limit.value == 100


def test_what_lay_about_unused_costs_no_pairs():
    gpu = Gpu(room=0)

    def predict(pairs: int) -> int:
        gpu.room += 400  # given back after the first attempt
        return gpu.predict(pairs + 400) - 400

    assert gpu.limit.run(predict, 400) == 400
    assert gpu.tried == [800, 800]
    assert gpu.limit.value is None


def test_all_are_tried_again_after_a_while():
    gpu = Gpu(room=120)
    gpu.run()
    gpu.time += RETRY_SECONDS + 1
    assert gpu.run() == 100
    gpu.room = 1000
    gpu.time += RETRY_SECONDS - 1
    assert gpu.run() == 100
    gpu.time += 2
    assert gpu.run() == 400
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
    gpu.time += RETRY_SECONDS + 1
    assert gpu.run() == 400
