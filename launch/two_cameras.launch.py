"""Two cameras: ros2 launch link_hoi_ros two_cameras.launch.py image:=image_raw.

The nodes /front/hoi_node and /rear/hoi_node read /front/image_raw and /rear/image_raw. Arguments of
hoi.launch.py may be given too, such as detector:=yolo11n, and hold for both.
"""

from __future__ import annotations

from pathlib import Path

from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.conditions import IfCondition, UnlessCondition
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration

from launch import Condition, LaunchDescription, SomeSubstitutionsType

HOI = str(Path(__file__).with_name('hoi.launch.py'))


def generate_launch_description() -> LaunchDescription:
    """A process for each camera: one that ends leaves the other running. Or one for both."""
    first, second = LaunchConfiguration('first'), LaunchConfiguration('second')
    together = LaunchConfiguration('one_process')
    return LaunchDescription(
        [
            DeclareLaunchArgument('first', default_value='front', description='a namespace'),
            DeclareLaunchArgument('second', default_value='rear', description='the other one'),
            DeclareLaunchArgument(
                'one_process',
                default_value='false',
                description='whether one process serves both: less memory, and no faster than one',
            ),
            _include([first, ' ', second], IfCondition(together)),
            _include(first, UnlessCondition(together)),
            _include(second, UnlessCondition(together)),
        ]
    )


def _include(namespace: SomeSubstitutionsType, condition: Condition) -> IncludeLaunchDescription:
    return IncludeLaunchDescription(
        PythonLaunchDescriptionSource(HOI),
        launch_arguments={'namespace': namespace}.items(),
        condition=condition,
    )
