"""Pairs belong together, the newest comes first, and the books balance; in either matcher."""

from __future__ import annotations

import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from link_hoi_ros.matching import CAPACITY, NANOSECONDS, Counts, Matcher, make_matcher

MS = 1_000_000
WINDOW = 2 * NANOSECONDS


class Clock:
    """A steady clock that the test moves."""

    now = 0

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=['own', 'approximate'])
def matcher_type(request: pytest.FixtureRequest) -> type[Matcher]:
    return type_of(request.param)


@pytest.fixture
def matcher(matcher_type: type[Matcher], clock: Clock) -> Matcher:
    return matcher_type(WINDOW, 0, clock)


def type_of(kind: str) -> type[Matcher]:
    if kind == 'own':
        return Matcher
    pytest.importorskip('message_filters', reason='needs message_filters')
    from link_hoi_ros.approximate import ApproximateMatcher

    return ApproximateMatcher


def balanced(counts: Counts) -> bool:
    images = (
        counts.processed
        + counts.dropped_busy
        + counts.dropped_unmatched
        + counts.dropped_stale
        + counts.dropped_invalid
        + counts.pending
    )
    detections = (
        counts.detections_paired
        + counts.detections_unmatched
        + counts.detections_stale
        + counts.detections_pending
    )
    return counts.received == images and counts.detections_received == detections


@pytest.mark.parametrize('image_first', [True, False])
def test_equal_stamps_are_paired_whichever_comes_first(matcher, image_first):
    adds = [lambda: matcher.add_image(7, 'image'), lambda: matcher.add_detections(7, 'boxes')]
    for add in adds if image_first else reversed(adds):
        add()
    pair = matcher.take(0)
    assert (pair.stamp, pair.image, pair.detections) == (7, 'image', 'boxes')
    assert matcher.take(0) is None


def test_a_stamp_one_nanosecond_off_is_not_paired_without_tolerance(matcher):
    matcher.add_image(7, 'image')
    matcher.add_detections(8, 'boxes')
    assert matcher.take(0) is None


def test_every_frame_is_paired_when_the_detector_is_400_ms_late_at_30_hz(matcher, clock):
    """Where message_filters' queue of ten loses 110 of 120 frames."""
    period, late = 33 * MS, 400 * MS
    events = [(k * period, 'image', k) for k in range(1, 121)]
    events += [(k * period + late, 'boxes', k) for k in range(1, 121)]
    taken = []
    for clock.now, kind, k in sorted(events):
        if kind == 'image':
            matcher.add_image(k * period, k)
        else:
            matcher.add_detections(k * period, k)
            pair = matcher.take(0)
            taken.append((pair.image, pair.detections))
            matcher.finish(valid=True)
    assert taken == [(k, k) for k in range(1, 121)]


def test_within_the_tolerance_the_nearest_wins_and_an_equal_stamp_before_it(matcher_type, clock):
    matcher = matcher_type(WINDOW, 10 * MS, clock)
    for stamp in (100, 105, 109):
        matcher.add_image(stamp * MS, stamp)
    matcher.add_detections(106 * MS, 'near')
    assert matcher.take(0).image == 105
    matcher.add_detections(109 * MS, 'equal')
    assert matcher.take(0).image == 109
    matcher.add_image(200 * MS, 200)
    matcher.add_detections(211 * MS, 'too far')
    assert matcher.take(0) is None


def test_the_newest_pair_is_taken_and_those_passed_over_are_counted_busy(matcher):
    for stamp in (1, 2, 3):
        matcher.add_image(stamp, stamp)
        matcher.add_detections(stamp, stamp)
    assert matcher.take(0).stamp == 3
    assert matcher.counts().dropped_busy == 2


def test_images_between_the_detectors_frames_are_let_go_at_once(matcher):
    for stamp in range(1, 7):
        matcher.add_image(stamp, stamp)
    matcher.add_detections(6, 'boxes')
    counts = matcher.counts()
    assert (counts.dropped_unmatched, counts.pending) == (5, 1)
    matcher.add_detections(3, 'late')
    assert matcher.counts().detections_stale == 1


def test_both_sides_wait_no_longer_than_the_window(matcher, clock):
    matcher.add_image(1, 'image')
    matcher.add_detections(2, 'boxes')
    clock.now = WINDOW
    assert matcher.counts().pending == 1
    clock.now = WINDOW + 1
    counts = matcher.counts()
    assert (counts.dropped_unmatched, counts.detections_unmatched) == (1, 1)
    assert (counts.pending, counts.detections_pending) == (0, 0)


def test_a_flood_does_not_grow_without_bound(matcher):
    for stamp in range(1, 3 * CAPACITY):
        matcher.add_image(stamp, None)
        matcher.add_detections(stamp + 100_000, None)
    counts = matcher.counts()
    assert counts.pending == counts.detections_pending == CAPACITY
    assert balanced(counts)


def test_after_a_jump_back_matching_goes_on(matcher):
    """A bag that loops, or a simulation that starts again."""
    for start in (1000, 10, 500, 500):
        for stamp in range(start, start + 3):
            matcher.add_image(stamp, (start, stamp))
            matcher.add_detections(stamp, (start, stamp))
            pair = matcher.take(0)
            assert pair.image == pair.detections == (start, stamp)
            matcher.finish(valid=True)
    assert matcher.counts().processed == 12


def test_what_waited_at_a_jump_back_is_stale_and_never_paired_with_the_new_run(matcher):
    matcher.add_image(1000, 'old')
    matcher.add_detections(1001, 'old')
    matcher.add_image(5, 'new')
    matcher.add_image(1001, 'new')
    assert matcher.take(0) is None
    counts = matcher.counts()
    assert (counts.dropped_stale, counts.detections_stale) == (1, 1)


def test_a_repeated_image_is_stale(matcher):
    matcher.add_image(5, 'first')
    matcher.add_image(5, 'second')
    matcher.add_detections(5, 'boxes')
    assert matcher.take(0).image == 'second'
    matcher.add_image(5, 'third')
    assert matcher.counts().dropped_stale == 2


def test_an_image_without_a_stamp_is_invalid(matcher):
    matcher.add_image(0, 'image')
    matcher.add_detections(0, 'boxes')
    assert matcher.take(0) is None
    assert matcher.counts().dropped_invalid == 1


def test_a_waiting_worker_is_woken_by_a_pair_and_by_close(matcher_type):
    matcher = matcher_type(WINDOW, 0)
    taken = []

    def work():
        while not matcher.closed:
            taken.append(matcher.take(30))

    worker = threading.Thread(target=work)
    worker.start()
    started = time.monotonic()
    matcher.add_image(1, 'image')
    matcher.add_detections(1, 'boxes')
    while not taken and time.monotonic() < started + 10:
        time.sleep(0.001)
    matcher.close()
    worker.join(10)
    assert not worker.is_alive()
    assert taken[0].stamp == 1
    assert time.monotonic() < started + 10


def test_a_window_that_cannot_work_is_refused(matcher_type):
    with pytest.raises(ValueError, match='window'):
        matcher_type(0, 0)


@pytest.mark.parametrize(('policy', 'found'), [('exact', False), ('tolerance', True)])
def test_the_policy_says_whether_stamps_must_be_equal(policy, found):
    matcher = make_matcher(policy, WINDOW, tolerance=10)
    matcher.add_image(100, 'image')
    matcher.add_detections(105, 'boxes')
    assert (matcher.take(0) is not None) == found


def test_an_unknown_policy_is_refused_by_name():
    with pytest.raises(ValueError, match="'nearest'.*'approximate'"):
        make_matcher('nearest', WINDOW, 0)


@pytest.mark.parametrize('offset', [-12, 0, 9])
def test_the_nearest_miss_says_by_how_much_stamps_differ(matcher_type, clock, offset):
    """A detector that stamps by its own clock; at 0 it is only too slow for the window."""
    matcher = matcher_type(50, 0, clock)
    assert matcher.nearest_miss is None
    for clock.now in range(100, 500, 100):
        matcher.add_image(clock.now, 'image')
    assert matcher.nearest_miss is None
    for stamp in range(100, 500, 100):
        clock.now += 100
        matcher.add_detections(stamp + offset, 'boxes')
    assert matcher.take(0) is None
    assert matcher.nearest_miss == offset


def test_a_pair_and_a_jump_back_end_the_search_for_the_nearest_miss(matcher):
    for start in (1000, 10):
        matcher.add_image(start, 'image')
        matcher.add_detections(start + 3, 'boxes')
        assert matcher.nearest_miss == 3
    matcher.add_detections(10, 'boxes')
    assert matcher.nearest_miss is None


def test_the_last_arrivals_are_kept(matcher, clock):
    assert matcher.last_image is matcher.last_detections is None
    clock.now = 5
    matcher.add_image(1, 'image')
    clock.now = 8
    matcher.add_detections(0, 'without a stamp')
    assert (matcher.last_image, matcher.last_detections) == (5, 8)


STEP = st.tuples(
    st.sampled_from(['image', 'detections', 'take', 'valid', 'invalid', 'wait']),
    st.integers(0, 60),
)


@pytest.mark.parametrize('kind', ['own', 'approximate'])
@settings(max_examples=300, deadline=None)
@given(steps=st.lists(STEP, max_size=80), tolerance=st.integers(0, 3))
def test_the_books_balance_and_pairs_fit_whatever_happens(kind, steps, tolerance):
    clock = Clock()
    matcher = type_of(kind)(25, tolerance, clock)
    in_work = 0
    newest_image = last_pair = 0
    for action, number in steps:
        if action == 'image':
            if 0 < number < newest_image:
                last_pair = 0
            newest_image = number or newest_image
            matcher.add_image(number, number)
        elif action == 'detections':
            matcher.add_detections(number, number)
        elif action == 'wait':
            clock.now += number
        elif action == 'take' and in_work == 0:
            pair = matcher.take(0)
            if pair is not None:
                in_work = 1
                assert abs(pair.image - pair.detections) <= tolerance
                assert pair.image > last_pair, 'older than one that was published'
                last_pair = pair.image
        elif action in ('valid', 'invalid') and in_work == 1:
            in_work = 0
            matcher.finish(valid=action == 'valid')
        counts = matcher.counts()
        assert balanced(counts)
        assert min(vars(counts).values()) >= 0


def test_what_waits_at_the_end_is_in_the_books(matcher):
    matcher.add_image(1, 'image')
    matcher.add_detections(1, 'boxes')
    matcher.add_image(2, 'image')
    matcher.add_image(3, 'image')
    matcher.close()
    counts = matcher.counts()
    assert (counts.dropped_busy, counts.dropped_unmatched, counts.pending) == (1, 2, 0)
    assert balanced(counts)
    assert matcher.take(0) is None
