"""Start hoi_node: ros2 launch link_hoi_ros hoi.launch.py image:=/camera/image_raw.

An argument left empty leaves the value to the parameter file. Several namespaces, as in
namespace:='front rear', are as many cameras in one process.
"""

from __future__ import annotations

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from launch import LaunchContext, LaunchDescription

# name -> its type, description
PARAMETER_ARGUMENTS: dict[str, tuple[type, str]] = {
    'detections_type': (str, 'vision_msgs, yolo_msgs or hoi; builtin where a detector is given'),
    'detector': (str, "detector to run in the node, such as 'yolo11n'; none: a topic is read"),
    'detector.weights': (str, "file or folder of the detector's weights"),
    'model': (str, 'an embedded model, a checkpoint folder or a hub repository'),
    'backbone.weights': (str, "file or folder of the weights of the model's backbone"),
    'device': (str, "'auto', 'cpu', 'cuda' or 'cuda:1'"),
    'autostart': (bool, 'whether the node configures and activates itself'),
    'use_sim_time': (bool, 'whether time comes from /clock'),
}


def start_node(context: LaunchContext) -> list[Node]:
    """The process, with those parameters that were given as arguments."""
    given = {
        name: ParameterValue(LaunchConfiguration(name), value_type=value_type)
        for name, (value_type, _) in PARAMETER_ARGUMENTS.items()
        if LaunchConfiguration(name).perform(context)
    }
    if 'detector' in given:
        given.setdefault('detections_type', 'builtin')
    # Several nodes of one process take their namespaces as words: a remap would put all into one.
    words = LaunchConfiguration('namespace').perform(context).split()
    return [
        Node(
            package='link_hoi_ros',
            executable='hoi_node',
            namespace=words[0] if len(words) == 1 else None,
            output='screen',
            parameters=[LaunchConfiguration('params_file'), given],
            remappings=[(topic, LaunchConfiguration(topic)) for topic in ('image', 'detections')],
            arguments=words if len(words) > 1 else [],
            ros_arguments=['--log-level', LaunchConfiguration('log_level')],
            # on a busy machine Python takes seconds to unload torch
            sigterm_timeout='20',
        )
    ]


def generate_launch_description() -> LaunchDescription:
    """All arguments, and the process."""
    default_params = Path(get_package_share_directory('link_hoi_ros')) / 'config' / 'hoi.yaml'
    arguments = {
        'namespace': ('hoi', 'one for each camera; several words are one process for all'),
        'params_file': (str(default_params), 'YAML file with parameters'),
        'image': ('image', 'topic of the camera, within the namespace if it has no leading slash'),
        'detections': ('detections', 'topic of the detector, likewise'),
        'log_level': ('info', 'debug, info, warn, error or fatal'),
        **{name: ('', text) for name, (_, text) in PARAMETER_ARGUMENTS.items()},
    }
    return LaunchDescription(
        [
            DeclareLaunchArgument(name, default_value=default, description=description)
            for name, (default, description) in arguments.items()
        ]
        + [OpaqueFunction(function=start_node)]
    )
