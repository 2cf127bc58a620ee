"""The figures of a bag: of all scores, of what the node would publish, of what a node published."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from link_hoi_core.evaluation.commands.shared import DEFAULT_F1_THRESHOLD
from link_hoi_core.evaluation.outcome import Outcome
from link_hoi_core.evaluation.remarks import Remarks
from link_hoi_core.evaluation.report import THRESHOLD
from link_hoi_core.models import Predictor
from link_hoi_core.structures import Interactions
from link_hoi_ros.bags import live
from link_hoi_ros.bags.cameras import Camera
from link_hoi_ros.bags.offline import load_pipelines, parameters_of, process, tolerance_of
from link_hoi_ros.bags.reading import Bag
from link_hoi_ros.bags.scoring import Labels, Score
from link_hoi_ros.pipeline import publishable

# So that no score is cut.
ALL = {'score_threshold': 0.0, 'max_triplets': 1_000_000}


@dataclass
class Offline:
    """Every frame of a bag through the model.

    Attributes:
        counts: of the images, by the counters of `HoiFrameStats`.
        published: by frame, what the node would publish.
    """

    predictor: Predictor
    every_score: Outcome
    as_published: Outcome
    counts: Counter[str]
    published: dict[str, Interactions]


def evaluate_offline(
    bag: Bag,
    cameras: Sequence[Camera],
    given: Mapping[str, Any],
    labels: Labels,
    remarks: Remarks,
) -> Offline:
    """Run every frame through the model; bit for bit the same each time (on one machine's CPU).

    Args:
        given: parameters of the node, where they are not the default.
        remarks: are told what was left out.

    Raises:
        ValueError: the bag is broken or none of its frames is annotated.
        OSError, ImportError: as of `Pipeline.load`.
    """
    pipelines = load_pipelines(cameras, {**given, **ALL}, remarks)
    predictor = pipelines[cameras[0].name].predictor
    every_score, as_published = Score(labels, remarks), Score(labels, remarks)
    counts = Counter(received=0, processed=0)
    published, frames = {}, {}
    for camera in cameras:
        values = parameters_of(camera, given)
        pipeline = pipelines[camera.name]
        for answer in process(bag, camera, pipeline, tolerance_of(values), remarks):
            key, frame = answer.shot.key, answer.frame
            frames[key] = None
            counts.update(['received', answer.counter])
            if frame is None:
                continue
            # a copy, as a view would keep every score of a long bag
            published[key] = publishable(frame.interactions, values.__getitem__)
            every_score.add(key, frame.detections, frame.interactions, frame.vocabulary)
            as_published.add(key, frame.detections, published[key], frame.vocabulary)
    labels.check(bag.path, frames, remarks)
    threshold = _f1_threshold(predictor)
    return Offline(
        predictor,
        every_score.outcome(threshold),
        as_published.outcome(threshold),
        counts,
        published,
    )


@dataclass
class Live:
    """A bag through running nodes.

    Attributes:
        outcome: the figures; a frame that was dropped has found nothing.
        offline: those of the same frames as published offline.
        differing: answers with other triplets, or other scores, than offline.
    """

    played: live.Played
    outcome: Outcome
    offline: Outcome
    differing: int

    def facts(self) -> dict[str, Any]:
        """What became of the images, and how far that is from offline; for JSON."""
        difference = {
            name: round(value - self.offline.figures[name], 4)
            for name, value in self.outcome.figures.items()
            if name != THRESHOLD
        }
        return {
            **self.played.facts(),
            'differing_frames': self.differing,
            'difference': difference,
        }


def evaluate_live(
    played: live.Played, offline: Offline, labels: Labels, loops: int, remarks: Remarks
) -> Live:
    """Score what nodes published in all loops of a bag.

    Raises:
        ValueError: the nodes have another vocabulary than the model offline.
    """
    vocabulary = offline.predictor.vocabulary
    score = Score(labels, remarks, loops)
    differing = 0
    for answer in played.answers:
        detections, interactions = live.read_triplets(answer.message, vocabulary)
        score.add(answer.key, detections, interactions, vocabulary, answer.loop)
        expected = offline.published.get(answer.key)
        differing += expected is None or not _equal(expected, interactions)
    outcome = score.outcome(_f1_threshold(offline.predictor))
    return Live(played, outcome, offline.as_published, differing)


def _f1_threshold(predictor: Predictor) -> float:
    """Of mF1: the checkpoint's, if it has one."""
    return predictor.config.get('f1_threshold', DEFAULT_F1_THRESHOLD)


def _equal(one: Interactions, other: Interactions) -> bool:
    """Whether these are the same triplets with the same scores."""
    columns = ('human', 'object', 'verb', 'score', 'verb_score')
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in columns)
