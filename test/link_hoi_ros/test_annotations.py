"""What is drawn over the camera's image in a viewer: every box at its own place, once each."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from link_hoi_core.drawing import HUMAN, LINE, OBJECT, TOP
from link_hoi_core.structures import Detections, Interactions
from link_hoi_core.vocabulary import load_vocabulary

pytest.importorskip('visualization_msgs.msg', reason='needs ROS 2')

from rclpy.serialization import deserialize_message, serialize_message
from std_msgs.msg import Header
from visualization_msgs.msg import ImageMarker

from link_hoi_ros.annotations import image_annotations, image_markers
from link_hoi_ros.frame import Frame

VOCABULARY = load_vocabulary('hico-det')
PERSON, BICYCLE = (VOCABULARY.object_index(name) for name in ('person', 'bicycle'))
RIDE, HOLD = (VOCABULARY.verb_index(name) for name in ('ride', 'hold'))
BOXES = [[20.5, 40, 220, 380], [300, 200, 560, 390], [420, 0, 580, 160], [0, 0, 9, 9]]


def frame(*triplets: tuple[int, int, int, float], size: tuple[int, int] = (400, 600)) -> Frame:
    """A person, two bicycles, and a bystander who takes part in nothing."""
    header = Header(frame_id='camera')
    header.stamp.sec, header.stamp.nanosec = 7, 9
    labels = [PERSON, BICYCLE, BICYCLE, PERSON]
    found = Detections(BOXES, np.full(4, 0.9), labels, size)
    interactions = Interactions.empty()
    if triplets:
        human, thing, verb, score = (np.array(column) for column in zip(*triplets))
        interactions = Interactions(human, thing, verb, score, score)
    pixels = np.zeros((*size, 3), np.uint8)
    return Frame(header, pixels, found, interactions, interactions, VOCABULARY, 'boxes')


SCENE = ((0, 1, RIDE, 0.81), (0, 2, HOLD, 0.6), (0, 1, HOLD, 0.4))


def corners(box: list[float]) -> list[tuple[float, float]]:
    x1, y1, x2, y2 = box
    return [(x1, y1), (x2, y1), (x2, y2), (x1, y2)]


def rgb(colour: object) -> tuple[int, int, int]:
    assert colour.a > 0
    return tuple(round(255 * value) for value in (colour.r, colour.g, colour.b))


def test_markers_have_each_box_at_its_own_place_and_size_and_a_line_a_pair():
    marker = image_markers(frame(*SCENE))
    points = [(point.x, point.y) for point in marker.points]
    segments = list(zip(points[::2], points[1::2]))
    assert marker.type == ImageMarker.LINE_LIST and marker.action == ImageMarker.ADD
    assert len(marker.outline_colors) == len(segments) == 3 * 4 + 2
    drawn = dict(zip(segments, map(rgb, marker.outline_colors)))
    for box, colour in zip(BOXES[:3], (HUMAN, OBJECT, OBJECT)):
        around = corners(box)
        for side in zip(around, around[1:] + around[:1]):
            assert drawn[side] == colour
    assert drawn[(120.25, 210), (430, 295)] == LINE
    assert drawn[(120.25, 210), (500, 80)] == LINE


def test_markers_carry_the_stamp_and_frame_of_the_image_and_empty_ones_erase():
    marker = image_markers(frame())
    assert (marker.header.stamp.sec, marker.header.stamp.nanosec) == (7, 9)
    assert marker.header.frame_id == 'camera'
    assert len(marker.points) == 0 and marker.ns == 'hoi'
    assert (marker.ns, marker.id) == (image_markers(frame(*SCENE)).ns, marker.id)


def test_lines_grow_with_the_image():
    small, large = image_markers(frame(*SCENE)), image_markers(frame(*SCENE, size=(2160, 3840)))
    assert large.scale > 4 * small.scale > 0


def test_without_foxglove_msgs_it_is_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, 'foxglove_msgs', None)
    monkeypatch.setitem(sys.modules, 'foxglove_msgs.msg', None)
    with pytest.raises(ImportError, match='annotations needs foxglove_msgs.msg .*apt install'):
        image_annotations(frame(*SCENE))


class TestFoxglove:
    """With the real foxglove_msgs."""

    @pytest.fixture(autouse=True)
    def _messages(self) -> None:
        self.msg = pytest.importorskip('foxglove_msgs.msg')

    def test_each_box_is_a_closed_line_of_its_own_in_the_colour_of_its_role(self):
        message = image_annotations(frame(*SCENE))
        loops = [p for p in message.points if p.type == self.msg.PointsAnnotation.LINE_LOOP]
        drawn = {tuple((p.x, p.y) for p in loop.points): rgb(loop.outline_color) for loop in loops}
        assert drawn == {
            tuple(corners(box)): colour for box, colour in zip(BOXES, (HUMAN, OBJECT, OBJECT))
        }
        assert all(loop.thickness > 1 for loop in loops)

    def test_each_pair_has_one_line_between_its_centres(self):
        (lines,) = (
            p
            for p in image_annotations(frame(*SCENE)).points
            if p.type == self.msg.PointsAnnotation.LINE_LIST
        )
        ends = [(p.x, p.y) for p in lines.points]
        assert ends == [(120.25, 210), (430, 295), (120.25, 210), (500, 80)]

    def test_names_stand_at_their_boxes_inside_the_image_and_verbs_at_their_lines(self):
        texts = image_annotations(frame(*SCENE)).texts
        names, verbs = texts[:3], texts[3:]
        assert [text.text for text in names] == ['bicycle', 'bicycle', 'person']
        assert [(text.position.x, text.position.y) for text in names[::2]] == [
            (300, 200),
            (20.5, 40),
        ]
        assert names[1].position.y > names[1].font_size  # its box reaches the upper edge
        assert [text.text for text in verbs] == ['ride 0.81', 'hold 0.40', 'hold 0.60']
        first, second, _ = (text.position for text in verbs)
        assert first.x == second.x and second.y - first.y >= verbs[0].font_size

    def test_everything_has_the_stamp_also_where_nothing_happens(self):
        """A viewer that shows images with their annotations would wait for ever otherwise."""
        for message in (image_annotations(frame(*SCENE)), image_annotations(frame())):
            parts = [*message.points, *message.texts]
            assert parts
            assert {(part.timestamp.sec, part.timestamp.nanosec) for part in parts} == {(7, 9)}

    def test_no_more_than_the_overlay_shows(self):
        many = [(0, 1, verb, 0.9 - verb / 1000) for verb in range(50)]
        texts = image_annotations(frame(*many)).texts
        assert len(texts) == 2 + TOP

    def test_it_comes_through_serialisation(self):
        message = image_annotations(frame(*SCENE))
        data = serialize_message(message)
        assert deserialize_message(data, self.msg.ImageAnnotations) == message
