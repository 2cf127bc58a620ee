"""When interactions start and end: changes that last, told once, in the time of the images."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from builtin_interfaces.msg import Time
from std_msgs.msg import Header

from link_hoi_core.geometry import class_wise_nms
from link_hoi_core.structures import Detections, Interactions
from link_hoi_core.vocabulary import NO_INTERACTION, Vocabulary
from link_hoi_msgs.msg import HoiEvent
from link_hoi_ros.identities import Identities, Thing
from link_hoi_ros.matching import NANOSECONDS

# People and things are known for this long after an interaction without them has ended.
MEMORY = NANOSECONDS
# The surest detections that are followed; a model looks at 30.
MOST_FOLLOWED = 100
# Boxes of one class with this IoU are one thing, as in the model's own selection.
SAME_THING = 0.5

STARTED, ENDED = HoiEvent.STARTED, HoiEvent.ENDED


@dataclass(frozen=True)
class EventRules:
    """When a change counts; the node's parameters `event.*`.

    Attributes:
        start_score: an interaction starts when its score stays at or above this ...
        start_seconds: ... for this long.
        end_score: a started one goes on while its score is at or above this; it ends when that
            has not been so ...
        end_seconds: ... for this long.
        overlap: boxes of one class without a track id are the same thing at this IoU.
    """

    start_score: float
    end_score: float
    start_seconds: float
    end_seconds: float
    overlap: float


@dataclass(frozen=True)
class Event:
    """An interaction started or ended; stamps in nanoseconds.

    Attributes:
        kind: STARTED or ENDED.
        stamp: of the image at which this was established.
        human_id, object_id: the same in the event that ends what this one started.
        start: stamp of the interaction's first image.
        mean_score: over the images so far in which it held.
    """

    kind: int
    stamp: int
    human_id: str
    object_id: str
    object_name: str
    verb: str
    start: int
    mean_score: float


@dataclass
class _Run:
    """An interaction that holds."""

    human: Thing
    object: Thing
    verb: int
    start: int
    held: int  # the last image in which it did
    images: int = 0
    total: float = 0.0
    told: Event | None = None  # its start

    def extend(self, stamp: int, score: float) -> None:
        self.held = stamp
        self.images += 1
        self.total += score

    @property
    def mean_score(self) -> float:
        return self.total / self.images

    def ended(self, stamp: int) -> Event:
        return replace(self.told, kind=ENDED, stamp=stamp, mean_score=self.mean_score)


class EventTracker:
    """Follows the interactions of one camera; 'no interaction' is none.

    For each human, object and verb STARTED and ENDED take turns, STARTED first.

    Attributes:
        rules: may be replaced at any time; the next image is judged by the new ones.
    """

    def __init__(self, rules: EventRules) -> None:
        self.rules = rules
        self._identities = Identities()
        self._runs: dict[tuple[Thing, Thing, int], _Run] = {}
        self._stamp = 0

    def update(
        self,
        stamp: int,
        detections: Detections,
        interactions: Interactions,
        vocabulary: Vocabulary,
    ) -> list[Event]:
        """What an image changes: first what ended, then what started.

        Time is that of the stamps: what was not looked at for longer than `end_seconds` and is
        not there afterwards has ended, and where they jump back everything has.

        Args:
            stamp: of the image, in nanoseconds.
            interactions: all with a score of at least `rules.end_score`; others do no harm.
            vocabulary: the same since the last `end_all`.
        """
        end_time = _nanoseconds(self.rules.end_seconds)
        ended = self.end_all(self._stamp) if stamp < self._stamp else []
        self._stamp = stamp
        self._identities.forget(before=stamp - end_time - MEMORY)
        self._extend(stamp, detections, interactions, vocabulary)
        self._runs = {key: run for key, run in self._runs.items() if run.told or run.held == stamp}
        ended += self._end(stamp, before=min(stamp - end_time + 1, stamp))
        return ended + self._start(stamp, vocabulary)

    def end_all(self, stamp: int) -> list[Event]:
        """End what goes on and forget everything, as at other verbs or when the node stops.

        Args:
            stamp: of the last image, in nanoseconds.
        """
        ended = [run.ended(stamp) for run in self._runs.values() if run.told]
        self._runs.clear()
        self._identities.forget_all()
        return ended

    def _start(self, stamp: int, vocabulary: Vocabulary) -> list[Event]:
        """Tell what has lasted long enough."""
        latest = stamp - _nanoseconds(self.rules.start_seconds)
        due = [run for run in self._runs.values() if not run.told and run.start <= latest]
        for run in due:
            human, object_ = (vocabulary.objects[thing.label] for thing in (run.human, run.object))
            run.told = Event(
                STARTED,
                stamp,
                human_id=self._identities.name(run.human, human),
                object_id=self._identities.name(run.object, object_),
                object_name=object_,
                verb=vocabulary.verbs[run.verb],
                start=run.start,
                mean_score=run.mean_score,
            )
        return [run.told for run in due]

    def _end(self, stamp: int, before: int) -> list[Event]:
        """Drop what held for the last time before a stamp; the ends of what was told."""
        over = {key: run for key, run in self._runs.items() if run.held < before}
        for key in over:
            del self._runs[key]
        return [run.ended(stamp) for run in over.values() if run.told]

    def _extend(
        self,
        stamp: int,
        detections: Detections,
        interactions: Interactions,
        vocabulary: Vocabulary,
    ) -> None:
        """Carry on what holds in this image, and begin what may start."""
        rules = self.rules
        things = self._identities.follow(
            stamp, detections, _followed(detections, interactions), rules.overlap
        )
        holds = _doing(interactions, vocabulary)
        holds = holds.take(holds.score >= rules.end_score)
        sure = holds.score >= rules.start_score
        for human, object_, verb, score, is_sure in zip(
            holds.human.tolist(),
            holds.object.tolist(),
            holds.verb.tolist(),
            holds.score.tolist(),
            sure.tolist(),
        ):
            key = (things[human], things[object_], verb)
            run = self._runs.get(key)
            if run is None and is_sure:
                run = self._runs[key] = _Run(*key, start=stamp, held=stamp)
            if run is not None and (run.told or is_sure):
                run.extend(stamp, score)


def event_message(event: Event, header: Header) -> HoiEvent:
    """What is published for an event; `header` says the camera's frame_id."""
    return HoiEvent(
        header=Header(stamp=_time(event.stamp), frame_id=header.frame_id),
        kind=event.kind,
        human_id=event.human_id,
        object_id=event.object_id,
        object_name=event.object_name,
        verb=event.verb,
        start=_time(event.start),
        mean_score=event.mean_score,
    )


def _followed(detections: Detections, interactions: Interactions) -> list[int]:
    """Rows of the surest people and things, one box for each, and of all that interact.

    Also those that do nothing now: who starts again is the same.
    """
    surest = np.argsort(-detections.scores, kind='stable')[:MOST_FOLLOWED]
    surest = surest[detections.labels[surest] >= 0]
    found = detections.take(surest)
    known = surest[class_wise_nms(found.boxes, found.scores, found.labels, SAME_THING)]
    return np.unique(np.concatenate([known, interactions.human, interactions.object])).tolist()


def _doing(interactions: Interactions, vocabulary: Vocabulary) -> Interactions:
    """Those in which something is done."""
    is_verb = np.array([phrase != NO_INTERACTION for phrase in vocabulary.verb_phrases])
    return interactions.take(is_verb[interactions.verb])


def _nanoseconds(seconds: float) -> int:
    return round(seconds * NANOSECONDS)


def _time(stamp: int) -> Time:
    seconds, nanoseconds = divmod(stamp, NANOSECONDS)
    return Time(sec=seconds, nanosec=nanoseconds)
