"""Starts and ends: which changes are told, when, and of whom."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from link_hoi_core.data.recorded import read_recorded
from link_hoi_core.predictor import HoiPredictor
from link_hoi_core.structures import Detections, Interactions
from link_hoi_core.vocabulary import load_vocabulary, with_verbs

pytest.importorskip('link_hoi_msgs.msg', reason='needs ROS 2 and link_hoi_msgs')

from std_msgs.msg import Header

import link_hoi_ros
from link_hoi_msgs.msg import HoiEvent
from link_hoi_ros import parameters
from link_hoi_ros.events import ENDED, STARTED, Event, EventRules, EventTracker, event_message
from link_hoi_ros.outputs import event_rules

RECORDED = Path(link_hoi_ros.__file__).parent / 'data' / 'bikes_detections.json.gz'
SECOND = 1_000_000_000
FRAME = SECOND // 10
RULES = EventRules(start_score=0.4, end_score=0.25, start_seconds=0.3, end_seconds=0.5, overlap=0.3)
VOCABULARY = load_vocabulary('hico-det')
PERSON, BICYCLE = (VOCABULARY.object_index(name) for name in ('person', 'bicycle'))
SIZE = (480, 640)

Row = tuple[int, tuple[float, float, float, float], str]  # label, box, track id
RIDER: Row = (PERSON, (100, 50, 200, 300), '7')
BIKE: Row = (BICYCLE, (80, 150, 260, 350), '9')


def detections(*rows: Row) -> Detections:
    labels, boxes, tracks = zip(*rows) if rows else ((), (), ())
    return Detections(np.array(boxes), np.full(len(rows), 0.9), labels, SIZE, tuple(tracks))


def triplets(*columns: tuple[int, int, str, float]) -> Interactions:
    """Human, object, verb, score, the best first."""
    if not columns:
        return Interactions.empty()
    human, thing, verb, score = zip(*columns)
    verbs = [VOCABULARY.verb_index(name) for name in verb]
    scores = np.array(score, np.float32)
    return Interactions(np.array(human), np.array(thing), np.array(verbs), scores, scores)


class Film:
    """A tracker that is shown one image each tenth of a second."""

    def __init__(self, rules: EventRules = RULES) -> None:
        self.tracker = EventTracker(rules)
        self.stamp = 1_700_000_000 * SECOND
        self.events: list[Event] = []

    def show(
        self,
        score: float | None,
        people: Row = RIDER,
        thing: Row = BIKE,
        verb: str = 'ride',
        after: int = FRAME,
    ) -> list[Event]:
        """The next image, with a person who rides a bicycle unless the score is None."""
        self.stamp += after
        found = triplets() if score is None else triplets((0, 1, verb, score))
        events = self.tracker.update(self.stamp, detections(people, thing), found, VOCABULARY)
        self.events += events
        return events

    def kinds(self) -> list[int]:
        return [event.kind for event in self.events]


def test_an_interaction_that_lasts_starts_once_and_ends_once():
    film = Film()
    first = film.stamp + FRAME
    for _ in range(3):
        assert film.show(0.8) == []
    (started,) = film.show(0.6)
    assert started == Event(
        STARTED, first + 3 * FRAME, '7', '9', 'bicycle', 'ride', first, pytest.approx(0.75)
    )
    for _ in range(20):
        assert film.show(0.75) == []
    last = film.stamp
    for _ in range(4):
        assert film.show(None) == []
    (ended,) = film.show(None)
    assert (ended.kind, ended.stamp, ended.start) == (ENDED, last + 5 * FRAME, first)
    assert (ended.human_id, ended.object_id, ended.verb) == ('7', '9', 'ride')
    assert ended.mean_score == pytest.approx(0.75)
    assert film.show(None) == []


def test_a_flicker_shorter_than_the_times_gives_nothing():
    film = Film()
    for _ in range(10):
        for score in (0.9, 0.9, 0.9, None):
            film.show(score)
    assert film.events == []

    for _ in range(4):
        film.show(0.9)
    for _ in range(10):
        for score in (None, None, None, None, 0.3):
            film.show(score)
    assert film.kinds() == [STARTED]


def test_between_the_two_scores_nothing_starts_and_nothing_ends():
    film = Film()
    for _ in range(20):
        film.show(0.3)
    assert film.kinds() == []
    for score in [0.5] * 4 + [0.3] * 20:
        film.show(score)
    assert film.kinds() == [STARTED]
    for _ in range(5):
        film.show(0.2)
    assert film.kinds() == [STARTED, ENDED]


def test_scores_at_the_thresholds_count():
    film = Film(dataclasses.replace(RULES, start_score=0.7, end_score=0.7))
    for _ in range(4):  # 0.7 as float32 is less than 0.7
        film.show(0.7)
    assert film.kinds() == [STARTED]


def test_without_times_every_change_is_told_at_its_image():
    film = Film(dataclasses.replace(RULES, start_seconds=0.0, end_seconds=0.0))
    for score in (0.9, 0.9, None, 0.9, None):
        film.show(score)
    assert film.kinds() == [STARTED, ENDED, STARTED, ENDED]


def test_no_interaction_is_none():
    film = Film()
    for _ in range(20):
        film.show(0.9, verb='no_interaction')
    assert film.events == []


def test_time_is_that_of_the_stamps_and_a_pause_ends_what_is_gone_after_it():
    film = Film()
    for _ in range(4):
        film.show(0.9)
    assert [event.kind for event in film.show(None, after=SECOND)] == [ENDED]

    film = Film()  # a camera of one image a second sees no more than that it goes on
    for _ in range(10):
        film.show(0.9, after=SECOND)
    assert film.kinds() == [STARTED]


def test_after_a_long_pause_the_same_track_id_is_a_new_interaction():
    film = Film()
    for _ in range(4):
        film.show(0.9)
    (ended,) = film.show(0.9, after=60 * SECOND)
    assert ended.kind == ENDED
    for _ in range(3):
        film.show(0.9)
    again = film.events[-1]
    assert (again.kind, again.start) == (STARTED, film.stamp - 3 * FRAME)


def test_stamps_that_jump_back_end_everything_in_the_time_before():
    film = Film()
    for _ in range(6):
        film.show(0.9)
    before = film.stamp
    (ended,) = film.show(0.9, after=-10 * SECOND)
    assert (ended.kind, ended.stamp) == (ENDED, before)
    for _ in range(3):
        film.show(0.9)
    assert film.kinds() == [STARTED, ENDED, STARTED]


def test_end_all_ends_what_was_told_and_forgets_the_rest():
    film = Film()
    for _ in range(4):
        film.show(0.9)
    film.show(0.9, verb='hold')
    (ended,) = film.tracker.end_all(film.stamp)
    assert (ended.kind, ended.verb, ended.stamp) == (ENDED, 'ride', film.stamp)
    assert film.tracker.end_all(film.stamp) == []


def test_who_was_followed_before_the_end_of_all_is_someone_else_after_it():
    film = Film()
    nobody: Row = (PERSON, RIDER[1], '')
    for _ in range(2):
        for _ in range(4):
            film.show(0.9, people=nobody)
        film.tracker.end_all(film.stamp)
    assert [event.human_id for event in film.events] == ['person#1', 'person#2']


def test_other_rules_hold_from_the_next_image():
    film = Film()
    for _ in range(10):
        film.show(0.35)
    film.tracker.rules = dataclasses.replace(RULES, start_score=0.3, start_seconds=0.1)
    film.show(0.35)
    film.show(0.35)
    assert film.kinds() == [STARTED]


def test_people_acting_on_each_other_are_two_interactions():
    film = Film()
    other: Row = (PERSON, (300, 50, 400, 300), '8')
    for _ in range(4):
        film.stamp += FRAME
        film.events += film.tracker.update(
            film.stamp,
            detections(RIDER, other),
            triplets((0, 1, 'hug', 0.9), (1, 0, 'hug', 0.8)),
            VOCABULARY,
        )
    assert [(e.human_id, e.object_id, e.object_name) for e in film.events] == [
        ('7', '8', 'person'),
        ('8', '7', 'person'),
    ]


def test_verbs_of_any_words_are_followed_under_their_names():
    vocabulary = with_verbs(VOCABULARY, ['pedal', 'no interaction'])
    tracker = EventTracker(RULES)
    found = Interactions(*(np.array(column) for column in ([0, 0], [1, 1], [0, 1])), *(
        np.array([0.9, 0.8], np.float32),
    ) * 2)  # fmt: skip
    events = [
        event
        for frame in range(6)
        for event in tracker.update(frame * FRAME, detections(RIDER, BIKE), found, vocabulary)
    ]
    assert [event.verb for event in events] == ['pedal']


def test_a_detector_that_finds_someone_twice_does_not_split_the_interaction():
    """Of boxes that overlap the model takes the surest, now this one, now that one."""
    tracker, events = EventTracker(RULES), []
    boxes = np.array([(100, 50, 200, 300), (104, 52, 205, 305), (80, 150, 260, 350)])
    for frame in range(20):
        scores = [0.9, 0.8, 0.9] if frame % 2 else [0.8, 0.9, 0.9]
        found = Detections(boxes, scores, [PERSON, PERSON, BICYCLE], SIZE)
        rider = int(np.argmax(scores[:2]))
        events += tracker.update(
            frame * FRAME, found, triplets((rider, 2, 'ride', 0.9)), VOCABULARY
        )
    assert [event.kind for event in events] == [STARTED]


def test_thousands_of_detections_are_not_followed_one_by_one():
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 400, (2000, 2))
    crowd = Detections(
        np.concatenate([corner, corner + 60], axis=1),
        rng.uniform(0.1, 0.5, 2000),
        np.full(2000, PERSON),
        SIZE,
    )
    tracker = EventTracker(RULES)
    found = triplets((1500, 1999, 'hug', 0.9))  # not among the surest
    events = [
        event
        for frame in range(6)
        for event in tracker.update(frame * FRAME, crowd, found, VOCABULARY)
    ]
    assert [event.kind for event in events] == [STARTED]
    assert len(tracker._identities._things) < 200


def test_the_man_on_the_bicycle_of_the_demo_starts_and_ends_once_a_verb():
    """Real detections of a real video, the embedded model, and the node's own rules."""
    rules = event_rules(parameters.defaults().__getitem__)
    predictor = HoiPredictor.from_checkpoint('boxes', device='cpu', score_threshold=rules.end_score)
    tracker, events = EventTracker(rules), []
    for index, image in enumerate(read_recorded(RECORDED, predictor.vocabulary)):
        found = predictor.predict(None, image.detections)
        stamp = index * SECOND // 25
        events += tracker.update(stamp, image.detections, found, predictor.vocabulary)
    told = [(event.verb, event.kind) for event in events]
    assert ('straddle', STARTED) in told
    assert len(set(told)) == len(told) <= 8
    for event in events:  # he is in view from 4.3 to 5.5 s
        assert event.object_name == 'bicycle'
        assert 4.2 * SECOND < event.start < event.stamp < 6.5 * SECOND


def test_the_message_says_when_where_and_what():
    event = Event(ENDED, 12 * SECOND + 5, 'a', 'cup#3', 'cup', 'hold', 10 * SECOND + 7, 0.625)
    message = event_message(event, Header(frame_id='front'))
    assert message.kind == HoiEvent.ENDED
    assert (message.header.frame_id, message.header.stamp.sec) == ('front', 12)
    assert (message.start.sec, message.start.nanosec) == (10, 7)
    assert (message.human_id, message.object_id) == ('a', 'cup#3')
    assert (message.object_name, message.verb, message.mean_score) == ('cup', 'hold', 0.625)


STEPS = st.lists(
    st.tuples(
        st.sampled_from([FRAME, FRAME, FRAME, 3 * FRAME, SECOND, 60 * SECOND, -SECOND]),
        st.none() | st.floats(0, 1, width=32),
        st.sampled_from(['7', '8', '']),  # the tracker's id for the rider
    ),
    max_size=60,
)


@settings(deadline=None)
@given(STEPS)
def test_every_start_and_end_has_its_reason(steps):
    """Judged from the scores of one pair, without the tracker's own bookkeeping."""
    film = Film()
    history: list[tuple[int, float]] = []
    for after, score, _ in steps:
        events = film.show(score, after=after)
        if after < 0:
            history.clear()
        history.append((film.stamp, score or 0.0))
        for event in events:
            if event.kind == STARTED:
                run = [(stamp, score) for stamp, score in history if stamp >= event.start]
                assert run[0][0] == event.start and all(score >= 0.4 for _, score in run)
                assert film.stamp - event.start >= 0.3 * SECOND
                assert event.mean_score == pytest.approx(np.mean([score for _, score in run]))
            elif after > 0:
                held = max(t for t, score in history[:-1] if score >= np.float32(0.25))
                assert film.stamp - held >= 0.5 * SECOND
    kinds = film.kinds()
    assert kinds == [STARTED, ENDED] * (len(kinds) // 2) + [STARTED] * (len(kinds) % 2)


@settings(deadline=None)
@given(STEPS)
def test_what_the_tracker_calls_one_box_does_not_matter(steps):
    """Track ids that change over the same box neither end nor start anything."""
    steady, changing = Film(), Film()
    for after, score, track in steps:
        steady.show(score, after=after)
        changing.show(score, people=(PERSON, RIDER[1], track), after=after)
    assert [(e.kind, e.stamp, e.start, e.mean_score) for e in steady.events] == [
        (e.kind, e.stamp, e.start, e.mean_score) for e in changing.events
    ]


@settings(deadline=None)
@given(st.lists(st.integers(1, 3), max_size=30), st.lists(st.floats(0.4, 1), min_size=4))
def test_flicker_below_the_times_is_silent_and_an_unbroken_run_starts_once(flickers, run):
    film = Film()
    for length in flickers:
        for _ in range(length):  # at most 0.2 s from the first to the last
            film.show(0.9)
        film.show(0.3)
    assert film.events == []
    for score in run:
        film.show(score)
    assert film.kinds() == [STARTED]


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_starts_and_ends_take_turns_in_a_crowd(seed):
    """Boxes that move, come and go, tracks that change and stand twice, pauses, jumps back."""
    turns = defaultdict(list)
    for event in crowd(np.random.default_rng(seed)):
        turns[event.human_id, event.object_id, event.verb].append(event)
        assert 0.2 <= event.mean_score <= 1
        assert event.start <= event.stamp
    for events in turns.values():
        assert len(events) % 2 == 0
        for started, ended in zip(events[::2], events[1::2]):
            assert (started.kind, ended.kind) == (STARTED, ENDED)
            assert (started.start, started.object_name) == (ended.start, ended.object_name)


def crowd(rng: np.random.Generator) -> Iterator[Event]:
    rules = EventRules(0.4, 0.2, rng.choice([0, 0.2]), rng.choice([0, 0.3]), 0.3)
    tracker, stamp = EventTracker(rules), 10 * SECOND
    centres = rng.uniform(60, 400, (6, 2))
    for _ in range(150):
        stamp += int(rng.choice([FRAME] * 40 + [SECOND, 5 * SECOND, -SECOND]))
        centres = (centres + rng.normal(0, 4, centres.shape)).clip(40, 420)
        rows = [
            (
                PERSON if i < 3 else BICYCLE,
                (x - 30, y - 30, x + 30, y + 30),
                str(rng.choice([i, 9, ''], p=[0.8, 0.1, 0.1])),
            )
            for i, (x, y) in enumerate(centres)
            if rng.random() < 0.95
        ]
        found = [
            (human, thing, verb, float(rng.random() ** 0.3))
            for human, row in enumerate(rows)
            for thing in range(len(rows))
            for verb in ('ride', 'hold')
            if row[0] == PERSON and human != thing and rng.random() < 0.9
        ]
        yield from tracker.update(stamp, detections(*rows), triplets(*found), VOCABULARY)
    yield from tracker.end_all(stamp)
