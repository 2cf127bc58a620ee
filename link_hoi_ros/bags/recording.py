"""What the node says of a bag, written beside it: triplets, events, counters and the vocabulary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from link_hoi_core.evaluation.remarks import Remarks
from link_hoi_msgs.msg import HoiEvent, HoiFrameStats, HoiTripletArray, HoiVocabulary
from link_hoi_ros.bags.cameras import Camera
from link_hoi_ros.bags.offline import load_pipelines, parameters_of, process, tolerance_of
from link_hoi_ros.bags.reading import Bag
from link_hoi_ros.bags.writing import Recording
from link_hoi_ros.events import Event, EventTracker, event_message
from link_hoi_ros.frame import Frame
from link_hoi_ros.matching import IMAGE_COUNTERS
from link_hoi_ros.messages import triplets_message, vocabulary_message
from link_hoi_ros.outputs import event_rules
from link_hoi_ros.pipeline import Pipeline

TOPICS = {
    'triplets': HoiTripletArray,
    'events': HoiEvent,
    'stats': HoiFrameStats,
    'vocabulary': HoiVocabulary,
}


def record(
    bag: Bag,
    cameras: Sequence[Camera],
    given: Mapping[str, Any],
    path: Path,
    storage: str,
    remarks: Remarks,
) -> Counter[str]:
    """Write a new bag, and say how many messages each of its topics has.

    A message has the recorded time of its image, so that both bags fit when they are played
    together. No frame is dropped for want of time.

    Args:
        given: parameters of the node, where they are not the default.
        path: of the new bag.
        storage: 'mcap' or 'sqlite3'.
        remarks: are told what was left out.

    Raises:
        ValueError, OSError, ImportError: the bag is broken, `path` is there, or as of
            `Pipeline.load`.
    """
    pipelines = load_pipelines(cameras, given, remarks)
    topics = {camera.output(name): kind for camera in cameras for name, kind in TOPICS.items()}
    latched = [camera.output('vocabulary') for camera in cameras]
    counts = Counter(dict.fromkeys(topics, 0))
    with Recording(path, topics, latched, storage) as recording:
        for camera in cameras:
            values = parameters_of(camera, given)
            for name, time, message in _said(bag, camera, pipelines[camera.name], values, remarks):
                recording.write(camera.output(name), time, message)
                counts[camera.output(name)] += 1
    return counts


def _said(
    bag: Bag, camera: Camera, pipeline: Pipeline, values: dict[str, Any], remarks: Remarks
) -> Iterator[tuple[str, int, Any]]:
    """What is published of a camera: topic, recorded time of the image, message."""
    predictor = pipeline.predictor
    yield (
        'vocabulary',
        bag.start,
        vocabulary_message(predictor.vocabulary, predictor.model_name, predictor.checkpoint_sha256),
    )
    tracker = EventTracker(event_rules(values.__getitem__))
    counts = dict.fromkeys(IMAGE_COUNTERS, 0)
    frame, time = None, bag.start
    for answer in process(bag, camera, pipeline, tolerance_of(values), remarks):
        time = answer.shot.time
        for counter in ('received', answer.counter):
            counts[counter] += 1
        stats = HoiFrameStats(header=answer.shot.image.header, **counts)
        if answer.frame is not None:
            frame = answer.frame
            stats.convert, stats.backbone, stats.interaction = (
                pipeline.stages[stage] for stage in ('convert', 'backbone', 'interaction')
            )
            yield 'triplets', time, _triplets(frame)
            if values['publish.events']:
                changes = tracker.update(
                    frame.stamp, frame.detections, frame.candidates, frame.vocabulary
                )
                yield from _events(changes, frame, time)
        yield 'stats', time, stats
    if frame is not None:
        yield from _events(tracker.end_all(frame.stamp), frame, time)


def _triplets(frame: Frame) -> HoiTripletArray:
    return triplets_message(
        frame.header, frame.detections, frame.interactions, frame.vocabulary, frame.model
    )


def _events(
    changes: Sequence[Event], frame: Frame, time: int
) -> Iterator[tuple[str, int, HoiEvent]]:
    for event in changes:
        yield 'events', time, event_message(event, frame.header)
