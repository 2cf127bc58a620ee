"""A camera and a detector out of a bag: plays it to running nodes and keeps what they answer.

`python -m link_hoi_ros.bags.player PLAN ANSWERS REPORT` reads the JSON file PLAN (`Plan`), writes
the answers to a new bag ANSWERS and what became of the images to the JSON file REPORT.
"""

from __future__ import annotations

import contextlib
import struct
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import rclpy
from builtin_interfaces.msg import Time
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from rosgraph_msgs.msg import Clock

from link_hoi_core.data.json_files import read_json, write_json
from link_hoi_core.evaluation.remarks import Remarks
from link_hoi_msgs.msg import HoiTripletArray, HoiVocabulary
from link_hoi_ros import qos
from link_hoi_ros.bags.cameras import Camera
from link_hoi_ros.bags.listener import Listener, becomes
from link_hoi_ros.bags.reading import Bag, Recorded, stamp_of
from link_hoi_ros.bags.shots import serialised_pairs
from link_hoi_ros.bags.writing import Recording
from link_hoi_ros.matching import NANOSECONDS

# Limits, not expectations: a busy machine needs long to import torch and to load a model.
START_SECONDS = 180.0
ANSWER_SECONDS = 60.0
DRAIN_SECONDS = 30.0
# How long to wait for the answer to one probe, and how far before the bag its stamp lies: so far
# that nothing of it goes on when the bag begins.
PROBE_SECONDS = 1.0
PROBE_LEAD = 10 * NANOSECONDS
# After this time without a change of the counters nothing more comes.
SILENCE_SECONDS = 1.5
CLOCK_SECONDS = 0.02


@dataclass(frozen=True)
class Plan:
    """What to play, and to whom.

    Attributes:
        bag: its path.
        cameras: `Camera` of each, as a dictionary.
        nodes: full name of the node for each camera, '/hoi/hoi_node'.
        rate: how many times as fast as recorded.
        loops: how often.
        tolerance: of stamps, in nanoseconds.
    """

    bag: str
    cameras: list[dict[str, Any]]
    nodes: list[str]
    rate: float
    loops: int
    tolerance: int


class Player:
    """Plays a bag by its clock, which it publishes."""

    def __init__(self, plan: Plan, bag: Bag, ros: Node) -> None:
        self._plan, self._bag = plan, bag
        self._clock = ros.create_publisher(Clock, '/clock', qos.result_output())
        cameras = [Camera(**camera) for camera in plan.cameras]
        self.listeners = [Listener(ros, *each) for each in zip(cameras, plan.nodes)]
        self.late = 0.0  # seconds that a message was published after it was due, the most

    def connect(self) -> None:
        """Wait until every node answers, so that nothing is lost for want of a connection.

        A publisher learns of a subscription before the subscription learns of it. So the first
        frame goes out, under stamps before the bag's, until one is answered.

        Raises:
            TimeoutError: a node is not there, or does not answer.
            ValueError: a node wants other types than the bag has, or no image has detections.
        """
        for listener in self.listeners:
            if not becomes(lambda: listener.connect(self._bag), START_SECONDS):
                inputs = ' and '.join(listener.camera.topics)
                raise TimeoutError(f'{listener.node} is not active, or does not listen to {inputs}')
        for listener in self.listeners:
            self._probe(listener)

    def play(self) -> None:
        """Publish all messages when they are due, as often as planned; then wait for the end.

        Raises:
            ValueError: the bag is broken, or another node has come.
        """
        topics = [topic for one in self.listeners for topic in one.publishers]
        for loop in range(self._plan.loops):
            started = time.monotonic()
            for recorded in self._bag.messages(topics):
                since = (recorded.time - self._bag.start) / 1e9 / self._plan.rate
                self._sleep_until(started + since, recorded.time)
                for listener in self.listeners:
                    listener.publish(recorded, loop)
        self._drain()
        for listener in self.listeners:
            listener.check_alone()

    def _probe(self, listener: Listener) -> None:
        messages = _first_pair(self._bag, listener.camera, self._plan.tolerance)
        self._tell_time(self._bag.start)
        stamp = max(0, stamp_of(messages[0]) - PROBE_LEAD)
        deadline = time.monotonic() + ANSWER_SECONDS
        while time.monotonic() < deadline:
            stamp += 1  # or it would be stale
            for message in messages:
                listener.publishers[message.topic].publish(_restamped(message.data, stamp))
            if becomes(lambda: listener.worked_on == stamp, PROBE_SECONDS):
                listener.start_anew()
                return
        raise TimeoutError(f'{listener.node} has not answered in {ANSWER_SECONDS:.0f} s')

    def _sleep_until(self, due: float, now: int) -> None:
        """Wait, and let the clock run to `now`, which it is then."""
        while (left := due - time.monotonic()) > 0:
            self._tell_time(now - round(left * self._plan.rate * NANOSECONDS))
            time.sleep(min(left, CLOCK_SECONDS))
        self._tell_time(now)
        self.late = max(self.late, time.monotonic() - due)

    def _tell_time(self, now: int) -> None:
        seconds, rest = divmod(now, NANOSECONDS)
        self._clock.publish(Clock(clock=Time(sec=seconds, nanosec=rest)))

    def _drain(self) -> None:
        """Wait until every image is accounted for and nothing more comes."""
        deadline = time.monotonic() + DRAIN_SECONDS
        while time.monotonic() < deadline:
            before = [listener.counts for listener in self.listeners]
            time.sleep(SILENCE_SECONDS)
            silent = before == [listener.counts for listener in self.listeners]
            if silent and all(listener.settled for listener in self.listeners):
                return


def report(player: Player) -> dict[str, Any]:
    """What became of the images, for JSON, of each camera.

    `latencies` are the milliseconds from the publication of each image to the arrival of its
    triplets, None where none came; `answers` are [stamp, loop] of the triplets as they came;
    `stages` are milliseconds in the order of `listener.STAGES`, of each image.
    """
    cameras = []
    for listener in player.listeners:
        published = [(stamp, at) for stamp, times in listener.published.items() for at, _ in times]
        latencies: dict[tuple[int, int], float | None] = dict.fromkeys(published)
        answers = []
        for answer in listener.answers:
            stamp = stamp_of(answer)
            at, loop = max(image for image in listener.published[stamp] if image[0] <= answer.time)
            latencies[stamp, at] = (answer.time - at) / 1e6
            answers.append((stamp, loop))
        cameras.append(
            {
                'latencies': list(latencies.values()),
                'answers': answers,
                'counts': listener.gained,
                'stages': listener.stages,
            }
        )
    return {'cameras': cameras, 'late': 1e3 * player.late}


def write_answers(player: Player, path: Path) -> None:
    """Write the triplets and the vocabularies to a new bag, under the times of their arrival."""
    to_wall = time.time_ns() - time.monotonic_ns()
    topics: dict[str, type] = {}
    for listener in player.listeners:
        topics |= {listener.topic('triplets'): HoiTripletArray}
        topics |= {listener.topic('vocabulary'): HoiVocabulary}
    latched = [listener.topic('vocabulary') for listener in player.listeners]
    with Recording(path, topics, latched) as recording:
        for listener in player.listeners:
            recording.write(listener.topic('vocabulary'), time.time_ns(), listener.vocabulary)
            for answer in listener.answers:
                recording.write(listener.topic('triplets'), to_wall + answer.time, answer.data)


def main() -> int:
    plan, answers, written = (Path(argument) for argument in sys.argv[1:])
    plan = Plan(**read_json(plan))
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)  # see ending.py
    ros = Node('bag_player')
    executor = SingleThreadedExecutor()
    executor.add_node(ros)
    listening = threading.Thread(target=_listen, args=[executor], daemon=True)
    listening.start()
    try:
        with Bag(plan.bag) as bag:
            player = Player(plan, bag, ros)
            player.connect()
            player.play()
        write_answers(player, answers)
        write_json(written, report(player))
    except (TimeoutError, ValueError, OSError, ImportError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 1
    finally:
        rclpy.try_shutdown()
        listening.join(5)
    return 0


def _listen(executor: SingleThreadedExecutor) -> None:
    with contextlib.suppress(ExternalShutdownException):
        executor.spin()


def _first_pair(bag: Bag, camera: Camera, tolerance: int) -> list[Recorded]:
    """The first image message that has detections, and these; the image alone without a topic."""
    for pair in serialised_pairs(bag, camera, tolerance, Remarks()):
        if pair.detections is not None:
            return [pair.image, pair.detections]
        if camera.detections is None:
            return [pair.image]
    raise ValueError(f'{camera.detections}: no message belongs to an image of {camera.image}')


def _restamped(data: bytes, stamp: int) -> bytes:
    """A serialised message that begins with a header, under another stamp."""
    order = '<' if data[1] & 1 else '>'
    return data[:4] + struct.pack(f'{order}iI', *divmod(stamp, NANOSECONDS)) + data[12:]


if __name__ == '__main__':
    sys.exit(main())
