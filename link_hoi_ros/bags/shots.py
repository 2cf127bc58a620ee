"""The images of a bag with the detections that belong to them, whenever they were recorded."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from link_hoi_core.evaluation.remarks import Remarks
from link_hoi_ros.bags.cameras import Camera
from link_hoi_ros.bags.reading import Bag, Recorded, deserialised, stamp_of


@dataclass(frozen=True)
class Shot:
    """An image message, and the detections message that belongs to it, if there is one.

    Attributes:
        key: the frame's name in files.
        time: when the image was recorded, in nanoseconds.
    """

    key: str
    time: int
    image: Any
    detections: Any | None


class SerialisedPair(NamedTuple):
    """An image and its detections, if there are any."""

    image: Recorded
    detections: Recorded | None


def shots(
    bag: Bag, camera: Camera, tolerance: int, remarks: Remarks, every: int = 1
) -> Iterator[Shot]:
    """Every image of a camera in the order of the bag, each stamp once.

    What belongs together depends on the stamps alone (`pair_stamps`) and not on when the messages
    were recorded: nothing is late here, and the same bag gives the same result each time. Hence
    the node's matcher, which lives by arrival, is not used.

    Args:
        tolerance: of stamps, in nanoseconds.
        remarks: are told what was left out.
        every: only the first image of so many.

    Raises:
        ValueError: the bag is broken, or holds other definitions of its types.
        ImportError: a type's package is not installed.
    """
    types = {role: bag.check_type(topic) for role, topic in camera.topics.items()}
    for number, pair in enumerate(serialised_pairs(bag, camera, tolerance, remarks)):
        if number % every:
            continue
        yield Shot(
            camera.key(stamp_of(pair.image)),
            pair.image.time,
            deserialised(pair.image, types['image']),
            pair.detections and deserialised(pair.detections, types['detections']),
        )


def serialised_pairs(
    bag: Bag, camera: Camera, tolerance: int, remarks: Remarks
) -> Iterator[SerialisedPair]:
    """`shots` as the bag has them, without looking into the messages farther than their stamps."""
    detections: dict[int, Recorded] = {}
    for recorded in bag.messages([camera.detections] if camera.detections else []):
        detections.setdefault(stamp_of(recorded), recorded)
    images = {stamp_of(recorded) for recorded in bag.messages([camera.image])}
    partners = pair_stamps(sorted(images), sorted(detections), tolerance)
    seen: set[int] = set()
    for recorded in bag.messages([camera.image]):
        stamp = stamp_of(recorded)
        if stamp <= 0 or stamp in seen:
            cause = 'whose stamp came before' if stamp in seen else 'without a stamp'
            remarks.note(f'images of {camera.image} {cause}, left out', f'{recorded.time} ns')
            continue
        seen.add(stamp)
        yield SerialisedPair(recorded, detections.get(partners.get(stamp)))


def label_info(bag: Bag, camera: Camera) -> Recorded | None:
    """The last names of classes that were recorded for a camera's detections, if there are any."""
    found = None
    for found in bag.messages([camera.label_info] if camera.label_info else []):
        pass
    return found


def pair_stamps(images: Sequence[int], detections: Sequence[int], tolerance: int) -> dict[int, int]:
    """The detections' stamp for each image's that has one; nanoseconds, both rising.

    Equal stamps belong together; of the others the closest first, within the tolerance, each once.
    """
    pairs = {stamp: stamp for stamp in set(images).intersection(detections)}
    rest = [stamp for stamp in detections if stamp not in pairs]
    gaps = []
    for stamp in images:
        if stamp not in pairs:
            near = slice(
                bisect_left(rest, stamp - tolerance), bisect_right(rest, stamp + tolerance)
            )
            gaps += [(abs(stamp - other), stamp, other) for other in rest[near]]
    taken = set()
    for _, stamp, other in sorted(gaps):
        if stamp not in pairs and other not in taken:
            pairs[stamp] = other
            taken.add(other)
    return pairs
