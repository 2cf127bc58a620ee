"""SIGINT and SIGTERM as a question that is answered between two callbacks."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any


class Ending:
    """Takes over both signals; rclpy has to be told to leave them alone.

    rclpy's handler shuts the context down from a thread of its own: nothing can be published any
    more, so interactions that go on would never be told to have ended, and that thread uses parts
    of the executor that the main thread, interrupted by the same signal, may have freed.

    Attributes:
        asked: whether the process was asked to end.
    """

    def __init__(self, is_loading: Callable[[], bool]) -> None:
        """To be called in the main thread.

        Args:
            is_loading: whether the main thread does what takes long and may be interrupted.
        """
        self.asked = False
        self._is_loading = is_loading
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)

    def _on_signal(self, *_: Any) -> None:
        """Raise KeyboardInterrupt only where a model is loaded."""
        repeated, self.asked = self.asked, True
        if not repeated and self._is_loading():
            raise KeyboardInterrupt
