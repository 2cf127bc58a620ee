"""Memory of the GPU: given back when it is not used, and fewer pairs where it does not suffice."""

from __future__ import annotations

import ctypes
import gc
import time
from collections.abc import Callable
from typing import TypeVar

import torch

# What filled the memory may be another process that ends: how long until all are tried again.
RETRY_SECONDS = 30.0
# A person and a thing, or two people, cannot be taken apart.
FEWEST = 2

T = TypeVar('T')


class PairLimit:
    """How many pairs of an image fit into memory.

    Attributes:
        value: the reduced number; None while nothing is wrong.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin without a limit; `clock` gives steady seconds."""
        self.value: int | None = None
        self._clock = clock
        self._reduced = 0.0

    def run(self, predict: Callable[[int], T], most: int) -> T:
        """Predict with at most `most` pairs, or with half as many again and again until they fit.

        Raises:
            torch.cuda.OutOfMemoryError: two pairs do not fit.
        """
        if self.value is not None and self._clock() > self._reduced + RETRY_SECONDS:
            self.value = None
        again = self.value is None  # what lay about unused may have been all that was in the way
        while True:
            pairs = most if self.value is None else min(self.value, most)
            try:
                return predict(pairs)
            except torch.cuda.OutOfMemoryError:
                if not again:
                    self.value, self._reduced = max(pairs // 2, FEWEST), self._clock()
                    if pairs <= FEWEST:
                        raise
            again = False
            release()  # outside the handler, whose traceback keeps the tensors alive


def release() -> None:
    """Give back to the GPU, and to other processes, what is no longer used."""
    gc.collect()
    torch.cuda.empty_cache()
    malloc_trim = getattr(ctypes.CDLL(None), 'malloc_trim', None)
    if malloc_trim is not None:  # glibc keeps half of what was freed; other libraries have no such
        malloc_trim(0)
