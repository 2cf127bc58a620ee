"""What parameters say of the inputs holds in the running node."""

from __future__ import annotations

import pytest

MS = 1_000_000


@pytest.mark.parametrize('policy', ['tolerance', 'approximate'])
def test_stamps_within_the_tolerance_are_matched_and_numbers_named(make_bench, policy):
    """A detector that stamps a little late, and has classes of its own."""
    if policy == 'approximate':
        pytest.importorskip('message_filters', reason='needs message_filters')
    bench = make_bench(
        **{
            'matching.policy': policy,
            'matching.tolerance': 0.01,
            'detections.classes': ['mug', 'people'],
            'qos.image': 'reliable',
            'qos.detections': 'reliable',
        }
    )
    bench.wait_active()
    stamp = bench.image()
    bench.detections(stamp + 9 * MS, [['1', 0.9, 10.0, 10.0, 200.0, 400.0, '']])
    found = bench.triplets(stamp)['detections']
    assert [name for name, *_ in found] == ['person']
    before = bench.stats(lambda event: event['stamp'] == stamp)['dropped_unmatched']
    bench.detections(bench.image() + 11 * MS, [])
    stamp = bench.image()
    bench.detections(stamp, [])
    after = bench.stats(lambda event: event['stamp'] == stamp)
    assert after['dropped_unmatched'] == before + 1
