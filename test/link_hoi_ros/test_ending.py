"""Signals are noted, and interrupt nothing but the loading of a model."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from link_hoi_ros.ending import Ending

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Put this process's handlers back."""
    before = [signal.getsignal(number) for number in SIGNALS]
    yield
    for number, handler in zip(SIGNALS, before):
        signal.signal(number, handler)


@pytest.mark.parametrize('number', SIGNALS)
def test_a_signal_is_noted_and_interrupts_nothing(number):
    ending = Ending(lambda: False)
    assert not ending.asked
    for _ in range(3):
        signal.raise_signal(number)
        assert ending.asked


@pytest.mark.parametrize('number', SIGNALS)
def test_loading_is_interrupted_but_not_what_cleans_up_after_it(number):
    ending = Ending(lambda: True)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(number)
    assert ending.asked
    signal.raise_signal(number)
