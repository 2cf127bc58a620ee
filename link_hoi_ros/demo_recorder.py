"""The demo's user of the node: records its triplets, its counters and its vocabulary.

`python -m link_hoi_ros.demo_recorder CONNECTED RECORDING` makes the file CONNECTED when the node is
there. On SIGINT it waits until nothing more comes, writes the JSON file RECORDING and ends.
"""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path
from typing import Any

import rclpy
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from link_hoi_core.data.json_files import write_json
from link_hoi_msgs.msg import HoiFrameStats, HoiTripletArray, HoiVocabulary
from link_hoi_ros import qos
from link_hoi_ros.matching import IMAGE_COUNTERS
from link_hoi_ros.messages import stamp_key

# The node publishes its counters at least once a second while they change.
SILENCE_SECONDS = 1.5
DRAIN_SECONDS = 15.0


class Recorder(Node):
    """Collects in `recording`: model, counts, and the frames by stamp `<sec>_<nanosec>`."""

    def __init__(self, connected: Path) -> None:
        super().__init__('recorder', namespace='hoi')
        self.connected = connected
        self.recording: dict[str, Any] = {'counts': dict.fromkeys(IMAGE_COUNTERS, 0), 'frames': {}}
        self.last_message = time.monotonic()
        results, latched = qos.result_output(), qos.latched()
        self.create_subscription(HoiTripletArray, 'triplets', self._on_triplets, results)
        self.create_subscription(HoiFrameStats, 'stats', self._on_stats, results)
        self.create_subscription(HoiVocabulary, 'vocabulary', self._on_vocabulary, latched)

    def _on_vocabulary(self, message: HoiVocabulary) -> None:
        self.recording['model'] = message.model
        self.recording['checkpoint_sha256'] = message.checkpoint_sha256
        self.recording['vocabulary'] = message.id
        self.connected.touch()

    def _on_stats(self, message: HoiFrameStats) -> None:
        self.recording['counts'] = {name: getattr(message, name) for name in IMAGE_COUNTERS}
        self.last_message = time.monotonic()

    def _on_triplets(self, message: HoiTripletArray) -> None:
        self.recording['frames'][stamp_key(message.header)] = frame(message)
        self.last_message = time.monotonic()


def frame(message: HoiTripletArray) -> dict[str, Any]:
    """What the message says, for JSON; `human` and `object` index its detections."""
    return {
        'detections': [
            {
                'class_name': found.class_name,
                'score': round(found.score, 4),
                'box': [found.x1, found.y1, found.x2, found.y2],
            }
            for found in message.detections
        ],
        'triplets': [
            {
                'human': triplet.human_index,
                'verb': triplet.verb,
                'object': triplet.object_index,
                'object_name': triplet.object_name,
                'score': round(triplet.score, 4),
                'interaction_score': round(triplet.interaction_score, 4),
            }
            for triplet in message.triplets
        ],
    }


def main() -> int:
    connected, recording = (Path(argument) for argument in sys.argv[1:])
    stopped: list[float] = []
    signal.signal(signal.SIGINT, lambda *_: stopped.append(time.monotonic()))
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    recorder = Recorder(connected)
    while not stopped or (
        time.monotonic() < recorder.last_message + SILENCE_SECONDS
        and time.monotonic() < stopped[0] + DRAIN_SECONDS
    ):
        rclpy.spin_once(recorder, timeout_sec=0.1)
    write_json(recording, recorder.recording)
    recorder.destroy_node()
    rclpy.try_shutdown()
    return 0


if __name__ == '__main__':
    sys.exit(main())
