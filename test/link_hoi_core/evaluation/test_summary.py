"""Figures by name against an evaluator that is slow and obvious, in float64, with ties."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from link_hoi_core.data.annotated_image import AnnotatedImage, annotated_image
from link_hoi_core.evaluation.pairs import ScoredPairs, annotated_pairs
from link_hoi_core.evaluation.summary import benchmark_figures
from link_hoi_core.vocabulary import Vocabulary, load_vocabulary, zero_shot_split

NONE = np.zeros(0, np.int64)
LINSPACE = torch.linspace(0, 1, 11, dtype=torch.float64).tolist()
TENTHS = [i / 10 for i in range(11)]
NAMES = ('hico-det', 'v-coco', 'swig-hoi')


def random_images(vocabulary: Vocabulary, hois: np.ndarray, seed: int) -> list[AnnotatedImage]:
    """Images with up to eight pairs of few classes and few boxes, so that much overlaps."""
    random = np.random.default_rng(seed)
    images = []
    for number in range(12):
        chosen = random.choice(hois, random.integers(0, 9))
        verbs, objects = vocabulary.hois[chosen].T
        boxes = random_boxes(random, 2 * len(chosen))
        halves = boxes[: len(chosen)], boxes[len(chosen) :]
        images.append(annotated_image(vocabulary, f'{number}', (99, 99), *halves, objects, verbs))
    return images


def random_boxes(random: np.random.Generator, count: int) -> np.ndarray:
    corner = random.integers(0, 3, (count, 2)) * 5
    return np.concatenate((corner, corner + random.integers(3, 6, (count, 2)) * 5), 1).astype('f4')


def random_predictions(hois: np.ndarray, seed: int, count: int = 600) -> ScoredPairs:
    random = np.random.default_rng(seed)
    return ScoredPairs(
        random.integers(0, 12, count).astype(np.int32),
        random_boxes(random, count),
        random_boxes(random, count),
        random.choice(hois, count).astype(np.int32),
        random.integers(0, 20, count) / 20,  # many ties
    )


def with_classes(pairs: ScoredPairs, vocabulary: Vocabulary) -> ScoredPairs:
    """HOI ids as the classes that predictions are of: V-COCO's are its verbs."""
    if vocabulary.id != 'v-coco':
        return pairs
    return replace(pairs, hoi=vocabulary.hois[pairs.hoi, 0].astype(np.int32))


def slow_iou(a: np.ndarray, b: np.ndarray) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    sizes = [float((box[2] - box[0]) * (box[3] - box[1])) for box in (a, b)]
    return float(width * height) / (sum(sizes) - float(width * height))


def slow_ap(
    found: ScoredPairs,
    images: list[AnnotatedImage],
    same: list[int],
    points: list,
    as_pvic: bool = False,
) -> float:
    """AP of the class that the HOI ids `same` make up."""
    rows = [row for row in range(len(found)) if found.hoi[row] in same]
    if as_pvic:
        rows = [row for row in rows if len(images[found.image[row]].hoi)]
    rows.sort(key=lambda row: (-found.score[row], found.image[row], row))
    annotated = sum(int(hoi in same) for image in images for hoi in image.hoi)
    taken, hits, curve = set(), 0, []
    for place, row in enumerate(rows, 1):
        image = images[found.image[row]]
        best, best_pair = -1.0, None
        for pair, hoi in enumerate(image.hoi):
            if hoi not in same:
                continue
            human = slow_iou(found.boxes_h[row], image.boxes_h[pair])
            overlap = min(human, slow_iou(found.boxes_o[row], image.boxes_o[pair]))
            if overlap > best:
                best, best_pair = overlap, (found.image[row], pair)
        enough = best > 0.5 if as_pvic else best >= 0.5
        if enough and best_pair not in taken:
            taken.add(best_pair)
            hits += 1
        curve.append((hits / annotated if annotated else 0.0, hits / place))
    if not annotated:
        return 0.0
    best_precisions = [max([p for r, p in curve if r >= t], default=0.0) for t in points]
    return 100 * sum(best_precisions) / 11


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


@pytest.mark.parametrize('seed', range(3))
def test_hico_det(seed: int) -> None:
    vocabulary = load_vocabulary('hico-det')
    unseen = zero_shot_split('RF-UC')
    hois = np.concatenate((unseen[:4], np.arange(0, 600, 80)))
    images, found = random_images(vocabulary, hois, seed), random_predictions(hois, seed + 10)
    figures = benchmark_figures(images, found, vocabulary, unseen)
    ap = [slow_ap(found, images, [hoi], LINSPACE) for hoi in range(600)]
    rare, hidden = vocabulary.rare, set(unseen.tolist())
    u = mean([value for hoi, value in enumerate(ap) if hoi in hidden])
    s = mean([value for hoi, value in enumerate(ap) if hoi not in hidden])
    expected = {
        'full': mean(ap),
        'rare': mean([value for hoi, value in enumerate(ap) if rare[hoi]]),
        'non_rare': mean([value for hoi, value in enumerate(ap) if not rare[hoi]]),
        'unseen': u,
        'seen': s,
        'hm': 2 * u * s / (u + s),
    }
    assert list(figures) == list(expected)
    assert figures == pytest.approx(expected, rel=1e-12)
    assert min(expected.values()) > 0
    plain = benchmark_figures(images, found, vocabulary, NONE)
    assert list(plain) == ['full', 'rare', 'non_rare']


@pytest.mark.parametrize('seed', range(3))
def test_v_coco_is_the_mean_over_the_annotated_verbs(seed: int) -> None:
    vocabulary = load_vocabulary('v-coco')
    hois = np.flatnonzero(np.isin(vocabulary.hois[:, 0], [1, 2, 5, 20]))
    images = random_images(vocabulary, hois, seed)
    found = random_predictions(np.append(hois, np.flatnonzero(vocabulary.hois[:, 0] == 7)), seed)
    of_verbs = []
    for verb in range(24):
        same = np.flatnonzero(vocabulary.hois[:, 0] == verb).tolist()
        if any(hoi in same for image in images for hoi in image.hoi):
            of_verbs.append(slow_ap(found, images, same, LINSPACE, as_pvic=True))
    assert len(of_verbs) == 4
    figures = benchmark_figures(images, with_classes(found, vocabulary), vocabulary, NONE)
    assert figures == pytest.approx({'map': mean(of_verbs)}, rel=1e-12)
    assert figures['map'] > 0


@pytest.mark.parametrize('seed', range(3))
def test_swig_hoi_counts_what_is_evaluated(seed: int) -> None:
    vocabulary = load_vocabulary('swig-hoi')
    of_each = [np.flatnonzero(vocabulary.evaluated & (vocabulary.frequency == f)) for f in range(3)]
    left_out = np.flatnonzero(~vocabulary.evaluated)[:2]
    hois = np.concatenate([*(ids[:3] for ids in of_each), left_out])
    images, found = random_images(vocabulary, hois, seed), random_predictions(hois, seed + 10)
    total = [
        sum(slow_ap(found, images, [hoi], TENTHS) for hoi in ids[:3].tolist()) for ids in of_each
    ]
    expected = {
        'full': sum(total) / 5539,
        'non_rare': total[2] / 1307,
        'rare': total[1] / 2841,
        'novel': total[0] / 1391,
    }
    figures = benchmark_figures(images, found, vocabulary, NONE)
    assert list(figures) == list(expected)
    assert figures == pytest.approx(expected, rel=1e-12)
    assert min(expected.values()) > 0


@pytest.mark.parametrize(('name', 'ap'), [('hico-det', 3 / 11), ('swig-hoi', 4 / 11)])
def test_a_recall_of_three_tenths_reaches_the_point_of_swig_hoi_alone(name: str, ap: float) -> None:
    vocabulary = load_vocabulary(name)
    hoi = 0 if vocabulary.evaluated is None else int(np.flatnonzero(vocabulary.evaluated)[0])
    verb, object_ = vocabulary.hois[hoi]
    boxes = np.array([[x, 0, x + 9, 9] for x in range(0, 100, 10)], np.float32)
    ten = [np.full(10, index) for index in (object_, verb)]
    images = [annotated_image(vocabulary, 'a', (99, 99), boxes, boxes, *ten)]
    found = annotated_pairs(images).take(np.arange(3))
    classes = {'hico-det': 600, 'swig-hoi': 5539}[name]
    figures = benchmark_figures(images, found, vocabulary, NONE)
    assert figures['full'] == pytest.approx(100 * ap / classes)


def test_swig_hoi_looks_at_so_many_detections_of_a_class(monkeypatch: pytest.MonkeyPatch) -> None:
    vocabulary = load_vocabulary('swig-hoi')
    hois = np.flatnonzero(vocabulary.evaluated)[:2]
    images = random_images(vocabulary, hois, 0)
    right = annotated_pairs(images)
    wrong = ScoredPairs(right.image, right.boxes_h + 80, right.boxes_o, right.hoi, right.score + 1)
    monkeypatch.setattr('link_hoi_core.evaluation.swig_hoi.MOST', 5)
    assert benchmark_figures(images, right, vocabulary, NONE)['full'] > 0
    both = ScoredPairs.concatenate((right, wrong))
    assert benchmark_figures(images, both, vocabulary, NONE)['full'] == 0


@pytest.mark.parametrize('name', NAMES)
def test_perfect_and_empty_predictions(name: str) -> None:
    vocabulary = load_vocabulary(name)
    hois = np.arange(5) if vocabulary.evaluated is None else np.flatnonzero(vocabulary.evaluated)
    images = random_images(vocabulary, hois[:5], 0)
    none = ScoredPairs.concatenate(())
    assert set(benchmark_figures(images, none, vocabulary, NONE).values()) == {0.0}
    assert set(benchmark_figures([], none, vocabulary, NONE).values()) == {0.0}
    perfect = with_classes(annotated_pairs(images), vocabulary)
    figures = benchmark_figures(images, perfect, vocabulary, NONE)
    assert next(iter(figures.values())) > 0
