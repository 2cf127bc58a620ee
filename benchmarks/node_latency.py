"""What the node adds to the model: `python benchmarks/node_latency.py [--minutes 5]`.

A camera sends 640 x 480 images with detections at 30 Hz. The node and an echo, which answers with
an empty message as soon as it has both, get the same frames in the same run; between its rounds
the bare predictor is timed on the same detections, paced as the camera is. Latency is from the
stamp of the image, made before it is published, to the arrival of the answer in a third process.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import ros_stream
import torch
from result_page import write_tables

from link_hoi_core.data.json_files import write_json
from link_hoi_core.models import Predictor, load_predictor

RESULT = ros_stream.ROOT / 'benchmarks' / 'results' / 'node_latency.json'
PAIRS = 60
RATE = 30.0
ROUND_SECONDS = 30.0
BARE_SECONDS = 5.0
STAGES = ('wait', 'convert', 'backbone', 'interaction', 'publish', 'latency')


def main() -> None:
    """Print and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--minutes', type=float, default=5.0)
    parser.add_argument('--model', default='boxes')
    parser.add_argument('--json', type=Path, default=RESULT)
    options = parser.parse_args()
    ros_stream.isolate()
    torch.set_num_threads(1)  # as the node
    predictor = load_predictor(options.model, 'cpu', score_threshold=0.2, max_interactions=100)
    bare: list[float] = []
    stamps: list[int] = []
    with (
        ros_stream.watching() as watcher,
        ros_stream.running(ros_stream.__file__, 'echo'),
        ros_stream.running_node(watcher, model=options.model),
        ros_stream.running_camera(RATE, str(PAIRS), subscribers=2) as play,
    ):
        for _ in range(max(1, round(60 * options.minutes / ROUND_SECONDS))):
            bare += time_predictor(predictor)
            stamps += play(ROUND_SECONDS)
        counts = watcher.counts()
    figures = {
        'command': f'python benchmarks/node_latency.py --minutes {options.minutes:g}',
        'model': options.model,
        'pairs': PAIRS,
        **latencies(watcher, bare),
        **losses(len(stamps), watcher, counts),
    }
    write_json(options.json, figures, indent=2)
    if options.json == RESULT:
        write_tables('node_latency', table(figures))
    print(table(figures))


def time_predictor(predictor: Predictor) -> list[float]:
    """Milliseconds of each call, paced as the camera is."""
    found = ros_stream.scenes(str(PAIRS))[0]
    image = np.zeros((*found.image_size, 3), np.uint8)
    took = []
    for _ in range(round(BARE_SECONDS * RATE)):
        start = time.perf_counter()
        predictor.predict(image, found)
        took.append(1e3 * (time.perf_counter() - start))
        time.sleep(max(0.0, 1 / RATE - took[-1] / 1e3))
    return took


def latencies(watcher: ros_stream.Watcher, bare: list[float]) -> dict[str, Any]:
    """Median and 95th percentile in ms, and the ratio of the node to the echo and the predictor."""
    node, echo = (
        {stamp: (arrival - stamp) / 1e6 for stamp, arrival in answers}
        for answers in (watcher.triplets, watcher.echo)
    )
    rows = {
        'node': list(node.values()),
        'echo': list(echo.values()),
        'predictor': bare,
        'node_minus_echo': [node[stamp] - echo[stamp] for stamp in node.keys() & echo.keys()],
    }
    for stage in STAGES:
        rows[f'node_{stage}'] = [
            getattr(stats, stage) for stats in watcher.stats if stats.header.stamp.sec
        ]
    milliseconds = {
        name: {'median': _round(np.median(row)), 'p95': _round(np.percentile(row, 95))}
        for name, row in rows.items()
    }
    ratio = {
        key: _round(
            milliseconds['node'][key] / (milliseconds['echo'][key] + milliseconds['predictor'][key])
        )
        for key in ('median', 'p95')
    }
    return {'milliseconds': milliseconds, 'ratio': ratio}


def losses(sent: int, watcher: ros_stream.Watcher, counts: dict[str, int]) -> dict[str, Any]:
    """What became of every frame that was sent."""
    answered = len({stamp for stamp, _ in watcher.triplets})
    return {
        'sent': sent,
        'answered': answered,
        'counts': counts,
        'lost_before_the_node': sent - counts['received'],
        'lost_behind_the_node': counts['processed'] - answered,
        'lost_percent': round(100 * (1 - answered / sent), 4),
        'echo_lost_percent': round(100 * (1 - len(watcher.echo) / sent), 4),
    }


def table(figures: dict[str, Any]) -> str:
    """The figures in Markdown."""
    names = {
        'node': 'the node, from stamp to arrival',
        'echo': 'an echo, the same',
        'predictor': 'the bare predictor',
        'node_wait': 'in the node: waiting for the worker',
        'node_convert': 'in the node: messages to arrays',
        'node_interaction': 'in the node: the model',
        'node_publish': 'in the node: publishing',
    }
    rows = [
        f'| {name} | {figures["milliseconds"][key]["median"]:.2f} | '
        f'{figures["milliseconds"][key]["p95"]:.2f} |'
        for key, name in names.items()
    ]
    ratio, counts = figures['ratio'], figures['counts']
    return '\n'.join(
        [
            '| ms | median | p95 |',
            '|---|---|---|',
            *rows,
            f'| **node / (echo + predictor)** | **{ratio["median"]:.2f}** | {ratio["p95"]:.2f} |',
            '',
            f'Of {figures["sent"]} frames {figures["answered"]} were answered, '
            f'{figures["lost_percent"]:.2f} % lost: {figures["lost_before_the_node"]} on the way '
            f'to the node, {counts["dropped_busy"]} passed over for a newer one, '
            f'{counts["dropped_unmatched"]} without detections, '
            f'{figures["lost_behind_the_node"]} behind it. The echo lost '
            f'{figures["echo_lost_percent"]:.2f} %.',
        ]
    )


def _round(value: float) -> float:
    return round(float(value), 3)


if __name__ == '__main__':
    main()
