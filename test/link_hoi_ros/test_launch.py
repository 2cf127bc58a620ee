"""The launch file, run by the real launch system where there is one."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip('launch', reason='needs ROS 2 with launch')
pytest.importorskip('launch_ros', reason='needs ROS 2 with launch_ros')

from ament_index_python.packages import PackageNotFoundError
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, RegisterEventHandler
from launch.event_handlers import OnProcessExit, OnProcessIO
from launch.launch_description_sources import PythonLaunchDescriptionSource

from launch import LaunchContext, LaunchDescription, LaunchService

LAUNCH_FILE = Path(__file__).parents[2] / 'launch' / 'hoi.launch.py'
ARGUMENTS = {
    'namespace',
    'params_file',
    'image',
    'detections',
    'detections_type',
    'detector',
    'detector.weights',
    'model',
    'backbone.weights',
    'device',
    'autostart',
    'use_sim_time',
    'log_level',
}


@pytest.fixture
def source() -> PythonLaunchDescriptionSource:
    found = PythonLaunchDescriptionSource(str(LAUNCH_FILE))
    try:
        found.get_launch_description(LaunchContext())
    except PackageNotFoundError:
        pytest.skip('link_hoi_ros is not installed where ament looks (colcon build)')
    return found


def run(source: PythonLaunchDescriptionSource, **arguments: str) -> tuple[int, str]:
    """Launch until the node ends by itself; its exit status and what it wrote."""
    codes, log = [], []
    handlers = [
        OnProcessExit(on_exit=lambda event, _: codes.append(event.returncode)),
        OnProcessIO(on_stderr=lambda event: log.append(event.text.decode())),
    ]
    service = LaunchService(noninteractive=True)
    service.include_launch_description(
        LaunchDescription(
            [
                *map(RegisterEventHandler, handlers),
                IncludeLaunchDescription(source, launch_arguments=arguments.items()),
            ]
        )
    )
    service.run()
    assert len(codes) == 1
    return codes[0], ''.join(log)


def test_it_has_its_arguments_each_with_a_description(source):
    entities = source.get_launch_description(LaunchContext()).entities
    declared = [entity for entity in entities if isinstance(entity, DeclareLaunchArgument)]
    assert {argument.name for argument in declared} == ARGUMENTS
    assert all(argument.description for argument in declared)


def test_arguments_reach_the_node_and_its_failure_reaches_the_launch(source):
    code, log = run(source, namespace='front', model='no/such/model', detections_type='hoi')
    assert code == 1
    assert 'front.hoi_node' in log
    assert 'no/such/model' in log


def test_an_argument_left_out_leaves_the_value_to_the_parameter_file(source, tmp_path):
    file = tmp_path / 'mine.yaml'
    file.write_text("/**:\n  ros__parameters:\n    model: 'model/of/the/file'\n")
    code, log = run(source, params_file=str(file))
    assert code == 1
    assert 'model/of/the/file' in log
