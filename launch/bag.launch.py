"""A bag through the node: ros2 launch link_hoi_ros bag.launch.py bag:=DIR image:=/camera/image_raw.

The bag's clock is the node's. Arguments of hoi.launch.py may be given too. It ends with the bag;
for figures, `python -m link_hoi_ros.bag evaluate` waits for the node, and counts what was lost.
"""

from __future__ import annotations

from pathlib import Path

from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    ExecuteProcess,
    IncludeLaunchDescription,
    RegisterEventHandler,
    TimerAction,
)
from launch.event_handlers import OnProcessExit
from launch.events import Shutdown
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration

from launch import LaunchDescription

HOI = str(Path(__file__).with_name('hoi.launch.py'))
# name -> its default, description; no default: it must be given
ARGUMENTS: dict[str, tuple[str | None, str]] = {
    'bag': (None, 'folder or file of a bag'),
    'rate': ('1.0', 'how many times as fast as it was recorded'),
    'delay': ('5.0', 'seconds that the node has to load its model before the bag starts'),
}


def generate_launch_description() -> LaunchDescription:
    """The node on simulated time, then the player."""
    play = ExecuteProcess(
        cmd=['ros2', 'bag', 'play', LaunchConfiguration('bag'), '--clock', '100']
        + ['--rate', LaunchConfiguration('rate')],
        output='screen',
    )
    return LaunchDescription(
        [
            *(
                DeclareLaunchArgument(name, default_value=default, description=description)
                for name, (default, description) in ARGUMENTS.items()
            ),
            IncludeLaunchDescription(
                PythonLaunchDescriptionSource(HOI),
                launch_arguments={'use_sim_time': 'true'}.items(),
            ),
            TimerAction(period=LaunchConfiguration('delay'), actions=[play]),
            RegisterEventHandler(
                OnProcessExit(
                    target_action=play,
                    on_exit=[EmitEvent(event=Shutdown(reason='the bag has ended'))],
                )
            ),
        ]
    )
