"""The diagnosis comes once a second over real DDS, whatever the node is busy with."""

from __future__ import annotations

import threading
import time

import pytest

pytest.importorskip('rclpy', reason='needs ROS 2')

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.exceptions import InvalidHandle
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.parameter import Parameter

from link_hoi_ros.diagnostics_publisher import DiagnosticsPublisher
from link_hoi_ros.observation import Observation


class Monitor:
    """Listens to /diagnostics in a thread."""

    def __init__(self, node) -> None:
        self.heard: list[tuple[float, DiagnosticArray]] = []
        node.create_subscription(DiagnosticArray, '/diagnostics', self._on_message, 10)
        self._executor = SingleThreadedExecutor(context=node.context)
        self._executor.add_node(node)
        threading.Thread(target=self._spin, daemon=True).start()

    def wait(self, number: int) -> list[DiagnosticArray]:
        deadline = time.monotonic() + 20
        while len(self.heard) < number:
            assert time.monotonic() < deadline, f'{len(self.heard)} of {number} diagnoses came'
            time.sleep(0.02)
        return [message for _, message in self.heard]

    def _on_message(self, message: DiagnosticArray) -> None:
        self.heard.append((time.monotonic(), message))

    def _spin(self) -> None:
        try:
            self._executor.spin()
        except ExternalShutdownException:
            pass


def test_it_comes_every_second_from_a_node_that_nobody_spins_and_whose_clock_stands_still(
    make_node,
):
    monitor, node = Monitor(make_node('monitor')), make_node('hoi')
    node.set_parameters([Parameter('use_sim_time', value=True)])
    publisher = DiagnosticsPublisher(node, lambda: Observation(1, 'configuring', about={'a': 'b'}))
    try:
        messages = monitor.wait(3)
    finally:
        publisher.close()
    times = [when for when, _ in monitor.heard]
    assert times[2] - times[0] > 1.5, 'once a second, not faster'
    (status,) = messages[0].status
    assert status.name == 'robot/hoi: state'
    assert status.level == DiagnosticStatus.WARN
    assert status.message.startswith('configuring')
    assert [(value.key, value.value) for value in status.values] == [
        ('state', 'not active'),
        ('a', 'b'),
    ]
    quiet = len(monitor.heard)
    time.sleep(1.2)
    assert len(monitor.heard) == quiet, 'closed'


def test_a_topic_that_is_destroyed_meanwhile_or_a_fault_of_ours_do_not_end_it(make_node, capfd):
    monitor, node = Monitor(make_node('monitor')), make_node('hoi')
    faults = [InvalidHandle('gone'), KeyError('ours')]

    def observe() -> Observation:
        if faults:
            raise faults.pop(0)
        return Observation(1, 'inactive')

    publisher = DiagnosticsPublisher(node, observe)
    try:
        monitor.wait(1)
    finally:
        publisher.close()
    log = capfd.readouterr().err
    assert "KeyError: 'ours'" in log
    assert 'gone' not in log


def test_a_failed_transition_is_told_with_its_reason(make_bench):
    bench = make_bench(autostart=False, model='no/such/model')
    told = bench.recorder.wait('diagnosis')
    assert (told['level'], told['state']) == (1, 'not active')
    assert 'ros2 lifecycle set /hoi/hoi_node configure' in told['message']
    configure = 1
    assert not bench.recorder.ask('changed', 'change_state', transition=configure)['success']
    told = bench.recorder.wait('diagnosis', lambda event: event['level'] == 2)
    assert 'no/such/model' in told['message'] and 'unconfigured' in told['message']
