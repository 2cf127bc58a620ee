"""Seconds that a HICO-DET evaluation takes: `python benchmarks/evaluation_speed.py ANNOTATIONS`.

The detections are annotated pairs, moved a little and partly of another class, with random scores;
they are spread over all images of the annotation file.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from link_hoi_core.data.hico_det import read_hico_det
from link_hoi_core.evaluation.hico_det import hico_det_figures, rank_hico_det
from link_hoi_core.evaluation.pairs import ScoredPairs, annotated_pairs
from link_hoi_core.evaluation.prediction_files import read_predictions, write_predictions
from link_hoi_core.evaluation.remarks import Remarks
from link_hoi_core.vocabulary import load_vocabulary


def moved_pairs(annotated: ScoredPairs, images: int, count: int) -> ScoredPairs:
    """`count` detections; one of ten lies in another image than the pair it was made from."""
    random = np.random.default_rng(0)
    pairs = annotated.take(random.integers(len(annotated), size=count))

    def move(boxes: np.ndarray) -> np.ndarray:
        sides = np.tile(boxes[:, 2:] - boxes[:, :2], 2)
        return (boxes + random.normal(0, 0.1, boxes.shape) * sides).astype(np.float32)

    return ScoredPairs(
        np.where(random.random(count) < 0.1, random.integers(images, size=count), pairs.image),
        move(pairs.boxes_h),
        move(pairs.boxes_o),
        np.where(random.random(count) < 0.3, random.integers(600, size=count), pairs.hoi),
        random.random(count),
    )


def main() -> None:
    """Print the seconds of each step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('annotations', type=Path, help='instances_test2015, .json or .json.gz')
    parser.add_argument('--detections', type=int, default=100_000)
    options = parser.parse_args()

    start = time.perf_counter()
    images = read_hico_det(options.annotations)
    print(f'{time.perf_counter() - start:6.2f} s  read {len(images)} annotated images')
    pairs = moved_pairs(annotated_pairs(images), len(images), options.detections)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'predictions.json'
        write_predictions(path, 'hico-det', images, pairs)
        start = time.perf_counter()
        parts = read_predictions([path], 'hico-det', images, Remarks())
        predictions = ScoredPairs.concatenate(parts)
    print(f'{time.perf_counter() - start:6.2f} s  read {len(predictions)} detections')
    vocabulary = load_vocabulary('hico-det')
    start = time.perf_counter()
    ranked = rank_hico_det(images, predictions, vocabulary)
    figures = hico_det_figures(ranked, vocabulary, f1_threshold=0.5)
    print(f'{time.perf_counter() - start:6.2f} s  matching, mAP and mF1 ({figures.full:.2f} Full)')


if __name__ == '__main__':
    main()
