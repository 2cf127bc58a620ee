"""The figures of a bag are made of little, however long it is."""

from __future__ import annotations

from bag_files import annotate, key, street, write_bag

from link_hoi_core.evaluation.remarks import Remarks
from link_hoi_ros.bags.cameras import find_cameras
from link_hoi_ros.bags.evaluating import evaluate_offline
from link_hoi_ros.bags.reading import Bag
from link_hoi_ros.bags.scoring import Labels


def test_of_every_frame_no_more_is_kept_than_is_published(tmp_path):
    labels = Labels(annotate(tmp_path / 'labels.json', [key(0)]))
    with Bag(write_bag(tmp_path / 'bag', street(3))) as bag:
        found = evaluate_offline(bag, find_cameras(bag), {'max_triplets': 1}, labels, Remarks())
    assert list(found.published) == [key(number) for number in range(3)]
    for triplets in found.published.values():
        assert len(triplets.score) == 1
        assert triplets.score.base is None  # else it is a view of all scores
