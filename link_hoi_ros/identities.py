"""Who is who from image to image: by the detector's track ids, else by the overlap of boxes."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from link_hoi_core.geometry import box_iou
from link_hoi_core.structures import Detections


@dataclass
class Thing:
    """A person or a thing that was seen.

    Attributes:
        id: what it is called for as long as it is known.
        label: index of its class.
        box: (4,) where it was seen last, xyxy in pixels.
        track_id: the detector's last one for it; '' where it was never tracked.
        seen: stamp of the last image that showed it, in nanoseconds.
    """

    id: str
    label: int
    box: np.ndarray
    track_id: str
    seen: int


class Identities:
    """Gives each detection an id that stays the same while the person or thing is followed.

    The id is the detector's track id, or a name such as 'bicycle#2' where there is none, or where
    something else is called so. A box without a track id, or with a new one, continues the thing
    of its class that it overlaps most, unless that thing's own track is in the image: trackers
    lose their ids and give new ones over the same box.
    """

    def __init__(self) -> None:
        self._things: list[Thing] = []
        self._numbers = itertools.count(1)  # never begun anew: a number is one thing only

    def follow(
        self,
        stamp: int,
        detections: Detections,
        rows: Sequence[int],
        objects: Sequence[str],
        overlap: float,
    ) -> dict[int, str]:
        """Ids of the detections at `rows` of an image.

        Args:
            stamp: of the image, in nanoseconds.
            rows: those that are followed.
            objects: names of the classes, by label.
            overlap: least IoU of two boxes of one class that are the same thing.

        Returns:
            the id by row; no two rows have the same.
        """
        tracks = _tracks(detections)
        found = self._by_track(detections, rows, tracks)
        found |= self._by_overlap(
            detections, [row for row in rows if row not in found], tracks, overlap
        )
        for row in rows:
            label, box = int(detections.labels[row]), detections.boxes[row]
            if row in found:
                thing = found[row]
                thing.box, thing.seen = box, stamp
                thing.track_id = tracks[row] or thing.track_id
            else:
                name = self._new_id(tracks[row], objects[label])
                found[row] = Thing(name, label, box, tracks[row], stamp)
                self._things.append(found[row])
        return {row: thing.id for row, thing in found.items()}

    def forget(self, before: int) -> None:
        """Forget what was last seen before this stamp."""
        self._things = [thing for thing in self._things if thing.seen >= before]

    def forget_all(self) -> None:
        """Forget everything; numbers are not given again all the same."""
        self._things = []

    def _by_track(
        self, detections: Detections, rows: Sequence[int], tracks: Sequence[str]
    ) -> dict[int, Thing]:
        """Things whose track goes on; some trackers count each class from 1."""
        known = {(thing.label, thing.track_id): thing for thing in self._things if thing.track_id}
        found = {}
        for row in rows:
            thing = known.pop((int(detections.labels[row]), tracks[row]), None)
            if thing is not None:
                found[row] = thing
        return found

    def _by_overlap(
        self,
        detections: Detections,
        rows: Sequence[int],
        tracks: Sequence[str],
        overlap: float,
    ) -> dict[int, Thing]:
        """Things that boxes continue whose track is another, one to one, the best overlap first."""
        present = set(zip(detections.labels.tolist(), tracks))
        gone = [t for t in self._things if not t.track_id or (t.label, t.track_id) not in present]
        if not rows or not gone:
            return {}
        iou = box_iou(detections.boxes[rows], np.stack([thing.box for thing in gone]))
        same_class = detections.labels[rows][:, None] == [thing.label for thing in gone]
        candidates = np.argwhere((iou >= overlap) & same_class)
        found: dict[int, Thing] = {}
        free = set(range(len(gone)))
        for i, j in candidates[np.argsort(-iou[tuple(candidates.T)], kind='stable')].tolist():
            if rows[i] not in found and j in free:
                found[rows[i]] = gone[j]
                free.remove(j)
        return found

    def _new_id(self, track_id: str, name: str) -> str:
        """The track id, or a numbered name where there is none or something known is called so."""
        called = {thing.id for thing in self._things} | {''}
        numbered = (f'{name}#{number}' for number in self._numbers)
        return next(new for new in itertools.chain([track_id], numbered) if new not in called)


def _tracks(detections: Detections) -> list[str]:
    """Track id of each detection; of those that share one within a class only the first has it."""
    given = set()
    tracks = []
    for key in zip(detections.labels.tolist(), detections.track_ids or [''] * len(detections)):
        tracks.append('' if key in given else key[1])
        given.add(key)
    return tracks
