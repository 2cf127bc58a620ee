"""Which detections belong to which image: pairs by stamp, the newest first, every discard counted.

Images are the clock. Their stamps grow; a step back is a loop of a bag or a restarted simulation
and clears everything. Once an image is paired, no older one can be published any more, so older
ones are let go at once. Waiting is bounded by `window` on the steady clock since arrival, which is
the time that a detector has for its answer whatever the rate or the stamps are.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

NANOSECONDS = 1_000_000_000

# A guard against a flood, not the working limit: more than 2 s of a 120 Hz camera.
CAPACITY = 256


# What HoiFrameStats says of the images; fields of Counts.
IMAGE_COUNTERS = (
    'received',
    'processed',
    'dropped_busy',
    'dropped_unmatched',
    'dropped_stale',
    'dropped_invalid',
)


@dataclass(frozen=True)
class Counts:
    """What became of the images and the detection messages since the start.

    `received` counts image messages, and the books balance at any moment:
    `received == processed + dropped_busy + dropped_unmatched + dropped_stale + dropped_invalid
    + pending`.

    Attributes:
        processed: images that gave an output.
        dropped_busy: paired, but a newer pair was ready before the worker was free.
        dropped_unmatched: no detections in time, or a newer image had its detections first.
        dropped_stale: stamp not after one already paired, repeated, or from before a jump back.
        dropped_invalid: could not be read, or has no stamp.
        pending: waiting for detections, for the worker, or in work.
        detections_*: the same for detection messages; `detections_paired` were matched.
    """

    received: int = 0
    processed: int = 0
    dropped_busy: int = 0
    dropped_unmatched: int = 0
    dropped_stale: int = 0
    dropped_invalid: int = 0
    pending: int = 0
    detections_received: int = 0
    detections_paired: int = 0
    detections_unmatched: int = 0
    detections_stale: int = 0
    detections_pending: int = 0


@dataclass(frozen=True)
class Pair:
    """An image message and its detections message; `stamp` is the image's, in nanoseconds.

    `matched` is the steady clock's time, in nanoseconds, at which the later of both arrived.
    """

    stamp: int
    image: Any
    detections: Any
    matched: int


def make_matcher(policy: str, window: int, tolerance: int) -> Matcher:
    """The matcher of parameter `matching.policy`: 'exact', 'tolerance' or 'approximate'.

    Args:
        window: as for `Matcher`.
        tolerance: in nanoseconds; without effect on 'exact'.

    Raises:
        ValueError: there is no such policy, or the window or the tolerance cannot work.
        ImportError: 'approximate' without message_filters.
    """
    if policy == 'approximate':
        # here, because it is made of what stands below
        from link_hoi_ros.approximate import ApproximateMatcher

        return ApproximateMatcher(window, tolerance)
    if policy not in ('exact', 'tolerance'):
        raise ValueError(
            f"matching policy is {policy!r}, expected 'exact', 'tolerance' or 'approximate'"
        )
    return Matcher(window, tolerance if policy == 'tolerance' else 0)


class Matcher:
    """Pairs images with detections; thread-safe: any thread adds, one worker takes.

    Args:
        window: how long, in nanoseconds, an image waits for its detections and the reverse.
        tolerance: largest difference of stamps in nanoseconds. An equal stamp always wins; keep
            it below half the camera's period, or detections of a neighbouring image may win.
        clock: steady time in nanoseconds.

    Attributes:
        window, tolerance: as they were given.
        last_image: when the last image message arrived, on that clock; None before the first.
        last_detections: the same for detections messages.
    """

    def __init__(
        self, window: int, tolerance: int = 0, clock: Callable[[], int] = time.monotonic_ns
    ) -> None:
        if window <= 0 or tolerance < 0:
            raise ValueError(
                f'matching window is {window} ns and tolerance {tolerance} ns, '
                'expected window > 0 and tolerance >= 0'
            )
        self.window = window
        self.tolerance = tolerance
        self._clock = clock
        self.last_image: int | None = None
        self.last_detections: int | None = None
        # stamp -> (arrival, message), in order of arrival, which is also the order of expiry
        self._images: dict[int, tuple[int, Any]] = {}
        self._detections: dict[int, tuple[int, Any]] = {}
        self._newest_image = 0
        self._newest_pair = 0
        # stamps that came since the last pair, whatever became of them
        self._recent_images: deque[int] = deque(maxlen=CAPACITY)
        self._recent_detections: deque[int] = deque(maxlen=CAPACITY)
        self._ready: Pair | None = None
        self._in_work = 0
        self._closed = False
        self._counts = Counts()
        self._changed = threading.Condition()

    def add_image(self, stamp: int, image: Any) -> None:
        """Store an image message with its stamp in nanoseconds; 0 or less is 'no stamp'."""
        with self._changed:
            self.last_image = self._clock()
            self._count(received=1)
            if stamp <= 0:
                self._count(dropped_invalid=1)
                return
            if stamp < self._newest_image:
                self._reset()
            self._expire()
            self._newest_image = stamp
            self._recent_images.append(stamp)
            if stamp <= self._newest_pair:
                self._count(dropped_stale=1)
                return
            if self._images.pop(stamp, None) is not None:
                self._count(dropped_stale=1)
            self._images[stamp] = (self.last_image, image)
            partner = self._detections_for(stamp)
            if partner is not None:
                self._pair(stamp, partner)
            elif len(self._images) > CAPACITY:
                self._images.pop(next(iter(self._images)))
                self._count(dropped_unmatched=1)

    def add_detections(self, stamp: int, detections: Any) -> None:
        """Store a detections message with its stamp in nanoseconds."""
        with self._changed:
            self.last_detections = self._clock()
            self._count(detections_received=1)
            self._recent_detections.append(stamp)
            self._expire()
            if stamp <= self._newest_pair:
                self._count(detections_stale=1)
                return
            if self._detections.pop(stamp, None) is not None:
                self._count(detections_stale=1)
            self._detections[stamp] = (self.last_detections, detections)
            partner = self._image_for(stamp)
            if partner is not None:
                self._pair(partner, stamp)
            elif len(self._detections) > CAPACITY:
                self._detections.pop(next(iter(self._detections)))
                self._count(detections_unmatched=1)

    def take(self, timeout: float) -> Pair | None:
        """The newest pair, or None after `timeout` seconds or when closed.

        The worker says with `finish` what came of it.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._ready is not None or self._closed, timeout)
            if self._ready is None or self._closed:
                return None
            pair, self._ready = self._ready, None
            self._in_work += 1
            return pair

    def finish(self, valid: bool) -> None:
        """Book the pair taken last as processed, or as invalid."""
        with self._changed:
            self._in_work -= 1
            if valid:
                self._count(processed=1)
            else:
                self._count(dropped_invalid=1)

    def close(self) -> None:
        """Wake the worker up for the last time; nothing that still waits is processed."""
        with self._changed:
            self._count(
                dropped_unmatched=len(self._images), dropped_busy=int(self._ready is not None)
            )
            self._images.clear()
            self._ready = None
            self._closed = True
            self._changed.notify_all()

    @property
    def closed(self) -> bool:
        """Whether the worker is to stop."""
        return self._closed

    def counts(self) -> Counts:
        """The books as they are now."""
        with self._changed:
            self._expire()
            return replace(
                self._counts,
                pending=len(self._images) + (self._ready is not None) + self._in_work,
                detections_pending=len(self._detections),
            )

    @property
    def nearest_miss(self) -> int | None:
        """How far the stamps of an image and of detections came to each other without a match.

        In nanoseconds, detections less image, of all that came since the last pair; None where one
        of both has not come. Within the tolerance they came too late for each other: `window` is
        too short.
        """
        with self._changed:
            return _nearest_miss(self._recent_images, self._recent_detections)

    def _detections_for(self, image: int) -> int | None:
        """Stamp of the waiting detections that belong to the image of this stamp, just stored."""
        return _nearest(self._detections, image, self.tolerance)

    def _image_for(self, detections: int) -> int | None:
        """Stamp of the waiting image to which the detections of this stamp, just stored, belong."""
        return _nearest(self._images, detections, self.tolerance)

    def _pair(self, image_stamp: int, detections_stamp: int) -> None:
        """Make the newest pair; nothing older than it is of use any more."""
        if self._ready is not None:
            self._count(dropped_busy=1)
        image_arrival, image = self._images.pop(image_stamp)
        arrival, detections = self._detections.pop(detections_stamp)
        self._ready = Pair(image_stamp, image, detections, max(image_arrival, arrival))
        self._newest_pair = image_stamp
        self._recent_images.clear()
        self._recent_detections.clear()
        self._count(
            detections_paired=1,
            dropped_unmatched=_discard(self._images, lambda stamp, _: stamp < image_stamp),
            detections_unmatched=_discard(self._detections, lambda stamp, _: stamp < image_stamp),
        )
        self._changed.notify()

    def _expire(self) -> None:
        oldest = self._clock() - self.window
        self._count(
            dropped_unmatched=_discard(self._images, lambda _, arrival: arrival < oldest),
            detections_unmatched=_discard(self._detections, lambda _, arrival: arrival < oldest),
        )

    def _reset(self) -> None:
        """Forget what was before a jump back; a pair in work is still finished."""
        self._count(
            dropped_stale=len(self._images) + (self._ready is not None),
            detections_stale=len(self._detections),
        )
        self._images.clear()
        self._detections.clear()
        self._recent_images.clear()
        self._recent_detections.clear()
        self._ready = None
        self._newest_image = self._newest_pair = 0

    def _count(self, **increments: int) -> None:
        changes = {name: getattr(self._counts, name) + n for name, n in increments.items() if n}
        if changes:
            self._counts = replace(self._counts, **changes)


def _nearest(waiting: dict[int, tuple[int, Any]], stamp: int, tolerance: int) -> int | None:
    """The stamp in `waiting` that equals `stamp`, else the nearest one within `tolerance`."""
    if stamp in waiting:
        return stamp
    if tolerance == 0 or not waiting:
        return None
    nearest = min(waiting, key=lambda other: abs(other - stamp))
    return nearest if abs(nearest - stamp) <= tolerance else None


def _nearest_miss(images: Iterable[int], detections: Iterable[int]) -> int | None:
    """The smallest difference between stamps of both, detections less image."""
    images = sorted(images)
    misses = (
        stamp - image
        for stamp in detections
        for image in images[max(0, bisect(images, stamp) - 1) :][:2]
    )
    return min(misses, key=abs, default=None)


def _discard(waiting: dict[int, tuple[int, Any]], unwanted: Callable[[int, int], bool]) -> int:
    """Remove what `unwanted(stamp, arrival)` names and say how many that were."""
    stamps = [stamp for stamp, (arrival, _) in waiting.items() if unwanted(stamp, arrival)]
    for stamp in stamps:
        del waiting[stamp]
    return len(stamps)
