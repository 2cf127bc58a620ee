"""The launched node under launch_testing: it says what it misses, and ends with the launch."""

from __future__ import annotations

import unittest
from pathlib import Path

import pytest

pytest.importorskip('launch_testing', reason='needs ROS 2 with launch_testing')
pytest.importorskip('launch_ros', reason='needs ROS 2 with launch_ros')
pytest.importorskip('link_hoi_msgs.msg', reason='needs link_hoi_msgs')

import launch_testing
import launch_testing.actions
import launch_testing.asserts
import rclpy
from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from diagnostic_msgs.msg import DiagnosticArray
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource

from launch import LaunchDescription

LAUNCH_FILE = Path(__file__).parents[2] / 'launch' / 'hoi.launch.py'

try:
    get_package_prefix('link_hoi_ros')
except PackageNotFoundError:
    pytest.skip('link_hoi_ros is not installed where ament looks', allow_module_level=True)


@pytest.mark.launch_test
def generate_test_description() -> LaunchDescription:
    """The node alone, on a camera that is not there."""
    arguments = {'detections_type': 'hoi', 'image': '/no/camera'}
    source = PythonLaunchDescriptionSource(str(LAUNCH_FILE))
    return LaunchDescription(
        [
            IncludeLaunchDescription(source, launch_arguments=arguments.items()),
            launch_testing.actions.ReadyToTest(),
        ]
    )


class TestWhileItRuns(unittest.TestCase):
    """The diagnosis names the topic that nobody publishes."""

    def test_the_missing_camera_is_named(self) -> None:
        rclpy.init()
        self.addCleanup(rclpy.shutdown)
        node = rclpy.create_node('onlooker')
        sentences: list[str] = []
        node.create_subscription(
            DiagnosticArray,
            '/diagnostics',
            lambda message: sentences.extend(status.message for status in message.status),
            10,
        )
        for _ in range(300):
            rclpy.spin_once(node, timeout_sec=0.2)
            if any('/no/camera' in sentence for sentence in sentences):
                return
        self.fail(f'said so far: {set(sentences)}')


@launch_testing.post_shutdown_test()
class TestAfterwards(unittest.TestCase):
    """Ctrl-C ends it like any other program."""

    def test_it_ended_cleanly(self, proc_info: launch_testing.ProcInfoHandler) -> None:
        launch_testing.asserts.assertExitCodes(proc_info)
