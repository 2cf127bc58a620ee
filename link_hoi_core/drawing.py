"""Overlays: people and things as boxes, interactions as lines with the verbs and their scores.

What is shown is chosen here also for those who draw with other means.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from types import ModuleType

import numpy as np

from link_hoi_core.optional import require
from link_hoi_core.structures import Detections, Interactions
from link_hoi_core.vocabulary import Vocabulary

# Colours are RGB, one a role: who acts, what is acted upon, and the interaction between them.
HUMAN = (255, 170, 40)
OBJECT = (60, 205, 230)
LINE = (255, 255, 255)
TEXT = (255, 255, 255)
PANEL = (18, 20, 26)
PANEL_OPACITY = 0.72
TOP = 10  # more interactions than this are not readable

Colour = tuple[int, int, int]
Point = tuple[int, int]
Rectangle = tuple[int, int, int, int]  # x1, y1, x2, y2 in whole pixels


@dataclass(frozen=True)
class Participant:
    """A person or thing that is shown: its `box` (4,) xyxy, its name, and its role's colour."""

    box: np.ndarray
    name: str
    colour: Colour


@dataclass(frozen=True)
class Link:
    """A pair that is shown: both boxes (4,), and 'ride 0.83' and so on, the best verb first."""

    human: np.ndarray
    object: np.ndarray
    verbs: list[str]


def draw_interactions(
    image_rgb: np.ndarray,
    detections: Detections,
    interactions: Interactions,
    vocabulary: Vocabulary,
    top: int = TOP,
) -> np.ndarray:
    """Draw the `top` best interactions; detections that take part in none of them are left out.

    The verbs of one pair stand in one label on the line between human and object.

    Args:
        image_rgb: (H, W, 3) uint8; it is not changed.
        detections: those that the interactions index, in pixels of this image.
        interactions: by falling score.
        vocabulary: names the verbs and objects.

    Returns:
        (H, W, 3) uint8, a new array.

    Raises:
        ImportError: OpenCV is not installed.
        ValueError: the image is not (H, W, 3) uint8.
    """
    if image_rgb.dtype != np.uint8 or image_rgb.ndim != 3 or image_rgb.shape[2] != 3:
        raise ValueError(
            f'image has shape {image_rgb.shape} and type {image_rgb.dtype}, '
            f'expected (H, W, 3) and uint8'
        )
    canvas = _Canvas(np.array(image_rgb, order='C'))
    participants, links = choose_shown(detections, interactions, vocabulary, top)
    for participant in participants:
        canvas.rectangle(participant.box, participant.colour)
    for link in links:
        canvas.connect(link.human, link.object)
    for participant in participants:
        canvas.name(participant.box, participant.name, participant.colour)
    for link in links:
        canvas.label(link.human, link.object, link.verbs)
    return canvas.image


def choose_shown(
    detections: Detections, interactions: Interactions, vocabulary: Vocabulary, top: int = TOP
) -> tuple[list[Participant], list[Link]]:
    """Who takes part in the `top` best interactions, and the pairs, the best first.

    Args:
        as `draw_interactions`.

    Returns:
        the objects and then the humans, who have the colour of a human also where someone acts
        upon them; and one link a pair, with all its verbs.
    """
    shown = interactions.take(slice(top))
    humans = set(shown.human.tolist())
    objects = set(shown.object.tolist()) - humans
    participants = [
        Participant(detections.boxes[i], _caption(detections, i, vocabulary), colour)
        for rows, colour in ((objects, OBJECT), (humans, HUMAN))
        for i in rows
    ]
    pairs: dict[tuple[int, int], list[str]] = {}
    for human, object_, verb, score in zip(shown.human, shown.object, shown.verb, shown.score):
        text = f'{_readable(vocabulary.verbs[verb])} {score:.2f}'
        pairs.setdefault((int(human), int(object_)), []).append(text)
    links = [
        Link(detections.boxes[human], detections.boxes[object_], verbs)
        for (human, object_), verbs in pairs.items()
    ]
    return participants, links


def line_scale(image_size: tuple[int, int]) -> float:
    """How much larger lines and texts are than on an image of 540 pixels: (height, width)."""
    return float(np.clip(min(image_size) / 540, 0.7, 4.0))


def _caption(detections: Detections, i: int, vocabulary: Vocabulary) -> str:
    label = int(detections.labels[i])
    if label >= 0:
        return _readable(vocabulary.objects[label])
    return _readable(detections.names[i]) if detections.names else '?'


def _readable(name: str) -> str:
    return name.replace('_', ' ')


@dataclass
class _Canvas:
    """An image that is drawn upon, and where its labels stand already."""

    image: np.ndarray
    taken: list[Rectangle] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.cv2: ModuleType = require('cv2', 'pip install opencv-python-headless', 'drawing')
        self.scale = line_scale(self.image.shape[:2])
        self.stroke = max(1, round(2 * self.scale))
        self.padding = max(2, round(4 * self.scale))
        self.font = (self.cv2.FONT_HERSHEY_SIMPLEX, 0.58 * self.scale, max(1, round(self.scale)))

    def rectangle(self, box: np.ndarray, colour: Colour) -> None:
        """The outline of a box; x2 and y2 are exclusive."""
        x1, y1, x2, y2 = self._pixels(box)
        self.cv2.rectangle(self.image, (x1, y1), (x2, y2), colour, self.stroke)

    def connect(self, human: np.ndarray, object_: np.ndarray) -> None:
        """A line from the centre of the human to the centre of the object."""
        start, end = _centre(self._pixels(human)), _centre(self._pixels(object_))
        smooth = self.cv2.LINE_AA
        self.cv2.line(self.image, start, end, PANEL, self.stroke + 2, smooth)  # visible on white
        self.cv2.line(self.image, start, end, LINE, self.stroke, smooth)
        for centre, colour in ((start, HUMAN), (end, OBJECT)):
            self.cv2.circle(self.image, centre, 2 * self.stroke, PANEL, -1, smooth)
            self.cv2.circle(self.image, centre, 2 * self.stroke - 1, colour, -1, smooth)

    def name(self, box: np.ndarray, text: str, colour: Colour) -> None:
        """The name of a person or thing, at a corner of its box."""
        width, height = self._panel_size([text])
        x1, y1, x2, y2 = self._pixels(box)
        corners = [(x, y) for x in (x1, x2 - width) for y in (y1, y1 - height, y2 - height, y2)]
        self._panel([text], corners, colour)

    def label(self, human: np.ndarray, object_: np.ndarray, verbs: Sequence[str]) -> None:
        """The verbs of a pair, beside the middle of its line."""
        width, height = self._panel_size(verbs)
        (hx, hy), (ox, oy) = _centre(self._pixels(human)), _centre(self._pixels(object_))
        along = [(hx + t * (ox - hx), hy + t * (oy - hy)) for t in (0.5, 0.25, 0.75, 0.0, 1.0)]
        gap = 3 * self.stroke
        beside = [
            (gap, -height / 2),
            (-gap - width, -height / 2),
            (-width / 2, gap),
            (-width / 2, -gap - height),
        ]
        self._panel(verbs, [(round(x + dx), round(y + dy)) for x, y in along for dx, dy in beside])

    def _panel(
        self,
        rows: Sequence[str],
        places: Sequence[Point],
        colour: Colour | None = None,
    ) -> None:
        """Rows of text in a dark panel at the place where it hides least of the other labels."""
        height, width = self.image.shape[:2]
        panel_w, panel_h = self._panel_size(rows)
        if panel_w > width or panel_h > height:
            return  # a part of a label would say something else
        inside = [
            (min(max(x, 0), width - panel_w), min(max(y, 0), height - panel_h)) for x, y in places
        ]
        panels = [(x, y, x + panel_w, y + panel_h) for x, y in inside]
        x1, y1, x2, y2 = min(panels, key=lambda panel: sum(_overlap(panel, o) for o in self.taken))
        self.taken.append((x1, y1, x2, y2))
        region = self.image[y1:y2, x1:x2]
        region[:] = (1 - PANEL_OPACITY) * region + PANEL_OPACITY * np.array(PANEL)
        ascent, row_height = self._row_size()
        for i, text in enumerate(rows):
            baseline = (x1 + self.padding, y1 + self.padding + ascent + i * row_height)
            self._write(text, baseline, colour or TEXT)

    def _write(self, text: str, baseline: Point, colour: Colour) -> None:
        font, size, weight = self.font
        self.cv2.putText(self.image, text, baseline, font, size, colour, weight, self.cv2.LINE_AA)

    def _panel_size(self, rows: Sequence[str]) -> tuple[int, int]:
        """(width, height) of a panel with these rows of text."""
        width = max(self.cv2.getTextSize(text, *self.font)[0][0] for text in rows)
        return width + 2 * self.padding, self._row_size()[1] * len(rows) + 2 * self.padding

    def _row_size(self) -> tuple[int, int]:
        """(ascent, row height) of the font, the same for every text."""
        (_, ascent), descent = self.cv2.getTextSize('Ag', *self.font)
        return ascent, ascent + descent + self.padding // 2

    def _pixels(self, box: np.ndarray) -> Rectangle:
        """The first and the last pixels of a box, as far as it is in the image."""
        height, width = self.image.shape[:2]
        x1, y1 = np.floor(box[:2]).astype(int)
        x2, y2 = np.ceil(box[2:]).astype(int) - 1
        columns = np.clip([x1, x2], 0, width - 1)
        rows = np.clip([y1, y2], 0, height - 1)
        return int(columns[0]), int(rows[0]), int(columns[1]), int(rows[1])


def _centre(box: Rectangle) -> Point:
    return (box[0] + box[2]) // 2, (box[1] + box[3]) // 2


def _overlap(a: Rectangle, b: Rectangle) -> int:
    """Number of pixels that two rectangles share."""
    return max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))
