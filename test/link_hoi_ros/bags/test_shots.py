"""Every image once with its detections, whenever they were recorded."""

from __future__ import annotations

import random

import pytest
from bag_files import PERIOD, START, header, image, key, street, write_bag
from hypothesis import given
from hypothesis import strategies as st

from link_hoi_core.evaluation.remarks import Remarks
from link_hoi_ros.bags.cameras import find_cameras
from link_hoi_ros.bags.reading import Bag
from link_hoi_ros.bags.shots import Shot, pair_stamps, shots

MS = 1_000_000


def read(path, messages, tolerance=0, every=1) -> tuple[list[Shot], list[str]]:
    remarks = Remarks()
    with Bag(write_bag(path / 'bag', messages)) as bag:
        (camera,) = find_cameras(bag)
        return list(shots(bag, camera, tolerance, remarks, every)), remarks.sentences()


def paired(found: list[Shot]) -> list[bool]:
    return [shot.detections is not None for shot in found]


def test_equal_stamps_belong_together_and_frames_are_named_by_them(tmp_path):
    found, remarks = read(tmp_path, street(3))
    assert [shot.key for shot in found] == [key(number) for number in range(3)]
    assert all(shot.detections.header == shot.image.header for shot in found)
    assert [shot.time for shot in found] == [START + n * PERIOD + MS for n in range(3)]
    assert not remarks


def test_late_or_early_or_out_of_order_detections_change_nothing(tmp_path):
    messages = street(6)
    chance = random.Random(1)
    shuffled = [
        (topic, time + chance.randrange(10**10) * ('image' not in topic), message)
        for topic, time, message in messages
    ]
    assert read(tmp_path, messages) == read(tmp_path / 'x', shuffled)


def test_within_the_tolerance_the_nearest_belong_together(tmp_path):
    messages = street(3, shift=4 * MS)
    assert paired(read(tmp_path, messages)[0]) == [False] * 3
    assert paired(read(tmp_path / 'x', messages, tolerance=3 * MS)[0]) == [False] * 3
    assert paired(read(tmp_path / 'y', messages, tolerance=4 * MS)[0]) == [True] * 3


def test_images_without_a_stamp_or_with_a_stamp_seen_before_are_left_out_and_told(tmp_path):
    again = ('/camera/image_raw', START + 10 * PERIOD, image(START))
    unstamped = ('/camera/image_raw', START + 11 * PERIOD, image(0))
    found, remarks = read(tmp_path, [*street(2), again, unstamped])
    assert [shot.key for shot in found] == [key(0), key(1)]
    assert any('whose stamp came before, left out: 1' in sentence for sentence in remarks)
    assert any('without a stamp, left out: 1' in sentence for sentence in remarks)


def test_only_the_first_of_so_many_is_taken(tmp_path):
    found, _ = read(tmp_path, street(7), every=3)
    assert [shot.key for shot in found] == [key(0), key(3), key(6)]
    assert header(START) == found[0].image.header


@pytest.mark.parametrize(
    ('images', 'detections', 'expected'),
    [
        ([10], [10], {10: 10}),
        ([10, 20], [12], {10: 12}),
        ([10, 13], [12], {13: 12}),
        ([10, 12], [12], {12: 12}),
        ([10, 12], [11, 12], {12: 12, 10: 11}),
        ([10], [8, 12], {10: 8}),
        ([10], [14], {}),
    ],
)
def test_what_belongs_together(images, detections, expected):
    assert pair_stamps(images, detections, 3) == expected


STAMPS = st.lists(st.integers(1, 60), unique=True, max_size=25).map(sorted)


@given(images=STAMPS, detections=STAMPS, tolerance=st.integers(0, 9))
def test_pairs_fit_are_unique_and_none_that_is_possible_is_missing(images, detections, tolerance):
    pairs = pair_stamps(images, detections, tolerance)
    assert set(pairs) <= set(images)
    assert set(pairs.values()) <= set(detections)
    assert len(set(pairs.values())) == len(pairs)
    assert all(abs(image - other) <= tolerance for image, other in pairs.items())
    for stamp in set(images) & set(detections):
        assert pairs[stamp] == stamp
    free_images = set(images) - set(pairs)
    free = set(detections) - set(pairs.values())
    assert not any(abs(image - other) <= tolerance for image in free_images for other in free)
