"""The demo's camera and detector: plays a video and its recorded detections as ROS topics.

`python -m link_hoi_ros.demo_player VIDEO DETECTIONS PLAYED` publishes on /hoi/image and
/hoi/detections, image and detections with the same stamp, at the video's rate, and writes the
stamps of the frames to the JSON file PLAYED.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import rclpy
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from link_hoi_core.data.json_files import write_json
from link_hoi_core.data.recorded import RecordedImage, read_recorded
from link_hoi_core.structures import Detections
from link_hoi_core.vocabulary import load_vocabulary
from link_hoi_msgs.msg import HoiDetection, HoiDetectionArray
from link_hoi_ros import qos
from link_hoi_ros.demo_video import Video, open_video
from link_hoi_ros.images import rgb_to_image
from link_hoi_ros.messages import stamp_key

# The node is there when the player starts.
CONNECT_SECONDS = 30.0
# A publisher knows of a subscription a moment before the subscription knows of it, and what is
# published when the process ends may still be under way.
SETTLE_SECONDS = 0.5


class Player(Node):
    """Publishes frames and detections."""

    def __init__(self) -> None:
        super().__init__('player', namespace='hoi')
        profile = qos.result_output()
        self.image = self.create_publisher(Image, 'image', profile)
        self.detections = self.create_publisher(HoiDetectionArray, 'detections', profile)

    def connect(self) -> None:
        """Wait until the node is subscribed to both topics.

        Raises:
            TimeoutError: it has not subscribed in time.
        """
        deadline = time.monotonic() + CONNECT_SECONDS
        publishers = (self.image, self.detections)
        while not all(publisher.get_subscription_count() for publisher in publishers):
            if time.monotonic() > deadline:
                raise TimeoutError(f'nobody subscribed to the images in {CONNECT_SECONDS:.0f} s')
            time.sleep(0.05)
        time.sleep(SETTLE_SECONDS)

    def play(self, video: Video, recorded: list[RecordedImage]) -> list[str]:
        """Publish every frame when it is due; gives the stamps, `<sec>_<nanosec>`."""
        stamps = []
        started = time.monotonic()
        for index, (frame, image) in enumerate(zip(video.frames(), recorded)):
            due = started + index / video.rate
            time.sleep(max(0.0, due - time.monotonic()))
            header = Header(stamp=self.get_clock().now().to_msg(), frame_id='camera')
            self.image.publish(rgb_to_image(frame, header))
            self.detections.publish(detections_message(header, image.detections))
            stamps.append(stamp_key(header))
        time.sleep(SETTLE_SECONDS)
        return stamps


def detections_message(header: Header, found: Detections) -> HoiDetectionArray:
    """Detections under the detector's own class names."""
    height, width = found.image_size
    rows = zip(found.names or (), found.scores.tolist(), found.boxes.tolist())
    return HoiDetectionArray(
        header=header,
        image_width=width,
        image_height=height,
        detections=[
            HoiDetection(class_name=name, score=score, x1=x1, y1=y1, x2=x2, y2=y2)
            for name, score, (x1, y1, x2, y2) in rows
        ],
    )


def main() -> int:
    video, detections, played = (Path(argument) for argument in sys.argv[1:])
    recorded = read_recorded(detections, load_vocabulary('hico-det'))
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)  # see ending.py
    player = Player()
    try:
        player.connect()
        write_json(played, player.play(open_video(video), recorded))
    except (TimeoutError, ValueError) as error:
        print(f'player: {error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 1
    finally:
        player.destroy_node()
        rclpy.try_shutdown()
    return 0


if __name__ == '__main__':
    sys.exit(main())
