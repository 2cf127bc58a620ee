"""The thread that takes the newest matched pair, predicts and publishes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from link_hoi_msgs.msg import HoiFrameStats
from link_hoi_ros.frame import Frame
from link_hoi_ros.guard import Guard
from link_hoi_ros.matching import IMAGE_COUNTERS, Matcher, Pair
from link_hoi_ros.outputs import Outputs
from link_hoi_ros.pipeline import Pipeline

# A model that hangs must not keep the process from ending.
EXIT_SECONDS = 5.0
# How often counters are published while no image is processed.
IDLE_SECONDS = 1.0
# What goes on ends in the time of the images; without any for so long, it has ended too.
EVENTS_END_SECONDS = 10.0


class Worker:
    """Processes pairs until it is stopped; every image ends up in the counters.

    Attributes:
        frame: the last one that was published, None before.
        latency: milliseconds from its stamp until its triplets were published; None before.
    """

    def __init__(
        self,
        matcher: Matcher,
        pipeline: Pipeline,
        outputs: Outputs,
        guard: Guard,
        now: Callable[[], int],
    ) -> None:
        """Start at once; `now` gives ROS time in nanoseconds."""
        self.frame: Frame | None = None
        self.latency: float | None = None
        self._matcher, self._pipeline, self._outputs = matcher, pipeline, outputs
        self._guard, self._now = guard, now
        self._shown = time.monotonic()
        self._left_behind = False
        self._told = dict.fromkeys(IMAGE_COUNTERS, 0)
        self._thread = threading.Thread(target=self._work, name='hoi_worker', daemon=True)
        self._thread.start()

    def stop(self) -> bool:
        """End after the pair in work; False if that takes too long, and it is left behind."""
        self._matcher.close()
        self._thread.join(EXIT_SECONDS)
        self._left_behind = self._thread.is_alive()
        return not self._left_behind

    def _work(self) -> None:
        matcher, guard = self._matcher, self._guard
        while not matcher.closed:
            pair = matcher.take(IDLE_SECONDS)
            stats = HoiFrameStats()
            if pair is not None:
                stats.header = pair.image.header
                matcher.finish(guard.survives(lambda: self._process(pair, stats)))
            if self._left_behind:
                return
            if time.monotonic() > self._shown + EVENTS_END_SECONDS:
                guard.survives(self._outputs.end_events)
            guard.survives(lambda: self._tell_counts(stats))
        guard.survives(lambda: self._tell_counts(HoiFrameStats()))

    def _process(self, pair: Pair, stats: HoiFrameStats) -> None:
        """From messages to everything published; the durations go into `stats`."""
        started = time.monotonic_ns()
        frame = self._pipeline.process(pair.image, pair.detections)
        if self._left_behind:
            return  # newer frames may be out
        predicted = time.monotonic_ns()
        self._outputs.publish(frame)
        published = time.monotonic_ns()
        self.frame = frame
        self.latency = (self._now() - pair.stamp) / 1e6
        stats.wait = (started - pair.matched) / 1e6
        for stage, milliseconds in self._pipeline.stages.items():
            setattr(stats, stage, milliseconds)
        stats.publish = (published - predicted) / 1e6
        stats.latency = self.latency
        self._outputs.show(frame)
        self._shown = time.monotonic()

    def _tell_counts(self, stats: HoiFrameStats) -> None:
        """Publish the counters if they changed, with the durations of one image or with none."""
        counts = self._matcher.counts()
        values = {name: getattr(counts, name) for name in IMAGE_COUNTERS}
        if values == self._told:
            return
        self._told = values
        for name, value in values.items():
            setattr(stats, name, value)
        self._outputs.publish_stats(stats)
