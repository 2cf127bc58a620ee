"""The node: images and detections in, human-verb-object triplets out.

Callbacks only store what arrives; one worker takes the newest matched pair, predicts and
publishes. Every image is counted in the topic `stats`, whatever became of it.
"""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import rclpy
from rcl_interfaces.msg import SetParametersResult
from rclpy.exceptions import ParameterException
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import remove_ros_args
from std_srvs.srv import Trigger

from link_hoi_msgs.srv import SetVerbs
from link_hoi_ros import parameters
from link_hoi_ros.diagnostics_publisher import DiagnosticsPublisher
from link_hoi_ros.ending import Ending
from link_hoi_ros.guard import Guard
from link_hoi_ros.inputs import Inputs
from link_hoi_ros.matching import NANOSECONDS, Matcher, make_matcher
from link_hoi_ros.memory import release
from link_hoi_ros.observation import Observation
from link_hoi_ros.outputs import Outputs
from link_hoi_ros.pipeline import NONE, Pipeline
from link_hoi_ros.snapshot import snapshot_folder, write_snapshot
from link_hoi_ros.worker import EXIT_SECONDS, Worker

# How soon a signal is noticed while no message comes.
LOOK_SECONDS = 0.2
# What a wrong value, file or package raises, in one sentence.
EXPECTED = (ValueError, ImportError, OSError)


class HoiNode(LifecycleNode):
    """Lifecycle: configure loads the model, activate works, deactivate stops, cleanup frees."""

    def __init__(self, namespace: str | None = None) -> None:
        """Declare the parameters.

        Raises:
            ValueError, rclpy.exceptions.ParameterException: as `parameters.declare`.
        """
        super().__init__('hoi_node', namespace=namespace)
        try:
            parameters.declare(self, self._parameter_overrides)
        except (ValueError, ParameterException):
            super().destroy_node()  # else the context would, and nothing is there yet
            raise
        self._guard = Guard(self)
        self._pipeline: Pipeline | None = None
        self._outputs: Outputs | None = None
        self._matcher: Matcher | None = None
        self._worker: Worker | None = None
        self._inputs: Inputs | None = None
        self._failure = ''
        self.add_on_set_parameters_callback(self._on_parameters)
        self.create_service(SetVerbs, '~/set_verbs', self._on_set_verbs)
        self.create_service(Trigger, '~/snapshot', self._on_snapshot)
        self._diagnostics = DiagnosticsPublisher(self, self._observe)

    def autostart(self) -> bool:
        """Configure and activate where parameter `autostart` says so; False if that failed."""
        if not self._value('autostart'):
            return True
        success = TransitionCallbackReturn.SUCCESS
        return self.trigger_configure() == success and self.trigger_activate() == success

    def is_configuring(self) -> bool:
        """Whether the model is being loaded."""
        return self._lifecycle() == 'configuring'

    # Transitions

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Check the parameters, load the model, warm it up."""
        return self._attempt('configure', self._configure, self._free)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe and start the worker."""
        super().on_activate(state)
        return self._attempt('activate', self._start, self._stop)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop the worker and unsubscribe."""
        result = self._attempt('deactivate', self._stop)
        super().on_deactivate(state)
        return result

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free the model's memory."""
        return self._attempt('cleanup', self._free)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop and free, from any state."""
        return self._attempt('shutdown', self.close)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Back to unconfigured, from where it can be configured again."""
        cause = self._failure  # what the operator must know, whether closing works or not
        result = self._attempt('error processing', self.close)
        self._failure = cause
        return result

    def close(self) -> None:
        """Stop and free whatever is there."""
        self._stop()
        self._free()

    def _attempt(
        self, transition: str, step: Callable[[], None], undo: Callable[[], None] | None = None
    ) -> TransitionCallbackReturn:
        """Run `step`; rclpy would swallow its exception, so it is logged here."""
        try:
            step()
            self._failure = ''
            return TransitionCallbackReturn.SUCCESS
        except Exception as error:
            self._failure = f'{transition} failed: {self._told(error)}'
            self.get_logger().error(self._failure)
            expected = isinstance(error, EXPECTED)
            result = (
                TransitionCallbackReturn.FAILURE if expected else TransitionCallbackReturn.ERROR
            )
        if undo is not None:
            undo()
        return result

    def _configure(self) -> None:
        parameters.check(self._value)
        self._make_matcher()  # says now what would keep it from matching
        self._pipeline = Pipeline.load(self._value, self._guard.warn_once)
        self._outputs = Outputs(self, self._value, self._guard)

    def _start(self) -> None:
        self._outputs.tell_vocabulary(self._pipeline.predictor)
        self._matcher = self._make_matcher()
        self._worker = Worker(
            self._matcher,
            self._pipeline,
            self._outputs,
            self._guard,
            lambda: self.get_clock().now().nanoseconds,
        )
        self._inputs = Inputs(self, self._value, self._pipeline, self._matcher, self._guard)

    def _make_matcher(self) -> Matcher:
        return make_matcher(
            self._value('matching.policy'),
            window=round(self._value('matching.window') * NANOSECONDS),
            tolerance=round(self._value('matching.tolerance') * NANOSECONDS),
        )

    def _stop(self) -> None:
        if self._inputs is not None:
            self._inputs.destroy()
        if self._worker is not None:
            if not self._worker.stop():
                self.get_logger().error(
                    f'the model has not answered for {EXIT_SECONDS} s, leaving it behind'
                )
            self._guard.survives(self._outputs.end_events)
        self._inputs = self._worker = None

    def _free(self) -> None:
        if self._outputs is not None:
            self._outputs.destroy()
        self._pipeline = self._outputs = self._matcher = None
        release()

    # Callbacks: the executor's thread

    def _on_parameters(self, changes: list[Parameter]) -> SetParametersResult:
        """Refuse values that contradict each other; turn to other verbs."""
        changed = {parameter.name: parameter.value for parameter in changes}
        try:
            parameters.check(lambda name: changed.get(name, self._value(name)))
            if 'verbs' in changed and self._pipeline is not None:
                self._pipeline.set_verbs(changed['verbs'])
                if self._worker is not None:
                    self._outputs.tell_vocabulary(self._pipeline.predictor)
        except Exception as error:  # rclpy would end the process
            return SetParametersResult(successful=False, reason=self._told(error))
        return SetParametersResult(successful=True)

    def _on_set_verbs(
        self, request: SetVerbs.Request, response: SetVerbs.Response
    ) -> SetVerbs.Response:
        """Set the parameter `verbs`."""
        (result,) = self.set_parameters([Parameter('verbs', value=list(request.verbs) or NONE)])
        response.success, response.message = result.successful, result.reason
        return response

    def _on_snapshot(
        self, request: Trigger.Request, response: Trigger.Response
    ) -> Trigger.Response:
        """Write what a bug report needs of the last frame."""
        frame = self._worker and self._worker.frame
        if frame is None:
            response.message = 'no image was processed since the node was activated'
            return response
        folder = snapshot_folder(self._value('snapshot.folder'))
        try:
            path = write_snapshot(folder, frame, self._facts())
        except Exception as error:  # rclpy would end the process
            response.message = f'no snapshot: {self._told(error)}'
            return response
        response.success, response.message = True, str(path)
        return response

    def _facts(self) -> dict[str, Any]:
        """How the node was set, and what it counted."""
        counts = self._matcher.counts()
        return {
            'node': self.get_fully_qualified_name(),
            'checkpoint_sha256': self._pipeline.predictor.checkpoint_sha256,
            'parameters': {name: self._value(name) for name in parameters.NAMES},
            'counts': vars(counts),
            'latency_ms': self._worker.latency,
            'last_error': self._guard.last_error,
        }

    # The diagnostics' thread

    def _observe(self) -> Observation:
        """What there is to see of this node now."""
        now, lifecycle = time.monotonic_ns(), self._lifecycle()
        pipeline, matcher, worker = self._pipeline, self._matcher, self._worker
        inputs, outputs = self._inputs, self._outputs
        about = {name: str(self._value(name)) for name in ('model', 'device', 'detections_type')}
        seen = Observation(now, lifecycle, self._failure, about=about)
        if None in (pipeline, matcher, worker, inputs, outputs):
            return seen
        images, detections = inputs.publishers()
        return replace(
            seen,
            images=images,
            detections=detections,
            outputs=outputs.subscribers(),
            counts=matcher.counts(),
            last_image=matcher.last_image,
            last_detections=matcher.last_detections,
            nearest_miss=matcher.nearest_miss,
            window=matcher.window,
            tolerance=matcher.tolerance,
            pair_limit=pipeline.pair_limit,
            last_error=self._guard.last_error,
            latency=worker.latency,
            stages=pipeline.stages,
        )

    # All threads

    def _told(self, error: Exception) -> str:
        """An error in a sentence; the traceback of one that nobody foresaw is logged."""
        if isinstance(error, EXPECTED):
            return str(error)
        self.get_logger().error(''.join(traceback.format_exception(error)))
        return f'{type(error).__name__}: {error}'

    def _lifecycle(self) -> str:
        return self._state_machine.current_state[1]

    def _value(self, name: str) -> Any:
        return self.get_parameter(name).value

    def destroy_node(self) -> None:
        """Stop, free and end."""
        self._diagnostics.close()  # nobody looks at what is being destroyed
        self.close()
        super().destroy_node()

    def warn_once(self, sentence: str) -> None:
        """Log a sentence once."""
        self._guard.warn_once(sentence)


def _spin(nodes: list[HoiNode], ending: Ending) -> None:
    """Serve callbacks until a signal; a message that rclpy cannot decode is not the end."""
    executor = SingleThreadedExecutor()
    for node in nodes:
        executor.add_node(node)
    try:
        while not ending.asked:
            try:
                executor.spin_once(LOOK_SECONDS)
            except UnicodeDecodeError as error:
                nodes[0].warn_once(f'a message holds text that is not UTF-8: {error}')
    finally:
        executor.shutdown(timeout_sec=1.0)


def main(args: list[str] | None = None) -> int:
    """Run a node in each namespace that is named, or one, until SIGINT or SIGTERM.

    `hoi_node front rear` serves two cameras in one process; 1 is returned where one cannot start.
    """
    arguments = sys.argv if args is None else ['hoi_node', *args]
    nodes: list[HoiNode] = []
    ending = Ending(lambda: any(node.is_configuring() for node in nodes))
    rclpy.init(args=arguments, signal_handler_options=SignalHandlerOptions.NO)
    try:
        for namespace in remove_ros_args(arguments)[1:] or [None]:
            nodes.append(HoiNode(namespace))
        names = {node.get_fully_qualified_name() for node in nodes}
        if len(names) < len(nodes):
            raise ValueError('namespaces are given as words or as __ns, not both')
        if not all(ending.asked or node.autostart() for node in nodes):
            return 1
        _spin(nodes, ending)
    except (ValueError, ParameterException) as error:
        print(f'hoi_node: {error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        pass
    finally:
        for node in nodes:
            node.destroy_node()
        rclpy.try_shutdown()
    return 0


if __name__ == '__main__':
    sys.exit(main())
