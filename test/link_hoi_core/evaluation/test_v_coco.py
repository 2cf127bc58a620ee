"""V-COCO's figures: by hand, and against the official rules applied one prediction at a time."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from link_hoi_core.data.annotated_image import AnnotatedImage, annotated_image
from link_hoi_core.data.v_coco import coco_id, read_v_coco
from link_hoi_core.data.v_coco_official import Coco, read_actions, read_coco, read_v_coco_official
from link_hoi_core.data.v_coco_people import VCocoPeople, people_of_pairs, read_v_coco_people
from link_hoi_core.evaluation.outcome import evaluate
from link_hoi_core.evaluation.pairs import ScoredPairs, annotated_pairs
from link_hoi_core.evaluation.v_coco import ACTIONS, VCoco
from link_hoi_core.vocabulary import load_vocabulary

VOCABULARY = load_vocabulary('v-coco')
VERBS = VOCABULARY.verbs
HOLD, HIT_INSTR, HIT_OBJ = (VERBS.index(name) for name in ('hold obj', 'hit instr', 'hit obj'))
A, HALF, WIDER, FAR = [0, 0, 10, 10], [0, 0, 10, 5], [0, 0, 14, 10], [50, 50, 60, 60]
NOTHING = [0, 0, 0, 0]


def people(*rows: tuple[int, list, bool, dict[int, list | None]]) -> VCocoPeople:
    """Rows are (image, box, labelled, the object or None of each verb that is done).

    Whoever hits does so in both of its roles.
    """
    found = VCocoPeople(
        np.array([row[0] for row in rows], np.int64),
        np.array([row[1] for row in rows], np.float32).reshape(-1, 4),
        np.array([row[2] for row in rows], bool),
        np.zeros((len(rows), 24), bool),
        np.full((len(rows), 24, 4), np.nan, np.float32),
    )
    for index, (_, _, _, done) in enumerate(rows):
        for verb, box in done.items():
            found.acts[index, verb] = True
            if box is not None:
                found.boxes_o[index, verb] = box
    return found


def predictions(*rows: tuple[int, list, list, int, float]) -> ScoredPairs:
    """Rows are (image, human box, object box, verb, score)."""
    columns = list(zip(*rows)) or [()] * 5
    return ScoredPairs(
        np.array(columns[0], np.int32),
        np.array(columns[1], np.float32).reshape(-1, 4),
        np.array(columns[2], np.float32).reshape(-1, 4),
        np.array(columns[3], np.int32),
        np.array(columns[4], np.float64),
    )


def images(count: int) -> list[AnnotatedImage]:
    """Without pairs: the official figures do not look at them."""
    none, ids = np.zeros((0, 4), np.float32), np.zeros(0, np.int64)
    return [
        annotated_image(VOCABULARY, f'{i}', (99, 99), none, none, ids, ids) for i in range(count)
    ]


def correct(found: ScoredPairs, who: VCocoPeople) -> dict[str, dict[int, bool]]:
    """By rule: whether the prediction of each row that counts is right."""
    ranked = VCoco(images(2), who).rank(found)
    return {rule: dict(zip(of.row.tolist(), of.correct.tolist())) for rule, of in ranked.items()}


def test_a_missing_role_wants_no_object_in_scenario_1_and_any_in_scenario_2() -> None:
    who = people((0, A, True, {HOLD: None}), (1, A, True, {HOLD: FAR}))
    for object_, s1 in ((NOTHING, True), ([np.nan] * 4, True), (FAR, False)):
        found = correct(predictions((0, A, object_, HOLD, 0.9)), who)
        assert (found['s1'], found['s2']) == ({0: s1}, {0: True})
    there = correct(predictions((1, A, NOTHING, HOLD, 0.9), (1, A, FAR, HOLD, 0.8)), who)
    assert there['s1'] == there['s2'] == {0: False, 1: True}


def test_what_belongs_to_somebody_without_labels_does_not_count() -> None:
    who = people((0, A, True, {HOLD: FAR}), (0, WIDER, False, {}))
    found = correct(predictions((0, WIDER, FAR, HOLD, 0.9), (0, A, FAR, HOLD, 0.8)), who)
    assert found['s1'] == found['s2'] == found['agent'] == {1: True}


def test_the_nearest_person_is_taken_even_if_another_would_fit() -> None:
    who = people((0, A, True, {}), (0, WIDER, True, {HOLD: FAR}))
    found = correct(predictions((0, A, FAR, HOLD, 0.9)), who)
    assert found['s1'] == {0: False}


def test_a_person_is_found_once_in_each_role() -> None:
    who = people((0, A, True, {HIT_OBJ: FAR, HIT_INSTR: FAR}))
    rows = [(0, A, FAR, verb, score) for verb in (HIT_OBJ, HIT_INSTR) for score in (0.5, 0.5)]
    found = correct(predictions(*rows), who)
    assert found['s1'] == {0: True, 1: False, 2: True, 3: False}
    assert found['agent'] == {0: True}  # one human box and action, at its best role


def test_predicted_boxes_count_their_last_pixel() -> None:
    """0..9 and 0..4 are 50 of 100 pixels; with a row or a column less they are too few."""
    who = people((0, A, True, {HOLD: A}))
    assert correct(predictions((0, [0, 0, 9, 4], A, HOLD, 0.9)), who)['s1'] == {0: True}
    assert correct(predictions((0, [0, 0, 9, 3], A, HOLD, 0.9)), who)['s1'] == {0: False}
    assert correct(predictions((0, [0, 0, 8, 4], A, HOLD, 0.9)), who)['s1'] == {0: False}


def test_people_are_what_there_is_to_be_found_with_an_object_or_without() -> None:
    who = people((0, A, True, {HOLD: None}), (1, A, True, {HOLD: FAR}))
    benchmark = VCoco(images(2), who)
    found = benchmark.rank(predictions((1, A, FAR, HOLD, 0.9)))
    assert found['s1'].num_annotated[HOLD] == found['agent'].num_annotated[0] == 2
    figures = benchmark.outcome(found, 0.5).figures
    # The area under the envelope: precision 1 up to recall 1/2; point's role counts beside.
    assert figures['ap_role_s1'] == pytest.approx(50)
    assert figures['ap_role_s1_25'] == pytest.approx(25)
    assert list(figures)[:6] == [
        'ap_role_s1', 'ap_role_s2', 'ap_agent', 'map', 'ap_role_s1_25', 'ap_role_s2_25'
    ]  # fmt: skip


def test_converted_labels_say_so_and_know_the_people_of_the_pairs() -> None:
    verbs, objects = np.array([HIT_OBJ, HIT_OBJ, HOLD]), np.array([32, 32, 32])
    boxes = np.array([A, A, FAR], np.float32)
    one = annotated_image(VOCABULARY, 'a', (99, 99), boxes, boxes[::-1].copy(), objects, verbs)
    who = people_of_pairs([*images(1), one])
    # The box that hits two things is two people; whoever hits something, hits with something.
    assert who.image.tolist() == [1, 1, 1]
    assert who.boxes.tolist() == [A, A, FAR]
    assert [np.flatnonzero(acts).tolist() for acts in who.acts] == [[HIT_INSTR, HIT_OBJ]] * 2 + [
        [HOLD]
    ]
    assert np.isnan(who.boxes_o[0, HIT_INSTR]).all()
    assert who.boxes_o[:, HIT_OBJ][:2].tolist() == [FAR, A]
    benchmark = VCoco([one])
    assert (benchmark.labels, VCoco(images(1), who).labels) == ('converted', 'official')
    assert 'ap_role_s1_25' not in benchmark.outcome(benchmark.rank(predictions()), 0.5).figures


def test_no_people_and_no_predictions() -> None:
    found = predictions((0, A, A, HOLD, 0.9))
    for benchmark in (VCoco(images(1)), VCoco(images(1), people())):
        for pairs in (found, predictions()):
            figures = evaluate(benchmark, [pairs], 0.5).figures
            assert {name: x for name, x in figures.items() if x} == {'f1_threshold': 0.5}


def test_f1_is_a_mean_over_the_annotated_roles() -> None:
    who = people((0, A, True, {HOLD: A}))
    found = evaluate(VCoco(images(1), who), [predictions((0, A, A, HOLD, 0.9))], 0.5).figures
    assert (found['mf1'], found['mprec'], found['mrec']) == (1, 1, 1)


# ---------------------------------------------------------------- the slow evaluator

boxes = st.sampled_from([A, HALF, WIDER, [0, 0, 9, 4], [0, 0, 10, 12], [2, 0, 12, 10], FAR])
maybe = st.one_of(boxes, st.just(NOTHING))
verbs = st.sampled_from([HOLD, HIT_OBJ, HIT_INSTR])
scores = st.sampled_from([0.2, 0.2 + 1e-12, 0.5, 0.9])
hits = st.sampled_from([{}, {HIT_OBJ: None, HIT_INSTR: None}])
done = st.builds(
    lambda hit, objects: {**hit, **{v: box for v, box in objects.items() if v == HOLD or hit}},
    hits,
    st.dictionaries(verbs, st.one_of(st.none(), boxes), max_size=3),
)


@settings(max_examples=100, deadline=None)
@given(
    who=st.lists(st.tuples(st.integers(0, 2), boxes, st.booleans(), done), max_size=7),
    found=st.lists(st.tuples(st.integers(0, 2), boxes, maybe, verbs, scores), max_size=20),
    cut=st.integers(0, 3),
)
def test_same_as_the_slow_evaluator(who: list, found: list, cut: int) -> None:
    who = sorted(who, key=lambda row: row[0])
    who = [(image, box, labelled, doing if labelled else {}) for image, box, labelled, doing in who]
    found = sorted(found, key=lambda row: row[0])  # so that it can be cut between images
    benchmark = VCoco(images(3), people(*who))
    parts = [[row for row in found if (row[0] < cut) == first] for first in (True, False)]
    merged = evaluate(benchmark, [predictions(*part) for part in parts], 0.5)
    expected = {
        'ap_role_s1': {VERBS[v]: slow_role_ap(who, found, v, True) for v in range(24)},
        'ap_role_s2': {VERBS[v]: slow_role_ap(who, found, v, False) for v in range(24)},
        'ap_agent': {action: slow_agent_ap(who, found, action) for action in ACTIONS},
    }
    got = {'ap_role_s1': dict(zip(merged.class_names, merged.per_class_ap)), **merged.beside}
    for name, of_classes in expected.items():
        for class_, ap in of_classes.items():
            assert got[name][class_] == pytest.approx(ap, abs=1e-10, nan_ok=True), (name, class_)
        counted = [ap for ap in of_classes.values() if not np.isnan(ap)]
        assert merged.figures[name] == pytest.approx(sum(counted) / max(len(counted), 1))
    whole = evaluate(benchmark, [predictions(*found)], 0.5)
    for field in fields(whole.ranked):
        one, other = (getattr(of.ranked, field.name) for of in (merged, whole))
        assert np.array_equal(one, other), field.name


def slow_role_ap(who: list, found: list, verb: int, scenario_1: bool) -> float:
    rows = [row for row in found if row[3] == verb]

    def role_fits(prediction: tuple, doing: dict) -> bool:
        if doing[verb] is None:
            return prediction[2] == NOTHING or not scenario_1
        return inclusive_iou(prediction[2], doing[verb]) >= 0.5

    return slow_ap(who, rows, [verb], role_fits)


def slow_agent_ap(who: list, found: list, action: str) -> float:
    same = [verb for verb in range(24) if VERBS[verb].split()[0] == action]
    best: dict[tuple, tuple] = {}
    for row in found:
        key = row[0], tuple(row[1])
        if row[3] in same and (key not in best or row[4] > best[key][4]):
            best[key] = row
    in_order = sorted(
        best.values(), key=lambda row: next(i for i, r in enumerate(found) if r is row)
    )
    return slow_ap(who, in_order, same, lambda prediction, doing: True)


def slow_ap(who: list, rows: list, same: list[int], role_fits) -> float:  # noqa: ANN001
    """AP in percent of one class; NaN where nobody is annotated with it."""
    to_find = sum(any(verb in doing for verb in same) for _, _, _, doing in who)
    hits, covered, right = [], set(), 0
    for prediction in sorted(rows, key=lambda row: -row[4]):
        here = [i for i, person in enumerate(who) if person[0] == prediction[0]]
        overlaps = [inclusive_iou(prediction[1], who[i][1]) for i in here]
        nearest = here[overlaps.index(max(overlaps))] if here else None
        if nearest is not None and not who[nearest][2]:
            continue
        hit = False
        if nearest is not None and max(overlaps) >= 0.5:
            doing = who[nearest][3]
            hit = any(v in doing for v in same) and role_fits(prediction, doing)
        hits.append(hit and nearest not in covered)
        if hit:
            covered.add(nearest)
    if not to_find:
        return np.nan
    area = 0.0
    precisions = [sum(hits[: i + 1]) / (i + 1) for i in range(len(hits))]
    for place, hit in enumerate(hits):
        if hit:
            right += 1
            area += 100 / to_find * max(precisions[place:])
    return area


def inclusive_iou(predicted: list, annotated: list) -> float:
    """As vsrl_eval.py: annotated boxes end at x1 + width - 1, predicted ones where they say."""
    px1, py1, px2, py2 = predicted
    ax1, ay1, ax2, ay2 = annotated[0], annotated[1], annotated[2] - 1, annotated[3] - 1
    width = max(min(px2, ax2) - max(px1, ax1) + 1, 0)
    height = max(min(py2, ay2) - max(py1, ay1) + 1, 0)
    areas = (px2 - px1 + 1) * (py2 - py1 + 1) + (ax2 - ax1 + 1) * (ay2 - ay1 + 1)
    return width * height / (areas - width * height)


# ---------------------------------------------------------------- the real files


def test_official_files_of_the_images_whose_boxes_are_known(shared: Path) -> None:
    folder = shared / 'data/vcoco'
    path = folder / 'official/vcoco_val.json.gz'
    coco = read_coco(folder / 'official/vcoco_val_boxes_by_ann_id.json.gz')
    every = read_v_coco_official(path, coco)
    with pytest.raises(ValueError, match="COCO's boxes lack 797 of .* whole instances file"):
        read_v_coco_people(path, every, coco)
    images = known_images(path, every, coco)
    who = read_v_coco_people(path, images, coco)
    assert (len(images), len(who.image), who.labelled.sum()) == (2329, 3215, 3183)
    with_object = np.isfinite(who.boxes_o).all(axis=2)
    assert (with_object <= who.acts).all()
    assert with_object.sum() == sum(len(image.hoi) for image in images) == 6583
    person, verb = who.acts.nonzero()
    objects = np.nan_to_num(who.boxes_o[person, verb])
    told = ScoredPairs(
        *(who.image[person].astype(np.int32), who.boxes[person], objects.astype(np.float32)),
        *(verb.astype(np.int32), np.ones(len(verb))),
    )
    found = evaluate(VCoco(images, who), [told], 0.5).figures
    assert (found['ap_role_s1'], found['ap_role_s2'], found['ap_agent']) == pytest.approx(
        (100,) * 3
    )


def known_images(path: Path, images: list[AnnotatedImage], coco: Coco) -> list[AnnotatedImage]:
    """Those of which the extract has the boxes of all agents and objects."""
    lacking = set()
    for action in read_actions(path):
        lacking.update(
            i for i, agent in zip(action.images, action.agents) if agent not in coco.boxes
        )
        lacking.update(action.images[i] for _, i, o in action.objects() if o not in coco.boxes)
    return [image for image in images if coco_id(image.file_name) not in lacking]


def test_annotated_pairs_as_predictions_of_the_converted_test_set(shared: Path) -> None:
    images = read_v_coco(shared / 'data/vcoco/instances_vcoco_test.json.gz')
    pairs = annotated_pairs(images)
    verb = VOCABULARY.hois[pairs.hoi, 0].astype(np.int32)
    found = evaluate(VCoco(images), [replace(pairs, hoi=verb)], 0.5).figures
    # Short of 100: boxes annotated twice, and the second role of hit, eat and cut.
    assert 90 < found['ap_role_s1'] <= found['ap_role_s2'] < 100
    assert found['map'] > 99 and found['ap_agent'] > 99
