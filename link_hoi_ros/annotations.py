"""What the overlay shows, as messages that a viewer draws over the camera's own image.

Foxglove and Lichtblick draw both kinds in their image panels. ImageAnnotations has boxes, lines and
texts, and needs the package foxglove_msgs. visualization_msgs/ImageMarker comes with every ROS, and
has no texts. A MarkerArray is for 3-D: on RViz's camera image it would need the camera's intrinsics
and depths, which detections do not have. RViz and rqt draw none of them; they show the overlay.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from geometry_msgs.msg import Point
from std_msgs.msg import ColorRGBA
from visualization_msgs.msg import ImageMarker

from link_hoi_core.drawing import (
    LINE,
    PANEL,
    PANEL_OPACITY,
    TEXT,
    Colour,
    Link,
    Participant,
    choose_shown,
    line_scale,
)
from link_hoi_core.optional import require
from link_hoi_ros.frame import Frame

if TYPE_CHECKING:
    from types import ModuleType

    from foxglove_msgs.msg import ImageAnnotations, PointsAnnotation, TextAnnotation

# At line_scale 1, in pixels of the image.
THICKNESS = 2.0
FONT_SIZE = 16.0
ROW_HEIGHT = 1.5  # of a text with its background, in font sizes


def image_annotations(frame: Frame) -> ImageAnnotations:
    """Boxes as closed lines, pairs as lines, names and verbs as texts, for Foxglove.

    Everything has the image's stamp, and there is something also where there is no interaction:
    a viewer that shows images with the annotations of their stamp would wait for it.

    Raises:
        ImportError: foxglove_msgs is not installed.
    """
    install = 'apt install ros-$ROS_DISTRO-foxglove-msgs'
    messages = require('foxglove_msgs.msg', install, 'the topic annotations')
    draw = _Foxglove(messages, frame)
    participants, links = _shown(frame)
    message = messages.ImageAnnotations(
        points=[draw.box(participant) for participant in participants] + [draw.lines(links)],
        texts=[draw.name(participant) for participant in participants]
        + [text for link in links for text in draw.verbs(link)],
    )
    if hasattr(message, 'timestamp'):  # of the whole message; newer releases have it
        message.timestamp = frame.header.stamp
    return message


def image_markers(frame: Frame) -> ImageMarker:
    """Boxes and the lines of pairs as the segments of one marker, each in its colour."""
    participants, links = _shown(frame)
    segments = [
        (start, end, participant.colour)
        for participant in participants
        for start, end in _sides(participant.box)
    ] + [(_centre(link.human), _centre(link.object), LINE) for link in links]
    return ImageMarker(
        header=frame.header,
        ns='hoi',
        type=ImageMarker.LINE_LIST,
        action=ImageMarker.ADD,
        scale=THICKNESS * line_scale(frame.detections.image_size),
        outline_color=_rgba(LINE),
        points=[Point(x=x, y=y) for start, end, _ in segments for x, y in (start, end)],
        outline_colors=[_rgba(colour) for _, _, colour in segments],
    )


class _Foxglove:
    """Parts of an ImageAnnotations message, for one image."""

    def __init__(self, messages: ModuleType, frame: Frame) -> None:
        self._messages, self._stamp = messages, frame.header.stamp
        scale = line_scale(frame.detections.image_size)
        self._thickness, self._font_size = THICKNESS * scale, FONT_SIZE * scale
        self._row = ROW_HEIGHT * self._font_size

    def box(self, participant: Participant) -> PointsAnnotation:
        corners = [start for start, _ in _sides(participant.box)]
        return self._points('LINE_LOOP', corners, participant.colour)

    def lines(self, links: list[Link]) -> PointsAnnotation:
        ends = [_centre(box) for link in links for box in (link.human, link.object)]
        return self._points('LINE_LIST', ends, LINE)

    def name(self, participant: Participant) -> TextAnnotation:
        """Above the box, or at its upper edge where the image ends there."""
        x, y = participant.box[:2].tolist()
        return self._text(participant.name, max(x, 0.0), max(y, self._row), participant.colour)

    def verbs(self, link: Link) -> list[TextAnnotation]:
        """Beside the middle of the line, one below the other."""
        (x1, y1), (x2, y2) = _centre(link.human), _centre(link.object)
        x = (x1 + x2) / 2 + 2 * self._thickness
        top = (y1 + y2) / 2 - len(link.verbs) * self._row / 2
        return [
            self._text(verb, x, top + i * self._row, TEXT)
            for i, verb in enumerate(link.verbs, start=1)
        ]

    def _points(
        self, kind: str, points: list[tuple[float, float]], colour: Colour
    ) -> PointsAnnotation:
        annotation = self._messages.PointsAnnotation
        return annotation(
            timestamp=self._stamp,
            type=getattr(annotation, kind),
            points=[self._messages.Point2(x=x, y=y) for x, y in points],
            outline_color=self._colour(colour),
            thickness=self._thickness,
        )

    def _text(self, text: str, x: float, y: float, colour: Colour) -> TextAnnotation:
        """Its lower left corner stands at (x, y)."""
        return self._messages.TextAnnotation(
            timestamp=self._stamp,
            position=self._messages.Point2(x=x, y=y),
            text=text,
            font_size=self._font_size,
            text_color=self._colour(colour),
            background_color=self._colour(PANEL, PANEL_OPACITY),
        )

    def _colour(self, colour: Colour, opacity: float = 1.0) -> object:
        red, green, blue = (value / 255 for value in colour)
        return self._messages.Color(r=red, g=green, b=blue, a=opacity)


def _shown(frame: Frame) -> tuple[list[Participant], list[Link]]:
    return choose_shown(frame.detections, frame.interactions, frame.vocabulary)


def _sides(box: np.ndarray) -> list[tuple[tuple[float, float], tuple[float, float]]]:
    """The four sides of a box, clockwise from its upper left corner."""
    x1, y1, x2, y2 = box.tolist()
    corners = [(x1, y1), (x2, y1), (x2, y2), (x1, y2)]
    return list(zip(corners, corners[1:] + corners[:1]))


def _centre(box: np.ndarray) -> tuple[float, float]:
    x1, y1, x2, y2 = box.tolist()
    return (x1 + x2) / 2, (y1 + y2) / 2


def _rgba(colour: Colour) -> ColorRGBA:
    red, green, blue = (value / 255 for value in colour)
    return ColorRGBA(r=red, g=green, b=blue, a=1.0)
