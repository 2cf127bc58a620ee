"""Who is who from image to image: by the detector's track ids, else by the overlap of boxes."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from link_hoi_core.geometry import box_iou
from link_hoi_core.structures import Detections


@dataclass(eq=False)
class Thing:
    """A person or a thing that was seen; equal to itself only.

    Attributes:
        label: index of its class.
        box: (4,) where it was seen last, xyxy in pixels.
        track_id: the detector's last one for it; '' where it was never tracked.
        seen: stamp of the last image that showed it, in nanoseconds.
        id: what it is called for as long as it is known; '' until that is asked for.
    """

    label: int
    box: np.ndarray
    track_id: str
    seen: int
    id: str = ''


class Identities:
    """Follows people and things, and gives them ids that stay.

    A box whose track id is known is the thing of that track. One without a track id, or with a new
    one, continues the thing of its class that it overlaps most, unless that thing's own track is
    in the image: trackers lose their ids and give new ones over the same box.
    """

    def __init__(self) -> None:
        self._things: list[Thing] = []
        self._numbers = itertools.count(1)  # never begun anew: a number is one thing only

    def follow(
        self,
        stamp: int,
        detections: Detections,
        rows: Sequence[int],
        overlap: float,
    ) -> dict[int, Thing]:
        """What the detections at `rows` of an image show; no two show the same.

        Args:
            stamp: of the image, in nanoseconds.
            overlap: least IoU of two boxes of one class that are the same thing.
        """
        tracks = _tracks(detections)
        found = self._by_track(detections, rows, tracks)
        found |= self._by_overlap(
            detections, [row for row in rows if row not in found], tracks, overlap
        )
        for row in rows:
            box = detections.boxes[row]
            if row in found:
                thing = found[row]
                thing.box, thing.seen = box, stamp
                thing.track_id = tracks[row] or thing.track_id
            else:
                found[row] = Thing(int(detections.labels[row]), box, tracks[row], stamp)
                self._things.append(found[row])
        return found

    def name(self, thing: Thing, class_name: str) -> str:
        """The id of what is followed, no one else's.

        Its track id when it is first asked for; or 'bicycle#2' and so on where it has none, or
        where something else is called so.
        """
        if not thing.id:
            called = {other.id for other in self._things}
            numbered = (f'{class_name}#{number}' for number in self._numbers)
            candidates = itertools.chain([thing.track_id], numbered)
            thing.id = next(new for new in candidates if new and new not in called)
        return thing.id

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


def _tracks(detections: Detections) -> list[str]:
    """Track id of each detection; of those that share one within a class only the first has it."""
    given = set()
    tracks = []
    for key in zip(detections.labels.tolist(), detections.track_ids or [''] * len(detections)):
        tracks.append('' if key in given else key[1])
        given.add(key)
    return tracks
