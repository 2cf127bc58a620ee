"""Every frame of a bag through the model, none late and none dropped: what the node could say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from link_hoi_core.evaluation.remarks import Remarks
from link_hoi_core.progress import track
from link_hoi_ros import parameters
from link_hoi_ros.bags.cameras import Camera
from link_hoi_ros.bags.reading import Bag, deserialised
from link_hoi_ros.bags.shots import Shot, label_info, shots
from link_hoi_ros.frame import Frame
from link_hoi_ros.matching import NANOSECONDS
from link_hoi_ros.pipeline import Pipeline


@dataclass(frozen=True)
class Answer:
    """What became of an image.

    Attributes:
        frame: with its triplets; None where there are none.
        counter: of `HoiFrameStats`, that says why.
    """

    shot: Shot
    frame: Frame | None
    counter: str


def parameters_of(camera: Camera, given: Mapping[str, Any]) -> dict[str, Any]:
    """What the node's parameters are for a camera of a bag, which decides its types.

    Raises:
        ValueError: parameters contradict each other.
    """
    values = parameters.defaults(**{**given, **types_of(camera)})
    parameters.check(values.__getitem__)
    return values


def types_of(camera: Camera) -> dict[str, str]:
    """The parameters that a camera's topics decide."""
    return {'detections_type': camera.kind, 'image_transport': camera.transport}


def load_pipelines(
    cameras: Sequence[Camera], given: Mapping[str, Any], remarks: Remarks
) -> dict[str, Pipeline]:
    """What the node does with each camera, by its name; the model is loaded once a type.

    Raises:
        ValueError, OSError, ImportError: as of `Pipeline.load`.
    """

    def warn(sentence: str) -> None:
        remarks.note('detections that were left out', sentence)

    of_kind: dict[str, Pipeline] = {}
    for camera in cameras:
        if camera.kind not in of_kind:
            value = parameters_of(camera, given).__getitem__
            of_kind[camera.kind] = Pipeline.load(value, warn)
    return {camera.name: of_kind[camera.kind] for camera in cameras}


def process(
    bag: Bag,
    camera: Camera,
    pipeline: Pipeline,
    tolerance: int,
    remarks: Remarks,
    every: int = 1,
) -> Iterator[Answer]:
    """What becomes of every image of a camera, in the order of the bag.

    Args:
        tolerance: of stamps, in nanoseconds.
        remarks: are told what was left out.
        every: only the first image of so many.

    Raises:
        ValueError: the bag is broken.
    """
    names = label_info(bag, camera)
    if names is not None and pipeline.reader.label_info_type is not None:
        pipeline.reader.set_label_info(deserialised(names, bag.check_type(names.topic)))
    found = shots(bag, camera, tolerance, remarks, every)
    for shot in track(found, f'reading {camera.image}', -(-bag.count(camera.image) // every)):
        if shot.detections is None and camera.detections is not None:
            remarks.note('images without detections, which so gave nothing', shot.key)
            yield Answer(shot, None, 'dropped_unmatched')
            continue
        frame = None
        try:
            frame = pipeline.process(shot.image, shot.detections)
        except ValueError as error:
            remarks.note(
                'frames that cannot be read, which so gave nothing', f'{shot.key}: {error}'
            )
        yield Answer(shot, frame, 'processed' if frame else 'dropped_invalid')


def tolerance_of(values: Mapping[str, Any]) -> int:
    """Of stamps, in nanoseconds, as the node's parameters say it."""
    if values['matching.policy'] == 'exact':
        return 0
    return round(values['matching.tolerance'] * NANOSECONDS)
