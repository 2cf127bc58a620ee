"""message_filters finds the pairs, and they are those that the own matcher finds."""

from __future__ import annotations

import importlib.util

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip('rclpy', reason='needs ROS 2')

from link_hoi_ros.approximate import ApproximateMatcher
from link_hoi_ros.matching import Matcher, make_matcher


@pytest.mark.skipif(
    importlib.util.find_spec('message_filters') is not None, reason='message_filters is there'
)
def test_without_message_filters_the_policy_is_refused_with_the_remedy():
    with pytest.raises(ImportError, match="'approximate' needs message_filters.*apt install"):
        make_matcher('approximate', 1, 0)


STEP = st.tuples(st.sampled_from(['image', 'detections', 'wait', 'take']), st.integers(1, 60))


@settings(max_examples=500, deadline=None)
@given(steps=st.lists(STEP, max_size=80), tolerance=st.integers(0, 5))
def test_it_finds_the_pairs_of_policy_tolerance(steps, tolerance):
    """Whatever comes, in whatever order, repeated, late or after a jump back."""
    pytest.importorskip('message_filters', reason='needs message_filters')
    now = [0]
    matchers = [kind(25, tolerance, lambda: now[0]) for kind in (Matcher, ApproximateMatcher)]
    for action, number in steps:
        if action == 'wait':
            now[0] += number
            continue
        if action == 'take':
            own, other = (matcher.take(0) for matcher in matchers)
            assert own == other
            continue
        for matcher in matchers:
            getattr(matcher, f'add_{action}')(number, number)
    own, other = (matcher.counts() for matcher in matchers)
    assert own == other
