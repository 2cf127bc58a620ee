"""What goes wrong with one image is told once, and the node goes on."""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable

from rclpy.node import Node

# A stream of ever new sentences must not fill log and memory.
MAX_WARNINGS = 100


class Guard:
    """Logs failures of a node's threads.

    Attributes:
        last_error: the last failure in one line, '' while there is none.
    """

    def __init__(self, node: Node) -> None:
        """Log in the name of `node`."""
        self.last_error = ''
        self._node = node
        self._left_out: set[str] = set()
        self._failed: set[str] = set()

    def warn_once(self, sentence: str) -> None:
        """Log a sentence, unless it was logged already but for its numbers."""
        self._tell(sentence, self._left_out)

    def survives(self, step: Callable[[], None]) -> bool:
        """Whether `step` came through; what it raised is logged, and the node goes on."""
        try:
            step()
            return True
        except (ValueError, ImportError) as error:
            self.last_error = str(error)
            self._tell(self.last_error, self._failed)
        except Exception as error:
            if self._node.context.ok():  # else publishing failed because the process is ending
                self.last_error = f'{type(error).__name__}: {error}'.splitlines()[0]
                self._tell(traceback.format_exc(), self._failed)
        return False

    def _tell(self, sentence: str, told: set[str]) -> None:
        """Failures are told however much was left out, so both are counted apart."""
        cause = re.sub(r'\d[\d.e+-]*', '#', sentence)
        if cause not in told and len(told) < MAX_WARNINGS:
            told.add(cause)
            self._node.get_logger().warning(f'{sentence} (warned once; see the counters in stats)')
