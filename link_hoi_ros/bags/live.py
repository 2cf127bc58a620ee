"""A bag through running nodes over DDS, and what became of every image."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from link_hoi_core.data.json_files import read_json, write_json
from link_hoi_core.structures import Detections, Interactions
from link_hoi_core.vocabulary import Vocabulary
from link_hoi_msgs.msg import HoiTripletArray
from link_hoi_ros.bags.cameras import Camera
from link_hoi_ros.bags.listener import STAGES
from link_hoi_ros.bags.offline import parameters_of, tolerance_of, types_of
from link_hoi_ros.bags.player import Plan
from link_hoi_ros.bags.reading import Bag, deserialised
from link_hoi_ros.matching import IMAGE_COUNTERS
from link_hoi_ros.processes import Processes, environment

# Starting, connecting, and waiting for the last answers, beside the playing itself.
EXTRA_SECONDS = 300.0
PERCENTILES = (50, 95, 99)


@dataclass(frozen=True)
class Reply:
    """The triplets that a node published for an image, in which loop of the bag."""

    key: str
    loop: int
    message: HoiTripletArray


@dataclass(frozen=True)
class Played:
    """What came of a bag.

    Attributes:
        answers: in the order in which they came.
        images: how many were played.
        counts: what the nodes' counters say of them, by the names of `HoiFrameStats`.
        latencies: milliseconds from an image's publication to the arrival of its triplets.
        stages: milliseconds that the nodes needed, medians by the names of `HoiFrameStats`.
        late: milliseconds that a message went out after it was due, at most.
    """

    answers: list[Reply]
    images: int
    counts: dict[str, int]
    latencies: np.ndarray
    stages: dict[str, float]
    late: float

    def facts(self) -> dict[str, Any]:
        """For JSON."""
        lost = self.images - self.counts['received']
        latency = {}
        if len(self.latencies):
            found = np.percentile(self.latencies, PERCENTILES).round(2).tolist()
            latency = {f'p{q}': value for q, value in zip(PERCENTILES, found)}
            latency['max'] = round(float(self.latencies.max()), 2)
        return {
            'played': self.images,
            'answered': len(self.latencies),
            **self.counts,
            'lost_on_the_way': lost,
            'latency_ms': latency,
            'stages_ms': self.stages,
            'player_late_ms': round(self.late, 2),
        }


def play(
    bag: Bag,
    cameras: Sequence[Camera],
    given: Mapping[str, Any],
    rate: float,
    loops: int,
    nodes: Sequence[str],
    folder: Path,
) -> Played:
    """Play a bag to a node for each camera and wait for all answers.

    Args:
        given: parameters of the nodes, where they are not the default.
        rate: how many times as fast as it was recorded.
        nodes: full names of nodes that run already, one for each camera; none: they are started.
        folder: for logs and answers.

    Raises:
        ProcessError: a process failed, or nothing more came of it.
    """
    plan = Plan(
        str(bag.path.resolve()),
        [asdict(camera) for camera in cameras],
        [f'/{node.lstrip("/")}' for node in nodes]
        or [f'{camera.namespace}/hoi_node' for camera in cameras],
        rate,
        loops,
        tolerance_of(parameters_of(cameras[0], given)),
    )
    write_json(folder / 'plan.json', asdict(plan))
    answers, report = folder / 'answers', folder / 'report.json'
    # A node that runs already is where the user's variables say; ours are by themselves.
    with Processes(folder, dict(os.environ) if nodes else environment()) as processes:
        if not nodes:
            for camera in cameras:
                _start_node(processes, camera, given)
        processes.start('player', 'link_hoi_ros.bags.player', folder / 'plan.json', answers, report)
        seconds = loops * (bag.end - bag.start) / 1e9 / rate
        processes.wait_for_end('player', 'playing', seconds + EXTRA_SECONDS)
    return _played(cameras, plan, answers, read_json(report))


def read_triplets(
    message: HoiTripletArray, vocabulary: Vocabulary
) -> tuple[Detections, Interactions]:
    """What `messages.triplets_message` was made of.

    Raises:
        ValueError: it is of another vocabulary.
    """
    if message.vocabulary_id != vocabulary.id:
        raise ValueError(
            f'the node speaks {message.vocabulary_id!r}, expected {vocabulary.id!r}: was it '
            'started with other parameters?'
        )
    labels = [vocabulary.object_index(found.class_name) for found in message.detections]
    detections = Detections(
        np.array([[d.x1, d.y1, d.x2, d.y2] for d in message.detections], np.float32),
        np.array([d.score for d in message.detections], np.float32),
        np.array(labels, np.int64),
        (message.image_height, message.image_width),
    )
    columns = ('human_index', 'object_index', 'verb_id', 'score', 'interaction_score')
    types = (np.int64, np.int64, np.int64, np.float32, np.float32)
    interactions = Interactions(
        *(
            np.array([getattr(triplet, column) for triplet in message.triplets], kind)
            for column, kind in zip(columns, types)
        )
    )
    return detections, interactions


def _start_node(processes: Processes, camera: Camera, given: Mapping[str, Any]) -> None:
    set_here = {'use_sim_time': True, 'autostart': True, **types_of(camera)}
    assigned = [f'{name}:={json.dumps(value)}' for name, value in {**given, **set_here}.items()]
    processes.start(
        f'node {camera.name}'.strip(),
        'link_hoi_ros.hoi_node',
        *('--ros-args', '-r', f'__ns:={camera.namespace}'),
        *(part for assignment in assigned for part in ('-p', assignment)),
    )


def _played(cameras: Sequence[Camera], plan: Plan, answers: Path, report: dict[str, Any]) -> Played:
    latencies = []
    stages: list[list[float]] = []
    images = 0
    counts = dict.fromkeys(IMAGE_COUNTERS, 0)
    for found in report['cameras']:
        images += len(found['latencies'])
        latencies += [latency for latency in found['latencies'] if latency is not None]
        stages += found['stages']
        for name, count in found['counts'].items():
            counts[name] += count
    with Bag(answers) as bag:
        read = [
            answer
            for camera, node, found in zip(cameras, plan.nodes, report['cameras'])
            for answer in _answers(bag, camera, node, found['answers'])
        ]
    medians = np.median(stages, axis=0).round(3).tolist() if stages else ()
    return Played(
        read, images, counts, np.array(latencies), dict(zip(STAGES, medians)), report['late']
    )


def _answers(bag: Bag, camera: Camera, node: str, order: list[list[int]]) -> Iterator[Reply]:
    topic = f'{node.rpartition("/")[0]}/triplets'
    for (stamp, loop), recorded in zip(order, bag.messages([topic])):
        yield Reply(camera.key(stamp), loop, deserialised(recorded, HoiTripletArray))
