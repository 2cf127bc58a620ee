"""What there is to see of a running node, and what happened from one look to the next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import NamedTuple

from link_hoi_ros.graph import Peers
from link_hoi_ros.matching import NANOSECONDS, Counts

# A topic that was quiet for so long has stopped (a camera may well be as slow as 1 Hz), unless
# matching.window says that answers take longer here.
SILENCE = 3 * NANOSECONDS


@dataclass(frozen=True)
class Observation:
    """What there is to see of a node at one moment.

    Attributes:
        now: steady clock in nanoseconds.
        lifecycle: label of the lifecycle's state: 'unconfigured', 'configuring', 'active' ...
        failure: why the last transition failed, '' after one that worked.
        images: other ends of the image topic; None while there is no subscription.
        detections: the same of the detections; None for a built-in detector too.
        outputs: other ends of what is published.
        counts: since the activation.
        last_image: when an image arrived last, on the steady clock; None before the first.
        last_detections: the same for detections.
        nearest_miss: `Matcher.nearest_miss`: detections less image, in nanoseconds.
        window: how long an image waits for its detections, in nanoseconds.
        tolerance: difference of stamps in nanoseconds that matches.
        pair_limit: the number of pairs that memory sufficed for; None where it never ran out.
        last_error: why an image gave no output last, '' before the first such one.
        latency: milliseconds from the last image's stamp until its triplets were published.
        stages: milliseconds of that image's stages.
        about: what else to show, such as model and device.
    """

    now: int
    lifecycle: str
    failure: str = ''
    images: Peers | None = None
    detections: Peers | None = None
    outputs: tuple[Peers, ...] = ()
    counts: Counts = Counts()
    last_image: int | None = None
    last_detections: int | None = None
    nearest_miss: int | None = None
    window: int = 0
    tolerance: int = 0
    pair_limit: int | None = None
    last_error: str = ''
    latency: float | None = None
    stages: Mapping[str, float] = field(default_factory=dict)
    about: Mapping[str, str] = field(default_factory=dict)


class Input(NamedTuple):
    """One topic that the node listens to.

    Attributes:
        what: arrives there, in words.
        parameter: sets its QoS.
        quiet: nanoseconds since the last arrival, or since the activation where there was none.
        missing: whether nothing arrives there now.
    """

    what: str
    parameter: str
    peers: Peers
    quiet: int
    missing: bool


def inputs_of(seen: Observation, active_since: int) -> list[Input]:
    """Images, and detections where they come from a topic."""
    inputs = []
    for what, parameter, peers, last in (
        ('images', 'qos.image', seen.images, seen.last_image),
        ('detections', 'qos.detections', seen.detections, seen.last_detections),
    ):
        if peers is not None:
            quiet = seen.now - (active_since if last is None else last)
            missing = last is None or quiet > silence(seen)
            inputs.append(Input(what, parameter, peers, quiet, missing))
    return inputs


def silence(seen: Observation) -> int:
    """How long a topic may be quiet, in nanoseconds."""
    return max(SILENCE, seen.window)


class Course:
    """What happened from an earlier observation to the present one.

    Attributes:
        seen: the present one.
        inputs: the topics that the node listens to.
        seconds: between both observations; 0 where there is only one.
        new: what was counted between both.
        starting: whether the inputs have not all been there for long enough to expect output.
    """

    def __init__(
        self, earlier: Observation, seen: Observation, inputs: list[Input], fed_since: int
    ) -> None:
        self.seen, self.inputs = seen, inputs
        self.seconds = (seen.now - earlier.now) / NANOSECONDS
        before, after = asdict(earlier.counts), asdict(seen.counts)
        self.new = Counts(**{name: after[name] - before[name] for name in after})
        self.starting = seen.now - fed_since < silence(seen)

    def rate(self, count: int) -> float:
        """Times a second."""
        return count / self.seconds if self.seconds else 0.0
