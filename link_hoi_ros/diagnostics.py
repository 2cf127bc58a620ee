"""Why there is output or none, and what to do: one state and one sentence from what is observed.

Plain Python: observation.py says what there is to see, and diagnostics_publisher.py publishes the
result.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import Enum, IntEnum

from link_hoi_ros.graph import Peers
from link_hoi_ros.matching import NANOSECONDS
from link_hoi_ros.observation import Course, Observation, inputs_of, silence

# Rates and shares are of what came in this time, or in that of a silence where it is longer.
SPAN = 5 * NANOSECONDS
# Share of lost images that is worth a warning: single ones are lost in any hiccup.
LOSS = 0.1
# Stamps that lie farther apart are not of one image, whatever the tolerance.
CLOSE_SECONDS = 0.5
# No image takes so many milliseconds; it is of a bag, or of a simulation.
OTHER_CLOCK = 60_000.0


class Level(IntEnum):
    """Of diagnostic_msgs/DiagnosticStatus: nothing to do, output with a flaw, no output."""

    OK = 0
    WARN = 1
    ERROR = 2


class State(Enum):
    """In the order in which they are looked for: the first that holds is told."""

    NOT_ACTIVE = 'not active'
    WAITING = 'waiting'
    NO_PUBLISHER = 'no publisher'
    INCOMPATIBLE_QOS = 'incompatible QoS'
    WRONG_TYPE = 'wrong type'
    NO_IMAGES = 'no images'
    NO_DETECTIONS = 'images but no detections'
    FAILING = 'failing'
    NEVER_MATCHED = 'never matched'
    STUCK = 'stuck'
    OUT_OF_MEMORY = 'out of memory'
    OUT_OF_ORDER = 'out of order'
    SLOW = 'running slow'
    RUNNING = 'running'


@dataclass(frozen=True)
class Diagnosis:
    """A state with one sentence that says what to do, and the values behind it."""

    level: Level
    state: State
    message: str
    values: dict[str, str]


class Diagnostician:
    """Diagnoses one node from observation to observation, about one a second.

    Args:
        node: full name of the node, for the commands in the sentences.
    """

    def __init__(self, node: str) -> None:
        self._node = node
        self._history: deque[Observation] = deque()
        self._active_since = self._fed_since = 0

    def diagnose(self, seen: Observation) -> Diagnosis:
        """What `seen` means after what was seen before."""
        if seen.lifecycle != 'active' or seen.images is None:
            self._history.clear()
            level, sentence = _not_active(seen, self._node)
            return Diagnosis(level, State.NOT_ACTIVE, sentence, dict(seen.about))
        earlier = self._remember(seen)
        inputs = inputs_of(seen, self._active_since)
        if any(topic.missing for topic in inputs):
            self._fed_since = seen.now
        course = Course(earlier, seen, inputs, self._fed_since)
        level, state, sentence = next(_findings(course))
        return Diagnosis(level, state, sentence, _values(course))

    def _remember(self, seen: Observation) -> Observation:
        """The observation that rates count from."""
        history = self._history
        if history and seen.counts.received < history[-1].counts.received:
            history.clear()  # activated anew between two observations
        if not history:
            self._active_since = self._fed_since = seen.now
        history.append(seen)
        while len(history) > 1 and seen.now - history[1].now >= max(SPAN, silence(seen)):
            history.popleft()
        return history[0]


Finding = tuple[Level, State, str]


def _findings(course: Course) -> Iterator[Finding]:
    """All that holds, the most basic first; the last one always does."""
    yield from _nothing_arrives(course)
    yield from _nothing_comes_out(course)
    yield from _flaws(course)
    yield Level.OK, State.RUNNING, f'running: {_rates(course)}, {_latency(course.seen)}'


def _not_active(seen: Observation, node: str) -> tuple[Level, str]:
    steps = {'unconfigured': 'configure', 'inactive': 'activate'}
    if seen.lifecycle not in steps:
        return Level.WARN, f'{seen.lifecycle}: no images are taken now'
    command = f'ros2 lifecycle set {node} {steps[seen.lifecycle]}'
    if seen.failure:
        return Level.ERROR, f'{seen.lifecycle}, because {seen.failure}; mend it, then {command}'
    return Level.WARN, f'{seen.lifecycle}: no images are taken until {command}'


def _nothing_arrives(course: Course) -> Iterator[Finding]:
    """What an input lacks, images first: publisher, connection, messages."""
    missing = [topic for topic in course.inputs if topic.missing]
    early = [topic for topic in missing if topic.quiet <= silence(course.seen)]
    if early:
        topics = ' and '.join(f'{topic.what} on {topic.peers.topic}' for topic in early)
        yield Level.OK, State.WAITING, f'waiting for the first {topics}'
    for what, parameter, peers, quiet, _ in missing:
        if not (peers.matched or peers.other_qos or peers.other_type):
            yield (
                Level.ERROR,
                State.NO_PUBLISHER,
                f'nobody publishes {what} on {peers.topic}: start the publisher, or remap the '
                'topic (ros2 topic list shows what there is)',
            )
        if not peers.matched:
            yield from _refusals(Level.ERROR, f'no {what}', peers, f', or {parameter} here')
        yield (
            Level.ERROR,
            State.NO_IMAGES if what == 'images' else State.NO_DETECTIONS,
            f'{"" if what == "images" else "images, but "}no {what} on {peers.topic} for '
            f'{quiet / NANOSECONDS:.0f} s: see what became of {", ".join(peers.matched)}',
        )


def _refusals(level: Level, effect: str, peers: Peers, or_here: str = '') -> Iterator[Finding]:
    """What keeps other ends of a topic from being connected."""
    if peers.other_qos:
        yield (
            level,
            State.INCOMPATIBLE_QOS,
            f'{effect}: incompatible QoS on {peers.topic} of {", ".join(peers.other_qos)}; change '
            f'it there{or_here}',
        )
    if peers.other_type:
        yield (
            level,
            State.WRONG_TYPE,
            f'{effect}: wrong message type on {peers.topic} of {", ".join(peers.other_type)}; '
            'remap one of both, or see detections_type and image_transport',
        )


def _nothing_comes_out(course: Course) -> Iterator[Finding]:
    """Everything arrives and nothing is published."""
    new, seen = course.new, course.seen
    if new.processed:
        return
    if course.starting:
        yield Level.OK, State.WAITING, 'waiting for the first result'
    elif new.dropped_invalid:
        yield Level.ERROR, State.FAILING, f'every image fails: {_error(course)}'
    elif not new.detections_paired:
        yield Level.ERROR, State.NEVER_MATCHED, f'images and detections never match: {_miss(seen)}'
    else:
        yield (
            Level.ERROR,
            State.STUCK,
            f'no image was finished for {course.seconds:.0f} s: the model hangs, or is far too '
            'slow for this device',
        )


def _error(course: Course) -> str:
    """What the worker said; where it was given no pair, images were refused on arrival."""
    if not course.new.detections_paired:
        return 'they have no stamp (header.stamp is 0)'
    return course.seen.last_error or 'see the log'


def _miss(seen: Observation) -> str:
    """By how much stamps differ, and what that means."""
    if seen.nearest_miss is None:
        return 'see their stamps (ros2 topic echo --field header)'
    if abs(seen.nearest_miss) <= seen.tolerance:
        return 'detections come later than matching.window, make it longer or the detector faster'
    seconds = abs(seen.nearest_miss) / NANOSECONDS
    distance = f'{1e3 * seconds:.6g} ms' if seconds < 1 else f'{seconds:.3f} s'
    relation = 'after' if seen.nearest_miss > 0 else 'before'
    apart = (
        f'the nearest detections are stamped {distance} {relation} an image; let the detector copy '
        "the image's stamp"
    )
    if seconds < CLOSE_SECONDS:
        apart += f', or set matching.policy to tolerance and matching.tolerance above {seconds:.3g}'
    return apart


def _flaws(course: Course) -> Iterator[Finding]:
    """Something is published, but not all that could be."""
    new, seen = course.new, course.seen
    if seen.pair_limit is not None:
        yield (
            Level.WARN,
            State.OUT_OF_MEMORY,
            f'the memory of the device ran out: going on with at most {seen.pair_limit} pairs an '
            'image; lower max_pairs, or free memory',
        )
    if new.dropped_invalid:
        yield (
            Level.WARN,
            State.FAILING,
            f'{new.dropped_invalid} of {new.received} images failed: {_error(course)}',
        )
    for topic in course.inputs:
        yield from _refusals(Level.WARN, f'some {topic.what} are not heard', topic.peers)
    for peers in seen.outputs:
        yield from _refusals(Level.WARN, 'a subscriber hears nothing', peers)
    if new.dropped_stale > LOSS * new.received:
        yield (
            Level.WARN,
            State.OUT_OF_ORDER,
            f'{new.dropped_stale} of {new.received} images have stamps that repeat or run '
            f'backwards: {seen.images.topic} is for one camera with one clock, and there are '
            f'{", ".join(seen.images.matched)}',
        )
    if new.dropped_busy > LOSS * new.detections_paired:
        yield (
            Level.WARN,
            State.SLOW,
            f'running slow: {_rates(course)}, and {new.dropped_busy} passed over while the model '
            'worked; lower max_pairs or the rate, or take a faster device or model',
        )


def _rates(course: Course) -> str:
    new = course.new
    return f'{course.rate(new.processed):.1f} of {course.rate(new.received):.1f} images a second'


def _latency(seen: Observation) -> str:
    if seen.latency is None or not 0 <= seen.latency < OTHER_CLOCK:
        return "with stamps of a clock that is not this node's (see use_sim_time)"
    return f'{seen.latency:.0f} ms from stamp to triplets'


def _values(course: Course) -> dict[str, str]:
    """What the diagnosis rests on: rates, totals since the activation, and the last image."""
    new, seen = course.new, course.seen
    rates = {
        'images per second': new.received,
        'detections per second': new.detections_received,
        'processed per second': new.processed,
    }
    values = {name: f'{course.rate(count):.2f}' for name, count in rates.items()}
    values.update({name: str(count) for name, count in asdict(seen.counts).items()})
    for topic in course.inputs:
        values[f'publishers of {topic.peers.topic}'] = ', '.join(topic.peers.matched)
    if seen.nearest_miss is not None:
        values['nearest miss (ms)'] = f'{seen.nearest_miss / 1e6:.3f}'
    if seen.latency is not None:
        values['latency (ms)'] = f'{seen.latency:.1f}'
    values.update({f'{stage} (ms)': f'{value:.1f}' for stage, value in seen.stages.items()})
    if seen.pair_limit is not None:
        values['pair limit'] = str(seen.pair_limit)
    if seen.last_error:
        values['last error'] = seen.last_error
    return {**values, **seen.about}
