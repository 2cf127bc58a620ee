"""Who is who: tracks, overlap, and the ids that stay."""

from __future__ import annotations

import numpy as np

from link_hoi_core.structures import Detections
from link_hoi_ros.identities import Identities

OBJECTS = ('person', 'bicycle')
PERSON, BICYCLE = range(2)
LEFT, RIGHT = (100, 100, 200, 300), (400, 100, 500, 300)

Row = tuple[int, tuple[float, ...], str]  # label, box, track id


class Scene:
    """Images a tenth of a second apart; a box moves by what a test says."""

    def __init__(self) -> None:
        self.identities = Identities()
        self.stamp = 0

    def ids(self, *rows: Row, overlap: float = 0.3) -> list[str]:
        self.stamp += 100_000_000
        labels, boxes, tracks = zip(*rows)
        found = Detections(np.array(boxes), np.full(len(rows), 0.9), labels, (480, 640), tracks)
        things = self.identities.follow(self.stamp, found, range(len(rows)), overlap)
        return [self.identities.name(things[i], OBJECTS[row[0]]) for i, row in enumerate(rows)]


def shifted(box: tuple[float, ...], by: float) -> tuple[float, ...]:
    x1, y1, x2, y2 = box
    return x1 + by, y1, x2 + by, y2


def test_a_track_id_is_the_id_wherever_the_box_goes():
    scene = Scene()
    assert scene.ids((PERSON, LEFT, '7'), (PERSON, RIGHT, '8')) == ['7', '8']
    assert scene.ids((PERSON, LEFT, '8'), (PERSON, RIGHT, '7')) == ['8', '7']


def test_without_tracks_ids_follow_the_overlap_of_boxes_of_one_class():
    scene = Scene()
    first = scene.ids((PERSON, LEFT, ''), (PERSON, RIGHT, ''), (BICYCLE, LEFT, ''))
    assert first == ['person#1', 'person#2', 'bicycle#3']
    for step in range(1, 20):  # the order in the message says nothing
        moved = shifted(LEFT, 15 * step)
        ids = scene.ids((BICYCLE, moved, ''), (PERSON, RIGHT, ''), (PERSON, moved, ''))
        assert ids == ['bicycle#3', 'person#2', 'person#1'], step


def test_the_best_overlap_wins_and_each_is_given_once():
    scene = Scene()
    scene.ids((PERSON, LEFT, ''), (PERSON, shifted(LEFT, 40), ''))
    ids = scene.ids((PERSON, shifted(LEFT, 38), ''), (PERSON, shifted(LEFT, 30), ''))
    assert ids == ['person#2', 'person#1']


def test_boxes_that_overlap_too_little_are_other_things():
    scene = Scene()
    scene.ids((PERSON, LEFT, ''))
    assert scene.ids((PERSON, shifted(LEFT, 60), ''), overlap=0.3) == ['person#2']  # IoU 0.25
    assert scene.ids((PERSON, LEFT, ''), overlap=0.2) == ['person#1']


def test_a_track_that_changes_over_the_same_box_keeps_the_id():
    scene = Scene()
    scene.ids((PERSON, LEFT, '7'))
    for step, track in enumerate(('8', '', '8', '', '', '9', '7'), start=1):
        assert scene.ids((PERSON, shifted(LEFT, 5 * step), track)) == ['7'], track


def test_a_track_that_comes_back_is_found_though_the_box_was_untracked_meanwhile():
    scene = Scene()
    scene.ids((PERSON, LEFT, '7'))
    scene.ids((PERSON, shifted(LEFT, 10), ''))
    assert scene.ids((PERSON, RIGHT, '7')) == ['7']


def test_who_is_in_the_image_under_his_own_track_is_not_taken_for_the_newcomer():
    scene = Scene()
    scene.ids((PERSON, LEFT, '7'))
    assert scene.ids((PERSON, LEFT, '8'), (PERSON, shifted(LEFT, 90), '7')) == ['8', '7']


def test_ids_are_given_once_even_where_the_message_repeats_a_track():
    scene = Scene()
    ids = scene.ids((PERSON, LEFT, '7'), (PERSON, RIGHT, '7'), (BICYCLE, LEFT, '7'))
    assert ids == ['7', 'person#1', 'bicycle#2']
    assert scene.ids((PERSON, LEFT, '7'), (PERSON, RIGHT, '7'), (BICYCLE, LEFT, '7')) == ids


def test_trackers_that_count_each_class_from_one_confuse_nobody():
    scene = Scene()
    person, bicycle = scene.ids((PERSON, LEFT, '1'), (BICYCLE, RIGHT, '1'))
    assert person != bicycle
    assert scene.ids((BICYCLE, LEFT, '1'), (PERSON, RIGHT, '1')) == [bicycle, person]


def test_the_forgotten_come_back_as_others_and_numbers_are_not_given_again():
    scene = Scene()
    assert scene.ids((PERSON, LEFT, '')) == ['person#1']
    scene.identities.forget(before=scene.stamp)
    assert scene.ids((PERSON, LEFT, '')) == ['person#1']
    scene.identities.forget(before=scene.stamp + 1)
    assert scene.ids((PERSON, LEFT, '')) == ['person#2']
    scene.identities.forget_all()
    assert scene.ids((PERSON, LEFT, '')) == ['person#3']


def test_only_the_rows_asked_for_are_followed():
    found = Detections(np.array([LEFT, RIGHT]), [0.9, 0.9], [PERSON, PERSON], (480, 640))
    identities = Identities()
    first = identities.follow(1, found, [1], 0.3)
    assert list(first) == [1]
    assert identities.follow(2, found, [], 0.3) == {}
    both = identities.follow(3, found, [0, 1], 0.3)
    assert both[1] is first[1] and both[0] is not first[1]


def test_an_id_is_given_when_it_is_asked_for():
    scene = Scene()
    found = Detections(np.array([LEFT, RIGHT]), [0.9, 0.9], [PERSON] * 2, (480, 640), ('', '7'))
    for _ in range(3):
        things = scene.identities.follow(1, found, [0, 1], 0.3)
    assert scene.identities.name(things[0], 'person') == 'person#1'
    things[1].track_id = '8'  # the tracker's last word
    assert scene.identities.name(things[1], 'person') == '8'
    things[1].track_id = '9'
    assert scene.identities.name(things[1], 'person') == '8'
