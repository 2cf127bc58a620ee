"""The launch files, run by the real launch system where there is one."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip('launch', reason='needs ROS 2 with launch')
pytest.importorskip('launch_ros', reason='needs ROS 2 with launch_ros')

from ament_index_python.packages import PackageNotFoundError, get_package_share_directory
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, RegisterEventHandler
from launch.event_handlers import OnProcessExit, OnProcessIO
from launch.launch_description_sources import PythonLaunchDescriptionSource

from launch import LaunchContext, LaunchDescription, LaunchService

FOLDER = Path(__file__).parents[2] / 'launch'
HOI_ARGUMENTS = {
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
ARGUMENTS = {
    'hoi': HOI_ARGUMENTS,
    'two_cameras': {'first', 'second', 'one_process'},
    'bag': {'bag', 'rate', 'delay'},
}


def source(name: str) -> PythonLaunchDescriptionSource:
    """A launch file of ours, where the package is installed."""
    found = PythonLaunchDescriptionSource(str(FOLDER / f'{name}.launch.py'))
    try:
        get_package_share_directory('link_hoi_ros')
    except PackageNotFoundError:
        pytest.skip('link_hoi_ros is not installed where ament looks (colcon build)')
    return found


def run(name: str, **arguments: str) -> tuple[list[int], str]:
    """Launch until all nodes end by themselves; their exit status and what they wrote."""
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
                IncludeLaunchDescription(source(name), launch_arguments=arguments.items()),
            ]
        )
    )
    service.run()
    return codes, ''.join(log)


@pytest.mark.parametrize('name', ARGUMENTS)
def test_each_has_its_arguments_with_a_description(name):
    entities = source(name).get_launch_description(LaunchContext()).entities
    declared = [entity for entity in entities if isinstance(entity, DeclareLaunchArgument)]
    assert {argument.name for argument in declared} == ARGUMENTS[name]
    assert all(argument.description for argument in declared)


def test_all_launch_files_are_tested():
    assert {path.name.split('.')[0] for path in FOLDER.glob('*.launch.py')} == set(ARGUMENTS)


def test_arguments_reach_the_node_and_its_failure_reaches_the_launch():
    codes, log = run('hoi', namespace='front', model='no/such/model', detections_type='hoi')
    assert codes == [1]
    assert 'front.hoi_node' in log
    assert 'no/such/model' in log


def test_an_argument_left_out_leaves_the_value_to_the_parameter_file(tmp_path):
    file = tmp_path / 'mine.yaml'
    file.write_text("/**:\n  ros__parameters:\n    model: 'model/of/the/file'\n")
    codes, log = run('hoi', params_file=str(file))
    assert codes == [1]
    assert 'model/of/the/file' in log


def test_arguments_of_the_node_hold_for_both_cameras():
    codes, log = run('two_cameras', second='left', model='no/such/model', detections_type='hoi')
    assert codes == [1, 1]
    assert 'front.hoi_node' in log and 'left.hoi_node' in log
    assert log.count('no checkpoint no/such/model') == 2
