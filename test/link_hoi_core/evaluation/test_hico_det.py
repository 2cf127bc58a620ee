"""HICO-DET figures: worked by hand, and against a slow evaluator, one detection after another."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from link_hoi_core.data.hico_det import AnnotatedImage, ground_truth_detections, read_hico_det
from link_hoi_core.evaluation.average_precision import (
    RECALL_POINTS,
    average_precision,
    best_f1_threshold,
    f1_at,
)
from link_hoi_core.evaluation.hico_det import CONVENTIONS, HicoDet
from link_hoi_core.evaluation.image_labels import read_known_objects
from link_hoi_core.evaluation.matching import RankedDetections
from link_hoi_core.evaluation.outcome import Outcome, evaluate
from link_hoi_core.evaluation.pairs import ScoredPairs, annotated_pairs, predicted_pairs
from link_hoi_core.structures import Interactions
from link_hoi_core.vocabulary import Vocabulary, load_vocabulary

RIDE_BICYCLE = 18
HOLD_BICYCLE = 11
A, B, FAR = [0, 0, 10, 10], [0, 0, 10, 8], [50, 50, 60, 60]
HALF = [0, 0, 10, 5]  # IoU with A exactly 0.5


@pytest.fixture(scope='module')
def vocabulary() -> Vocabulary:
    return load_vocabulary('hico-det')


@pytest.fixture(scope='module')
def test_images(shared: Path) -> list[AnnotatedImage]:
    return read_hico_det(shared / 'data/hicodet/instances_test2015.coco80.json.gz')


def image(name: str, *pairs: tuple[list, list, int]) -> AnnotatedImage:
    """Pairs are (human box, object box, hoi); object and verb ids do not matter here."""
    hoi = np.array([pair[2] for pair in pairs], np.int64)
    boxes = (np.array([p[i] for p in pairs], np.float32).reshape(-1, 4) for i in (0, 1))
    return AnnotatedImage(name, (100, 100), *boxes, hoi=hoi, object=hoi * 0 + 3, verb=hoi * 0)


def predictions(*rows: tuple[int, list, list, int, float]) -> ScoredPairs:
    """Rows are (image, human box, object box, hoi, score)."""
    images, humans, objects, hoi, score = zip(*rows)
    return ScoredPairs(
        np.array(images, np.int32),
        np.array(humans, np.float32),
        np.array(objects, np.float32),
        np.array(hoi, np.int32),
        np.array(score, np.float64),
    )


def rank(
    images: list[AnnotatedImage],
    found: ScoredPairs,
    convention: str = 'official',
    known_objects: np.ndarray | None = None,
) -> RankedDetections:
    return HicoDet(images, convention, known_objects).rank(found)[convention]


def correct(
    images: list[AnnotatedImage], found: ScoredPairs, convention: str = 'official'
) -> list[bool]:
    """Right or wrong, by class and falling score."""
    return rank(images, found, convention).correct.tolist()


def test_recall_points_are_those_of_torch() -> None:
    assert RECALL_POINTS.tolist() == torch.linspace(0, 1, 11, dtype=torch.float64).tolist()


def test_a_duplicate_is_wrong_and_the_better_scored_one_is_right() -> None:
    found = predictions((0, A, A, RIDE_BICYCLE, 0.3), (0, A, A, RIDE_BICYCLE, 0.9))
    assert correct([image('a', (A, A, RIDE_BICYCLE))], found) == [True, False]


def test_a_duplicate_is_wrong_even_if_another_annotated_pair_would_fit() -> None:
    images = [image('a', (A, A, RIDE_BICYCLE), (B, A, RIDE_BICYCLE))]
    found = predictions((0, A, A, RIDE_BICYCLE, 0.9), (0, A, A, RIDE_BICYCLE, 0.8))
    assert correct(images, found) == [True, False]


def test_the_worse_of_the_two_overlaps_counts() -> None:
    images = [image('a', (A, A, RIDE_BICYCLE))]
    assert correct(images, predictions((0, A, FAR, RIDE_BICYCLE, 0.9))) == [False]
    assert correct(images, predictions((0, FAR, A, RIDE_BICYCLE, 0.9))) == [False]


def test_overlap_of_exactly_one_half_is_right_officially_and_wrong_in_pvic() -> None:
    images = [image('a', (A, A, RIDE_BICYCLE))]
    found = predictions((0, HALF, A, RIDE_BICYCLE, 0.9))
    assert correct(images, found, 'official') == [True]
    assert correct(images, found, 'pvic') == [False]


def test_other_classes_and_images_do_not_match() -> None:
    images = [image('a', (A, A, RIDE_BICYCLE)), image('b', (FAR, FAR, RIDE_BICYCLE))]
    found = predictions((0, A, A, HOLD_BICYCLE, 0.9), (1, A, A, RIDE_BICYCLE, 0.9))
    assert correct(images, found) == [False, False]


def test_equal_scores_rank_by_image_then_row() -> None:
    images = [image('a', (A, A, RIDE_BICYCLE)), image('b')]
    found = predictions(
        (1, A, A, RIDE_BICYCLE, 0.5), (0, FAR, A, RIDE_BICYCLE, 0.5), (0, A, A, RIDE_BICYCLE, 0.5)
    )
    assert correct(images, found) == [False, True, False]


def test_images_without_pairs_cost_officially_and_not_in_pvic(vocabulary: Vocabulary) -> None:
    images = [image('empty'), image('a', (A, A, RIDE_BICYCLE))]
    found = predictions((0, A, A, RIDE_BICYCLE, 0.9), (1, A, A, RIDE_BICYCLE, 0.8))
    ap = {name: average_precision(rank(images, found, name))[RIDE_BICYCLE] for name in CONVENTIONS}
    assert ap == pytest.approx({'official': 0.5, 'pvic': 1.0, 'gen-vlkt': 0.5})


def test_known_object_leaves_out_images_without_the_object(vocabulary: Vocabulary) -> None:
    images = [image('a', (A, A, RIDE_BICYCLE)), image('b', (A, A, RIDE_BICYCLE))]
    found = predictions((1, FAR, A, RIDE_BICYCLE, 0.9), (0, A, A, RIDE_BICYCLE, 0.8))
    known = np.zeros((80, 2), bool)
    known[vocabulary.hois[RIDE_BICYCLE, 1], 0] = True
    ranked = rank(images, found, known_objects=known)
    assert ranked.correct.tolist() == [True]
    # Recall 1/2 at precision 1: the six points 0, .1, .., .5.
    assert average_precision(ranked)[RIDE_BICYCLE] == pytest.approx(6 / 11)


@pytest.mark.parametrize(('found', 'points'), [(10, 11), (7, 8), (6, 7), (3, 3), (1, 2), (0, 0)])
def test_eleven_points_of_ten_annotated_pairs(
    vocabulary: Vocabulary, found: int, points: int
) -> None:
    """Recall 6/10 and 7/10 reach their points; 3/10 does not, 0.3 < 0.30000000000000004."""
    images = [image(str(i), (A, A, RIDE_BICYCLE)) for i in range(10)]
    rows = [(i, A if i < found else FAR, A, RIDE_BICYCLE, 1 - i / 100) for i in range(10)]
    ap = average_precision(rank(images, predictions(*rows)))
    assert ap[RIDE_BICYCLE] == pytest.approx(points / 11)


def outcome(images: list[AnnotatedImage], found: ScoredPairs, **rules: object) -> Outcome:
    benchmark = HicoDet(images, **rules)
    return benchmark.outcome(benchmark.rank(found), f1_threshold=0.5)


def test_figures_are_percent_means_over_all_classes(vocabulary: Vocabulary) -> None:
    found = outcome([image('a', (A, A, RIDE_BICYCLE))], predictions((0, A, A, RIDE_BICYCLE, 0.7)))
    assert not vocabulary.rare[RIDE_BICYCLE]
    assert found.figures == pytest.approx(
        {
            'full': 100 / 600,
            'rare': 0,
            'non_rare': 100 / 462,
            'mf1': 1 / 600,
            'mprec': 1 / 600,
            'mrec': 1 / 600,
            'f1_threshold': 0.5,
        }
    )
    assert found.per_class_ap[RIDE_BICYCLE] == pytest.approx(100)
    assert found.class_names[RIDE_BICYCLE] == 'ride bicycle'
    assert {name: group.sum() for name, group in found.groups.items()} == {
        'rare': 138,
        'non_rare': 462,
    }


def test_unseen_classes_have_figures_of_their_own() -> None:
    images = [image('a', (A, A, RIDE_BICYCLE), (A, A, HOLD_BICYCLE))]
    found = outcome(images, annotated_pairs(images), unseen=[HOLD_BICYCLE, 0])
    u, s = 100 / 2, 100 / 598
    of_zero_shot = [found.figures[name] for name in ('unseen', 'seen', 'hm')]
    assert of_zero_shot == pytest.approx([u, s, 2 * u * s / (u + s)])
    assert found.groups['unseen'].nonzero()[0].tolist() == [0, HOLD_BICYCLE]


def test_gen_vlkt_means_over_the_annotated_classes_and_looks_at_a_hundred_of_an_image() -> None:
    images = [image('a', (A, A, RIDE_BICYCLE)), image('b', (A, A, RIDE_BICYCLE))]
    hundred = [(0, FAR, A, HOLD_BICYCLE, 0.5)] * 100
    late = predictions(*hundred, (0, A, A, RIDE_BICYCLE, 0.5), (1, A, A, RIDE_BICYCLE, 0.1))
    early = predictions((0, A, A, RIDE_BICYCLE, 0.6), *hundred, (1, A, A, RIDE_BICYCLE, 0.1))
    assert outcome(images, late, convention='gen-vlkt').figures['full'] == pytest.approx(600 / 11)
    full = outcome(images, early, convention='gen-vlkt').figures
    assert (full['full'], full['non_rare'], full['rare']) == pytest.approx((100, 100, 0))
    assert (full['mprec'], full['mrec']) == (1, 0.5)
    kept = HicoDet(images, 'gen-vlkt').rank(early)['gen-vlkt']
    assert sorted(kept.row.tolist()) == [*range(100), 101]


def test_no_predictions_give_zero() -> None:
    found = outcome([image('a', (A, A, RIDE_BICYCLE))], ScoredPairs.concatenate([]))
    assert set(found.figures.values()) == {0, 0.5}


def test_unknown_convention_is_named() -> None:
    with pytest.raises(ValueError, match="'matlab', expected one of"):
        HicoDet([], 'matlab')


@pytest.mark.parametrize('convention', CONVENTIONS)
def test_parts_are_ranked_as_the_whole(convention: str) -> None:
    random = np.random.default_rng(0)
    images = [image(str(i), (A, A, RIDE_BICYCLE), (B, A, HOLD_BICYCLE)) for i in range(30)]
    rows = np.repeat(np.arange(60), 9)
    found = jittered(annotated_pairs(images).take(rows), random)
    found = found.take(np.argsort(found.image, kind='stable'))
    cut = np.searchsorted(found.image, [0, 7, 7, 20, 30])
    parts = [found.take(np.arange(a, b)) for a, b in zip(cut, cut[1:])]
    benchmark = HicoDet(images, convention)
    whole, merged = (evaluate(benchmark, of, f1_threshold=0.3) for of in ([found], parts))
    assert merged.figures == whole.figures
    for field in fields(whole.ranked):
        one, other = (getattr(of.ranked, field.name) for of in (merged, whole))
        assert np.array_equal(one, other), field.name


def test_f1_counts_detections_above_the_threshold(vocabulary: Vocabulary) -> None:
    images = [image(str(i), (A, A, RIDE_BICYCLE)) for i in range(4)]
    found = predictions(
        (0, A, A, RIDE_BICYCLE, 0.9), (1, FAR, A, RIDE_BICYCLE, 0.8), (2, A, A, RIDE_BICYCLE, 0.5)
    )
    ranked = rank(images, found)
    at_half = f1_at(ranked, 0.5)  # 0.5 is not above 0.5: one right of two, one of four
    assert (at_half.mprec, at_half.mrec) == pytest.approx((0.5 / 600, 0.25 / 600))
    assert at_half.mf1 == pytest.approx(2 * 0.5 * 0.25 / 0.75 / 600)
    assert best_f1_threshold(ranked).threshold == 0.01


boxes = st.sampled_from([A, B, HALF, [0, 0, 8, 10], [0, 0, 8, 8], [0, 0, 5, 10], [2, 0, 12, 10]])
classes = st.sampled_from([RIDE_BICYCLE, HOLD_BICYCLE])
scores = st.sampled_from([0.2, 0.2 + 1e-12, 0.5, 0.9])


@settings(max_examples=150, deadline=None)
@given(
    annotated=st.lists(
        st.lists(st.tuples(boxes, boxes, classes), max_size=4), min_size=3, max_size=3
    ),
    found=st.lists(
        st.tuples(st.integers(0, 2), boxes, boxes, classes, scores), min_size=1, max_size=25
    ),
    convention=st.sampled_from(CONVENTIONS),
)
def test_same_as_the_slow_evaluator(annotated: list, found: list, convention: str) -> None:
    vocabulary = load_vocabulary('hico-det')
    images = [image(str(index), *pairs) for index, pairs in enumerate(annotated)]
    assert_same_as_slow(images, predictions(*found), vocabulary, convention)


def test_real_annotations_jittered_are_evaluated_as_by_the_slow_evaluator(
    test_images: list[AnnotatedImage], vocabulary: Vocabulary, shared: Path
) -> None:
    images = test_images[:100]
    found = jittered(annotated_pairs(images), np.random.default_rng(0))
    known = read_known_objects(
        shared / 'data/hicodet/anno.mat', [i.file_name for i in images], vocabulary.hois[:, 1]
    )
    for convention in CONVENTIONS:
        assert_same_as_slow(images, found, vocabulary, convention)
    assert_same_as_slow(images, found, vocabulary, 'official', known)


def test_annotations_as_predictions(
    test_images: list[AnnotatedImage], vocabulary: Vocabulary
) -> None:
    """All right, where no pair is annotated twice alike (the second could never be found)."""
    annotated = annotated_pairs(test_images)
    key = np.column_stack([annotated.image, annotated.hoi, annotated.boxes_h, annotated.boxes_o])
    _, first = np.unique(key, axis=0, return_index=True)
    twice = np.ones(len(annotated), bool)
    twice[first] = False
    clean = np.setdiff1d(np.arange(600), annotated.hoi[twice])
    for convention in ('official', 'pvic'):  # not the one that looks at 100 of an image
        ranked = rank(test_images, annotated, convention)
        ap = average_precision(ranked)
        assert (ap[clean] == pytest.approx(1.0)) and (ap > 0.9).all()
        assert ranked.correct.sum() == len(first)


def test_known_objects_of_the_test_set(
    test_images: list[AnnotatedImage], vocabulary: Vocabulary, shared: Path
) -> None:
    names = [image.file_name for image in test_images]
    known = read_known_objects(shared / 'data/hicodet/anno.mat', names, vocabulary.hois[:, 1])
    assert known.shape == (80, 9658)
    assert known.sum() == 9827  # spec section 10
    # As eval_one.m asserts: whatever is annotated with boxes is known.
    assert all(known[image.object, i].all() for i, image in enumerate(test_images))


def test_interactions_become_classes_of_the_object(vocabulary: Vocabulary) -> None:
    verb, bicycle = vocabulary.hois[RIDE_BICYCLE]
    annotated = image('a', (A, FAR, RIDE_BICYCLE))
    annotated = AnnotatedImage(
        **{**vars(annotated), 'object': np.array([bicycle]), 'verb': np.array([verb])}
    )
    not_on_a_bicycle = int(np.flatnonzero(~vocabulary.valid[bicycle])[0])
    one = np.array([1, 1])
    triplets = Interactions(
        human=one * 0,
        object=one,
        verb=np.array([not_on_a_bicycle, verb]),
        score=np.array([0.9, 0.8], np.float32),
        verb_score=np.array([0.9, 0.8], np.float32),
    )
    pairs = predicted_pairs(0, ground_truth_detections(annotated), triplets, vocabulary)
    found = outcome([annotated], pairs)
    assert found.per_class_ap[RIDE_BICYCLE] == pytest.approx(100)
    assert found.figures['mprec'] == pytest.approx(1 / 600)


# ---------------------------------------------------------------- the slow evaluator


def assert_same_as_slow(
    images: list[AnnotatedImage],
    found: ScoredPairs,
    vocabulary: Vocabulary,
    convention: str,
    known: np.ndarray | None = None,
) -> None:
    benchmark = HicoDet(images, convention, known)
    ranked = benchmark.rank(found)
    ap = benchmark.outcome(ranked, 0.5).per_class_ap
    f1 = {threshold: f1_at(ranked[convention], threshold) for threshold in (0.2, 0.5)}
    f1_sums = dict.fromkeys(f1, 0.0)
    looked_at = slow_selection(images, found, convention, known, vocabulary)
    there = {int(hoi) for pairs in (found, annotated_pairs(images)) for hoi in pairs.hoi}
    not_there = 0.0 if convention != 'gen-vlkt' else np.nan
    assert np.array_equal(
        np.delete(ap, list(there)), [not_there] * (600 - len(there)), equal_nan=True
    )
    for hoi in there:
        slow, slow_f1 = slow_class(images, found, looked_at, hoi, convention)
        assert ap[hoi] == pytest.approx(slow, abs=1e-10, nan_ok=True), hoi
        f1_sums = {threshold: f1_sums[threshold] + slow_f1[threshold] for threshold in f1}
    for threshold, figures in f1.items():
        assert figures.mf1 == pytest.approx(f1_sums[threshold] / 600)


def slow_selection(images, found, convention, known, vocabulary):  # noqa: ANN001, ANN201
    """The rows that the convention and the protocol count."""
    rows = list(range(len(found)))
    if convention == 'gen-vlkt':
        of_images = [[row for row in rows if found.image[row] == i] for i in range(len(images))]
        rows = [
            row
            for of in of_images
            for row in sorted(of, key=lambda row: (-found.score[row], row))[:100]
        ]
    if convention == 'pvic':
        rows = [row for row in rows if len(images[found.image[row]].hoi)]
    if known is not None:
        rows = [row for row in rows if known[vocabulary.hois[found.hoi[row], 1], found.image[row]]]
    return rows


def slow_class(images, found, looked_at, hoi, convention):  # noqa: ANN001, ANN201
    """AP in percent and F1 at two thresholds of one class, one detection after the other (spec
    section 10).
    """
    rows = [row for row in looked_at if found.hoi[row] == hoi]
    rows.sort(key=lambda row: (-found.score[row], found.image[row], row))
    annotated = sum(int((image.hoi == hoi).sum()) for image in images)
    used, labels = set(), []
    for row in rows:
        picture = images[found.image[row]]
        best, best_overlap = None, -1.0
        for pair in np.flatnonzero(picture.hoi == hoi):
            overlap = min(
                inclusive_iou(found.boxes_h[row], picture.boxes_h[pair]),
                inclusive_iou(found.boxes_o[row], picture.boxes_o[pair]),
            )
            if overlap > best_overlap:
                best, best_overlap = (int(found.image[row]), int(pair)), overlap
        fits = best_overlap > 0.5 if convention == 'pvic' else best_overlap >= 0.5
        labels.append(fits and best not in used)
        if fits:
            used.add(best)
    ap, f1 = 0.0 if annotated or convention != 'gen-vlkt' else np.nan, {}
    if rows and annotated:
        right = np.cumsum(labels)
        precision, recall = right / np.arange(1, len(rows) + 1), right / annotated
        points = torch.linspace(0, 1, 11, dtype=torch.float64).tolist()
        if convention == 'gen-vlkt':
            points = np.arange(0.0, 1.1, 0.1).tolist()
        ap = sum(100 * max(precision[recall >= point], default=0) / 11 for point in points)
    for threshold in (0.2, 0.5):
        kept = [label for row, label in zip(rows, labels) if found.score[row] > threshold]
        f1[threshold] = 0.0
        if any(kept):
            p, r = sum(kept) / len(kept), sum(kept) / annotated
            f1[threshold] = 2 * p * r / (p + r)
    return ap, f1


def inclusive_iou(a: np.ndarray, b: np.ndarray) -> float:
    """IoU as VOCevaldet_bboxpair.m has it, after conversion to 1-based inclusive pixels."""
    (ax1, ay1, ax2, ay2), (bx1, by1, bx2, by2) = (
        (float(x1) + 1, float(y1) + 1, float(x2), float(y2)) for x1, y1, x2, y2 in (a, b)
    )
    width = min(ax2, bx2) - max(ax1, bx1) + 1
    height = min(ay2, by2) - max(ay1, by1) + 1
    if width <= 0 or height <= 0:
        return 0.0
    area_a, area_b = (
        (x2 - x1 + 1) * (y2 - y1 + 1)
        for x1, y1, x2, y2 in ((ax1, ay1, ax2, ay2), (bx1, by1, bx2, by2))
    )
    return width * height / (area_a + area_b - width * height)


def jittered(pairs: ScoredPairs, random: np.random.Generator) -> ScoredPairs:
    """Annotated pairs three times, moved, partly of another class or image, shuffled, with ties."""
    rows = random.permutation(np.repeat(np.arange(len(pairs)), 3))
    pairs = pairs.take(rows)

    def move(boxes: np.ndarray) -> np.ndarray:
        sides = np.tile(boxes[:, 2:] - boxes[:, :2], 2)
        moved = boxes + random.normal(0, 0.12, boxes.shape) * sides
        # Some whole pixels, so that exact halves and ties of overlap occur.
        moved = np.where(random.random((len(boxes), 1)) < 0.5, np.round(moved), moved)
        return moved.astype(np.float32)

    count = len(pairs)
    other = random.random(count) < 0.2
    return ScoredPairs(
        np.where(random.random(count) < 0.05, random.permutation(pairs.image), pairs.image),
        move(pairs.boxes_h),
        move(pairs.boxes_o),
        np.where(other, random.permutation(pairs.hoi), pairs.hoi),
        np.round(random.random(count), 2),
    )
