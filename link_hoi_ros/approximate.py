"""Matching as message_filters' approximate synchroniser does it, guarded against its faults."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from rclpy.time import Time

from link_hoi_core.optional import require
from link_hoi_ros.matching import CAPACITY, NANOSECONDS, Matcher


class ApproximateMatcher(Matcher):
    """A matcher that lets `message_filters.ApproximateTimeSynchronizer` find the pairs.

    The books are the matcher's: what is let go there leaves the synchroniser's queues too, before
    it is asked again. So its queues are bounded by time, and old stamps never crowd new ones out.
    Its callback only notes two stamps, since whatever raised there would leave its lock held for
    ever. After a jump back in time there is a new one.

    Args:
        window, tolerance, clock: as for `Matcher`.

    Raises:
        ImportError: message_filters is not installed.
    """

    def __init__(
        self, window: int, tolerance: int, clock: Callable[[], int] = time.monotonic_ns
    ) -> None:
        super().__init__(window, tolerance, clock)
        self._filters = require(
            'message_filters',
            'apt install ros-$ROS_DISTRO-message-filters',
            "matching.policy 'approximate'",
        )
        self._rebuild()

    def _detections_for(self, image: int) -> int | None:
        return self._ask(0, image)[1]

    def _image_for(self, detections: int) -> int | None:
        return self._ask(1, detections)[0]

    def _reset(self) -> None:
        super()._reset()
        self._rebuild()

    def _rebuild(self) -> None:
        self._inputs = (self._filters.SimpleFilter(), self._filters.SimpleFilter())
        self._synchronizer = self._filters.ApproximateTimeSynchronizer(
            self._inputs,
            queue_size=CAPACITY + 1,  # more than ever wait, so that it lets nothing go by itself
            slop=(self.tolerance + 1.5) / NANOSECONDS,  # less than that, cut to whole nanoseconds
        )
        self._synchronizer.registerCallback(self._on_pair)

    def _ask(self, side: int, stamp: int) -> tuple[int, int] | tuple[None, None]:
        """Stamps of image and detections that are paired because of this new one of a side."""
        for queue, waiting in zip(self._synchronizer.queues, (self._images, self._detections)):
            for gone in queue.keys() - waiting.keys():
                del queue[gone]
        self._found: tuple[int, int] | tuple[None, None] = (None, None)
        header = SimpleNamespace(stamp=Time(nanoseconds=stamp))
        self._inputs[side].signalMessage(SimpleNamespace(header=header))
        return self._found

    def _on_pair(self, image: Any, detections: Any) -> None:
        self._found = (image.header.stamp.nanoseconds, detections.header.stamp.nanoseconds)
