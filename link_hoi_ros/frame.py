"""One processed image: what went in and what came out; what everything that is published shows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from std_msgs.msg import Header

from link_hoi_core.structures import Detections, Interactions
from link_hoi_core.vocabulary import Vocabulary
from link_hoi_ros.matching import NANOSECONDS


@dataclass(frozen=True)
class Frame:
    """An image with its detections and the interactions among them.

    Attributes:
        header: the image's own, with stamp and frame_id.
        pixels: (height, width, 3) uint8 RGB; perhaps a view of the message, not to be changed.
        interactions: those that are published, by falling score; indices into `detections`.
        candidates: they and weaker ones, by which events tell a pause from an end.
        vocabulary: names the objects and the verbs.
        model: name of what predicted.
    """

    header: Header
    pixels: np.ndarray
    detections: Detections
    interactions: Interactions
    candidates: Interactions
    vocabulary: Vocabulary
    model: str

    @property
    def stamp(self) -> int:
        """In nanoseconds."""
        return nanoseconds(self.header)


def nanoseconds(header: Header) -> int:
    """A header's stamp in nanoseconds; 0 where there is none."""
    return header.stamp.sec * NANOSECONDS + header.stamp.nanosec
