"""The worker when the model hangs, which no process over DDS does on purpose."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest

pytest.importorskip('link_hoi_msgs.msg', reason='needs ROS 2 and link_hoi_msgs')

from sensor_msgs.msg import Image

from link_hoi_ros import worker
from link_hoi_ros.guard import Guard
from link_hoi_ros.matching import Matcher
from link_hoi_ros.worker import Worker

SECOND = 1_000_000_000


class Hanging:
    """A model that answers when it may."""

    def __init__(self) -> None:
        self.asked, self.may_answer = threading.Event(), threading.Event()
        self.stages: dict[str, float] = {}

    def process(self, image: Image, detections: object) -> object:
        self.asked.set()
        assert self.may_answer.wait(30)
        return object()


class Outputs:
    """Notes what is published."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def publish(self, frame: object) -> None:
        self.told.append('triplets')

    def publish_stats(self, stats: object) -> None:
        self.told.append('stats')

    def show(self, frame: object) -> None:
        self.told.append('pictures')


def test_an_answer_that_comes_after_the_end_is_published_no_more(monkeypatch):
    monkeypatch.setattr(worker, 'EXIT_SECONDS', 0.2)
    matcher, model, outputs = Matcher(2 * SECOND), Hanging(), Outputs()
    guard = Guard(SimpleNamespace())
    running = Worker(matcher, model, outputs, guard, lambda: 0)
    for stamp in (1, 2):
        matcher.add_image(stamp, Image())
        matcher.add_detections(stamp, None)
        assert model.asked.wait(30)  # the first is in work, the second waits
    assert not running.stop()
    model.may_answer.set()
    running._thread.join(30)
    assert outputs.told == []
    assert running.frame is None
    counts = matcher.counts()
    assert (counts.received, counts.dropped_busy, counts.pending) == (2, 1, 0)
