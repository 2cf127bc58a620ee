"""What an evaluation of HICO-DET costs, beside the published Python evaluators.

    python benchmarks/evaluation_speed.py instances_test2015.json --pvic DIR --gen-vlkt DIR

The detections are annotated pairs, moved a little and partly of another class, with random scores;
they are spread over all images of the annotation file. All evaluators get the same ones, in the
form that each of them takes, and of each the fastest of three runs counts. Seconds are CPU time of
all threads of the process (torch has one), so that other work on the machine counts little. The
folders are checkouts of github.com/fredzzhang/pvic, with its submodule pocket, and of
github.com/YueLiao/gen-vlkt; their code is imported and run.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

from link_hoi_core.data.annotated_image import AnnotatedImage
from link_hoi_core.data.hico_det import read_hico_det
from link_hoi_core.data.json_files import write_json
from link_hoi_core.evaluation.hico_det import HicoDet
from link_hoi_core.evaluation.matching import merge
from link_hoi_core.evaluation.pairs import ScoredPairs, annotated_pairs
from link_hoi_core.evaluation.prediction_files import read_predictions, write_predictions
from link_hoi_core.evaluation.remarks import Remarks
from link_hoi_core.vocabulary import load_vocabulary

SHARD = 1_000_000


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('annotations', type=Path, help='instances_test2015, .json or .json.gz')
    parser.add_argument('--detections', type=int, default=100_000)
    parser.add_argument('--pvic', type=Path, metavar='DIR', help='checkout to compare with')
    parser.add_argument('--gen-vlkt', type=Path, metavar='DIR', help='checkout to compare with')
    parser.add_argument('--many', type=int, default=0, help=f'also read shards of {SHARD:,} each')
    parser.add_argument('--shards', type=Path, metavar='DIR', help=argparse.SUPPRESS)
    parser.add_argument('--json', type=Path, metavar='FILE', help='write the figures there as well')
    options = parser.parse_args()
    torch.set_num_threads(1)

    images = read_hico_det(options.annotations)
    if options.shards is not None:  # the process whose memory is measured
        print(json.dumps(evaluate_shards(images, sorted(options.shards.iterdir()))))
        return
    result: dict[str, Any] = {'images': len(images), 'detections': options.detections}
    pairs = moved_pairs(annotated_pairs(images), np.arange(len(images)), options.detections, 0)
    result |= {'reading_s': seconds_of_reading(images, pairs)}
    theirs = {'pvic': (options.pvic, pvic), 'gen-vlkt': (options.gen_vlkt, gen_vlkt)}
    given = {name: (folder, run) for name, (folder, run) in theirs.items() if folder is not None}
    result['evaluators'] = [compare(images, pairs, 'official')] + [
        compare(images, pairs, name, run, folder) for name, (folder, run) in given.items()
    ]
    print(json.dumps(result, indent=2), flush=True)
    if options.many:
        result['shards'] = measure_shards(images, options.annotations, options.many)
        print(json.dumps(result['shards'], indent=2))
    if options.json is not None:
        write_json(options.json, result, indent=2)


def moved_pairs(annotated: ScoredPairs, images: np.ndarray, count: int, seed: int) -> ScoredPairs:
    """`count` detections in `images`; one of ten lies elsewhere than the pair it was made from."""
    random = np.random.default_rng(seed)
    pairs = annotated.take(np.isin(annotated.image, images))
    pairs = pairs.take(random.integers(len(pairs), size=count))

    def move(boxes: np.ndarray) -> np.ndarray:
        sides = np.tile(boxes[:, 2:] - boxes[:, :2], 2)
        moved = boxes + random.normal(0, 0.1, boxes.shape) * sides
        return np.round(moved, 2).astype(np.float32)

    elsewhere = random.random(count) < 0.1
    return ScoredPairs(
        np.where(elsewhere, random.choice(images, count), pairs.image).astype(np.int32),
        move(pairs.boxes_h),
        move(pairs.boxes_o),
        np.where(random.random(count) < 0.3, random.integers(600, size=count), pairs.hoi).astype(
            np.int32
        ),
        random.random(count),
    )


def seconds_of_reading(images: Sequence[AnnotatedImage], pairs: ScoredPairs) -> float:
    """What parsing and checking the detections' JSON file takes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'predictions.json'
        write_predictions(path, 'hico-det', images, pairs)
        return timed(lambda: list(read_predictions([path], 'hico-det', images, Remarks())))[0]


def compare(
    images: Sequence[AnnotatedImage],
    pairs: ScoredPairs,
    convention: str,
    theirs: Callable[..., tuple[float, float]] | None = None,
    folder: Path | None = None,
) -> dict[str, Any]:
    """Our seconds and mAP by a convention, and those of the evaluator that it is named after."""

    def ours(pairs: ScoredPairs) -> tuple[float, float]:
        def run() -> float:
            benchmark = HicoDet(images, convention)
            return benchmark.outcome(benchmark.rank(pairs), 0.5).figures['full']

        return timed(run)

    spent, full = fastest(ours, pairs)
    result = {'convention': convention, 'ours_s': round(spent, 3), 'ours_full': full}
    if theirs is not None:
        with contextlib.redirect_stdout(io.StringIO()):
            their_seconds, their_full = fastest(partial(theirs, folder, images), pairs)
        result |= {'theirs_s': round(their_seconds, 3), 'theirs_full': their_full}
        result |= {'times_faster': round(their_seconds / spent, 1)}
    return result


def fastest(
    run: Callable[[ScoredPairs], tuple[float, float]], pairs: ScoredPairs
) -> tuple[float, float]:
    """Seconds and mAP of the shortest of three runs: what others take longer is the machine's."""
    return min(run(pairs) for _ in range(3))


def pvic(folder: Path, images: Sequence[AnnotatedImage], pairs: ScoredPairs) -> tuple[float, float]:
    """Seconds and mAP of pocket's association of box pairs and its meter, as PViC calls them."""
    sys.path.insert(0, str(folder / 'pocket'))
    utils = importlib.import_module('pocket.utils')
    annotated = [
        [torch.from_numpy(x) for x in (image.boxes_h, image.boxes_o, image.hoi)] for image in images
    ]
    found = [
        [torch.from_numpy(x) for x in (part.boxes_h, part.boxes_o, part.hoi, part.score)]
        for part in _by_image(pairs, len(images))
    ]
    count = np.bincount(annotated_pairs(images).hoi, minlength=600)

    def evaluate() -> float:
        associate = utils.BoxPairAssociation(min_iou=0.5)
        meter = utils.DetectionAPMeter(600, nproc=1, algorithm='11P', num_gt=count.tolist())
        for (human, thing, hoi), (boxes_h, boxes_o, classes, scores) in zip(annotated, found):
            if not len(hoi):
                continue
            labels = torch.zeros_like(scores)
            for label in classes.unique():
                truth, rows = hoi == label, classes == label
                if truth.any():
                    labels[rows] = associate(
                        (human[truth], thing[truth]), (boxes_h[rows], boxes_o[rows]), scores[rows]
                    )
            meter.append(scores, classes, labels)
        return 100 * float(meter.eval().mean())

    return timed(evaluate)


def gen_vlkt(
    folder: Path, images: Sequence[AnnotatedImage], pairs: ScoredPairs
) -> tuple[float, float]:
    """Seconds and mAP of GEN-VLKT's `HICOEvaluator.evaluate`, of what its constructor prepares.

    The constructor itself, which picks the best 100 of an image with a heap in Python, is not
    counted.
    """
    # Without the package's own __init__, which imports the training data.
    package = ModuleType('datasets')
    package.__path__ = [str(folder / 'datasets')]
    sys.modules['datasets'] = package
    sys.path.insert(0, str(folder))
    evaluators = importlib.import_module('datasets.hico_eval_triplet')
    vocabulary = load_vocabulary('hico-det')
    triplets = [(0, object_, verb) for verb, object_ in vocabulary.hois.tolist()]
    evaluator = object.__new__(evaluators.HICOEvaluator)
    evaluator.overlap_iou = 0.5
    evaluator.zero_shot_type = 'default'
    evaluator.hico_triplet_labels = list(map(tuple, vocabulary.hois.tolist()))
    evaluator.rare_triplets = [t for t, rare in zip(triplets, vocabulary.rare) if rare]
    evaluator.non_rare_triplets = [t for t, rare in zip(triplets, vocabulary.rare) if not rare]
    count = np.bincount(annotated_pairs(images).hoi, minlength=600)
    evaluator.sum_gts = dict(enumerate(count.tolist()))
    evaluator.gt_triplets = np.flatnonzero(count).tolist()
    for name in ('fp', 'tp', 'score'):
        setattr(evaluator, name, {triplet: [] for triplet in range(600)})
    evaluator.gts = [_their_image('annotations', 'hoi_annotation', image) for image in images]
    evaluator.preds = [
        _their_image('predictions', 'hoi_prediction', part.take(np.argsort(-part.score)[:100]))
        for part in _by_image(pairs, len(images))
    ]

    def evaluate() -> float:
        return 100 * float(evaluator.evaluate()['mAP'])

    return timed(evaluate)


def measure_shards(
    images: Sequence[AnnotatedImage], annotations: Path, count: int
) -> dict[str, Any]:
    """Seconds and memory of a process of its own that evaluates `count` detections."""
    number = -(-count // SHARD)
    with tempfile.TemporaryDirectory() as folder:
        with ProcessPoolExecutor(2) as pool:
            write = partial(write_shard, Path(folder), images, count // number, number)
            list(pool.map(write, range(number)))
        size = sum(path.stat().st_size for path in Path(folder).iterdir())
        command = [sys.executable, __file__, str(annotations), '--shards', folder]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return {'shards': number, 'gigabytes_of_json': round(size / 1e9, 2)} | json.loads(output)


def write_shard(
    folder: Path, images: Sequence[AnnotatedImage], count: int, number: int, index: int
) -> None:
    """`count` detections in every `number`th image, from the `index`th on."""
    of_shard = np.arange(index, len(images), number)
    pairs = moved_pairs(annotated_pairs(images), of_shard, count, index)
    pairs = replace(pairs, image=(pairs.image - index) // number)
    path = folder / f'{index:03d}.json'
    write_predictions(path, 'hico-det', [images[i] for i in of_shard], pairs)


def evaluate_shards(images: Sequence[AnnotatedImage], paths: list[Path]) -> dict[str, Any]:
    """Figures of many files, one after the other, and what they cost in this process."""
    before = time.perf_counter()
    benchmark = HicoDet(images)
    ranked, sizes = [], []
    ranking = 0.0
    start = time.process_time()
    for part in read_predictions(paths, 'hico-det', images, Remarks()):
        spent, of_part = timed(lambda part=part: benchmark.rank(part)['official'])
        ranking += spent
        ranked.append(of_part)
        sizes.append(len(part))
    reading = time.process_time() - start - ranking
    merging, merged = timed(lambda: merge(ranked, sizes))
    figures, outcome = timed(lambda: benchmark.outcome({'official': merged}, 0.5))
    return {
        'detections': sum(sizes),
        'reading_s': round(reading, 1),
        'ranking_s': round(ranking, 1),
        'merging_s': round(merging, 1),
        'figures_s': round(figures, 1),
        'wall_s': round(time.perf_counter() - before, 1),
        'full': outcome.figures['full'],
        'peak_gigabytes': round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9, 2),
    }


def timed(run: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds of CPU time of all threads, and what `run` gives."""
    start = time.process_time()
    result = run()
    return time.process_time() - start, result


def _by_image(pairs: ScoredPairs, images: int) -> list[ScoredPairs]:
    order = np.argsort(pairs.image, kind='stable')
    bounds = np.searchsorted(pairs.image[order], np.arange(images + 1))
    return [pairs.take(order[a:b]) for a, b in zip(bounds, bounds[1:])]


def _their_image(boxes: str, hois: str, pairs: AnnotatedImage | ScoredPairs) -> dict[str, Any]:
    """An image as GEN-VLKT's evaluator holds it; each pair has its own two boxes."""
    inclusive = np.concatenate([pairs.boxes_h, pairs.boxes_o]) - np.float32([0, 0, 1, 1])
    count = len(pairs.hoi)
    scores = pairs.score.tolist() if isinstance(pairs, ScoredPairs) else [None] * count
    rows = enumerate(zip(pairs.hoi.tolist(), scores))
    return {
        boxes: [{'bbox': box} for box in inclusive.tolist()],
        hois: [
            {'subject_id': i, 'object_id': count + i, 'category_id': hoi, 'score': score}
            for i, (hoi, score) in rows
        ],
    }


if __name__ == '__main__':
    main()
