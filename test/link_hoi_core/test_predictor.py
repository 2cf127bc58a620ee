"""From detections to triplets, on an untrained model: indices, order, scores, crowds, bad input."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from predictor_checks import (
    BICYCLE,
    CHAIR,
    PERSON,
    SIZE,
    MakePredictor,
    one_sentence,
    random_detections,
    rows,
    same,
)

from link_hoi_core.model.scene import build_scene
from link_hoi_core.predictor import HoiPredictor
from link_hoi_core.structures import Detections
from link_hoi_core.vocabulary import load_vocabulary


def test_every_valid_verb_of_every_pair_is_scored_when_nothing_is_cut(
    make_predictor: MakePredictor,
) -> None:
    found = random_detections(12, 0)
    triplets = make_predictor(select=False).predict(None, found)
    valid = load_vocabulary('hico-det').valid
    expected = {
        (i, j, int(verb))
        for i in range(12)
        for j in range(12)
        if found.labels[i] == PERSON and i != j
        for verb in np.flatnonzero(valid[found.labels[j]])
    }
    assert len(triplets) == len(expected) and set(rows(triplets)) == expected


def mirrored(found: Detections) -> Detections:
    boxes = found.boxes[:, [2, 1, 0, 3]] * [-1, 1, -1, 1] + [SIZE[1], 0, SIZE[1], 0]
    return Detections(boxes, found.scores, found.labels, found.image_size)


def test_scores_are_those_of_the_model_on_the_scene_and_its_mirror_image(
    make_predictor: MakePredictor,
) -> None:
    found = random_detections(6, 1)
    predictor = make_predictor(select=False)
    scene, other = build_scene([found], PERSON), build_scene([mirrored(found)], PERSON)
    with torch.no_grad():
        logits = (predictor.model(scene).logits[-1][0] + predictor.model(other).logits[-1][0]) / 2
        probabilities = logits.double().sigmoid().numpy()
    triplets = rows(predictor.predict(None, found))
    for pair, (i, j) in enumerate(scene.pairs[0].tolist()):
        prior = float(found.scores[i]) * float(found.scores[j])
        for verb in np.flatnonzero(predictor.vocabulary.valid[found.labels[j]]):
            score, verb_score = triplets[i, j, verb]
            assert verb_score == pytest.approx(probabilities[pair, verb], abs=1e-5)
            assert score == pytest.approx(verb_score * prior, rel=1e-5)


def test_left_and_right_do_not_matter(make_predictor: MakePredictor) -> None:
    found, predictor = random_detections(8, 2), make_predictor(select=False)
    seen = rows(predictor.predict(None, found))
    in_a_mirror = rows(predictor.predict(None, mirrored(found)))
    assert seen.keys() == in_a_mirror.keys()
    assert all(seen[key] == pytest.approx(in_a_mirror[key], abs=1e-5) for key in seen)


def test_lambda_is_an_exponent_of_the_detectors_confidence(make_predictor: MakePredictor) -> None:
    found = random_detections(5, 2)
    for (i, j, _), (score, verb_score) in rows(
        make_predictor(select=False, score_exponent=2.8).predict(None, found)
    ).items():
        prior = float(found.scores[i]) * float(found.scores[j])
        assert score == pytest.approx(verb_score * prior**2.8, rel=1e-4)


def test_triplets_fall_by_score(make_predictor: MakePredictor) -> None:
    triplets = make_predictor().predict(None, random_detections(20, 3))
    assert len(triplets) > 100
    assert (np.diff(triplets.score) <= 0).all()
    assert ((triplets.score > 0) & (triplets.score <= triplets.verb_score)).all()
    assert triplets.human.dtype == triplets.object.dtype == triplets.verb.dtype == np.int64
    assert triplets.score.dtype == triplets.verb_score.dtype == np.float32


def test_indices_refer_to_what_was_given(make_predictor: MakePredictor) -> None:
    """Unknown objects, a duplicate and unsorted scores in between move no index."""
    person, bicycle = [100, 50, 200, 300], [80, 150, 260, 350]
    plain = Detections([person, bicycle], [0.9, 0.8], [PERSON, BICYCLE], SIZE)
    mixed = Detections(
        [[300, 10, 400, 90], bicycle, [0, 0, 30, 30], [101, 51, 201, 301], person],
        [0.99, 0.8, 0.95, 0.5, 0.9],
        [-1, BICYCLE, -1, PERSON, PERSON],
        SIZE,
    )
    predictor = make_predictor()
    expected = {
        (4, 1, verb): score for (_, _, verb), score in rows(predictor.predict(None, plain)).items()
    }
    found = rows(predictor.predict(None, mixed))
    assert found.keys() == expected.keys()
    for key, scores in expected.items():
        assert found[key] == pytest.approx(scores, abs=1e-5)


def test_selection_limits_who_takes_part(make_predictor: MakePredictor) -> None:
    found = random_detections(60, 4, size=(2000, 2000), side=40)
    triplets = make_predictor().predict(None, found)
    everything = make_predictor(select=False).predict(None, found)
    assert len(np.unique(triplets.human)) == 15 and len(np.unique(triplets.object)) <= 30
    assert len(np.unique(everything.human)) == (found.labels == PERSON).sum() > 15
    assert (found.labels[triplets.human] == PERSON).all()


def test_a_batch_gives_what_each_image_gives_alone(make_predictor: MakePredictor) -> None:
    counts = [0, 12, 1, 30, 2, 7, 3]
    images = [random_detections(n, n, (300 + 10 * n, 500)) for n in counts]
    images.append(Detections([[0, 0, 9, 9]] * 2, [1, 1], [CHAIR, BICYCLE], SIZE))
    predictor = make_predictor()
    batch = predictor.predict_batch(images)
    assert len(batch) == len(images)
    for image, together in zip(images, batch):
        alone, found = rows(predictor.predict(None, image)), rows(together)
        assert found.keys() == alone.keys()
        for key, scores in alone.items():
            assert found[key] == pytest.approx(scores, abs=1e-5)
    assert predictor.predict_batch([]) == []


@pytest.mark.parametrize(
    'detections',
    [
        Detections.empty(SIZE),
        Detections([[0, 0, 9, 9]], [0.9], [PERSON], SIZE),
        Detections([[0, 0, 9, 9], [20, 20, 30, 30]], [0.9, 0.8], [CHAIR, BICYCLE], SIZE),
        Detections([[0, 0, 9, 9], [20, 20, 30, 30]], [0.9, 0.8], [PERSON, -1], SIZE),
        Detections([[0, 0, 9, 9]] * 2, [0.9, 0.8], [PERSON, PERSON], SIZE),  # one, after NMS
    ],
    ids=['nothing', 'one person', 'no person', 'unknown object', 'one person twice'],
)
def test_without_a_pair_there_is_no_triplet(
    make_predictor: MakePredictor, detections: Detections
) -> None:
    triplets = make_predictor().predict(None, detections)
    assert len(triplets) == 0 and triplets.human.dtype == np.int64


@pytest.mark.parametrize('count', [1000, 5000])
def test_a_crowd(make_predictor: MakePredictor, count: int) -> None:
    found = random_detections(count, 5, (4000, 4000))
    triplets = make_predictor().predict(None, found)
    assert len(np.unique(triplets.human)) == 15
    assert len(set(zip(triplets.human.tolist(), triplets.object.tolist()))) == 435
    assert np.isfinite(triplets.score).all()


def test_two_persons_are_each_others_object(make_predictor: MakePredictor) -> None:
    found = Detections([[0, 0, 90, 200], [100, 0, 190, 200]], [0.9, 0.8], [PERSON, PERSON], SIZE)
    triplets = make_predictor().predict(None, found)
    pairs = set(zip(triplets.human.tolist(), triplets.object.tolist()))
    assert pairs == {(0, 1), (1, 0)}


def test_threshold_and_limit_keep_the_best_and_may_change(make_predictor: MakePredictor) -> None:
    found = random_detections(10, 6)
    predictor = make_predictor(select=False)
    everything = predictor.predict(None, found)
    threshold = float(np.median(everything.score))

    predictor.score_threshold = threshold
    above = predictor.predict(None, found)
    assert above.score.tolist() == everything.score[everything.score >= threshold].tolist()

    predictor.score_threshold, predictor.max_interactions = 0.0, 7
    best = predictor.predict(None, found)
    assert best.score.tolist() == everything.score[:7].tolist()
    assert best.verb.tolist() == everything.verb[:7].tolist()

    predictor.max_interactions = 0
    assert len(predictor.predict(None, found)) == 0


def test_a_label_outside_the_vocabulary_is_one_sentence(make_predictor: MakePredictor) -> None:
    found = Detections([[0, 0, 9, 9], [20, 20, 30, 30]], [0.9, 0.8], [PERSON, 80], SIZE)
    sentence = 'label 80 is outside the vocabulary hico-det of 80 objects'
    with pytest.raises(ValueError, match=sentence):
        make_predictor().predict(None, found)


def test_boxes_out_of_the_image_cost_the_others_nothing(make_predictor: MakePredictor) -> None:
    """A detector may report boxes beyond the border: they must not blot out the whole image."""
    inside = [[100, 50, 200, 300], [80, 150, 260, 350]]
    outside = [[650, 10, 700, 200], [700, 500, 800, 600], [-50, -50, -10, -10]]
    labels = [PERSON, BICYCLE, PERSON, BICYCLE, CHAIR]
    found = Detections(inside + outside, [0.9, 0.8, 0.7, 0.6, 0.5], labels, SIZE)
    triplets = make_predictor().predict(None, found)
    assert np.isfinite(triplets.score).all()
    assert (0, 1) in set(zip(triplets.human.tolist(), triplets.object.tolist()))


def test_partly_visible_and_tiny_boxes_are_scored(make_predictor: MakePredictor) -> None:
    boxes = [[-100, -100, 200, 700], [639.5, 479.5, 900, 900], [5, 5, 5.001, 5.001]]
    found = Detections(boxes, [0.9, 0.8, 0.7], [PERSON, BICYCLE, CHAIR], SIZE)
    triplets = make_predictor().predict(None, found)
    assert np.isfinite(triplets.score).all() and set(triplets.object.tolist()) == {1, 2}


def test_scores_of_zero_are_no_trouble(make_predictor: MakePredictor) -> None:
    found = Detections([[0, 0, 90, 200], [100, 0, 190, 200]], [0.0, 1.0], [PERSON, CHAIR], SIZE)
    triplets = make_predictor().predict(None, found)
    assert len(triplets) and triplets.score.tolist() == [0.0] * len(triplets)


def test_it_is_repeatable_and_leaves_its_input_alone(make_predictor: MakePredictor) -> None:
    found = random_detections(20, 7)
    before = found.boxes.copy(), found.scores.copy(), found.labels.copy()
    predictor = make_predictor()
    first, second = predictor.predict(None, found), predictor.predict(None, found)
    assert rows(first) == rows(second)
    for array, copy in zip((found.boxes, found.scores, found.labels), before):
        np.testing.assert_array_equal(array, copy)


def test_it_says_what_it_is(small_checkpoint: Path) -> None:
    predictor = HoiPredictor.from_checkpoint(small_checkpoint, max_interactions=3)
    assert predictor.model_name == 'small' and len(predictor.checkpoint_sha256) == 64
    assert predictor.vocabulary.id == 'hico-det'
    assert len(predictor.predict(None, random_detections(6, 8))) == 3


def test_saving_the_model_without_pixels(small_checkpoint: Path, tmp_path: Path) -> None:
    predictor = HoiPredictor.from_checkpoint(small_checkpoint, 'cpu')
    predictor.save_pretrained(str(tmp_path / 'mine'))
    again = HoiPredictor.from_checkpoint(tmp_path / 'mine', 'cpu')
    found = random_detections(8, 2)
    same(again.predict(None, found), predictor.predict(None, found), 0)


def test_pushing_without_a_network_is_one_sentence(
    small_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    constants = pytest.importorskip('huggingface_hub.constants')
    monkeypatch.setattr(constants, 'HF_HUB_OFFLINE', True)
    with pytest.raises(ConnectionError) as error:
        HoiPredictor.from_checkpoint(small_checkpoint, 'cpu').push_to_hub('someone/model')
    one_sentence(error, 'someone/model could not be put on the hub')


BLOCKED = 'torchvision open_clip transformers ultralytics lightning scipy cv2 yaml timm tensorboard'


def test_a_robot_needs_little_more_than_torch_and_numpy(small_checkpoint: Path) -> None:
    script = f"""
import sys
for name in {BLOCKED.split()!r}:
    sys.modules[name] = None  # importing it raises ImportError
import numpy as np
from link_hoi_core.predictor import HoiPredictor
from link_hoi_core.structures import Detections
predictor = HoiPredictor.from_checkpoint(sys.argv[1])
boxes = [[100, 50, 200, 300], [80, 150, 260, 350]]
print(len(predictor.predict(None, Detections(boxes, [1, 1], [0, 1], (480, 640)))))
assert not any(name.startswith(('rclpy', 'link_hoi_ros')) for name in sys.modules)
"""
    root = Path(__file__).resolve().parents[2]
    run = subprocess.run(
        [sys.executable, '-c', script, str(small_checkpoint)],
        capture_output=True,
        text=True,
        cwd=root,
        timeout=120,
    )
    assert run.returncode == 0, run.stderr
    verbs = load_vocabulary('hico-det').valid[BICYCLE].sum()
    assert int(run.stdout) == verbs


def test_the_embedded_model_sees_a_man_ride_a_bicycle() -> None:
    predictor = HoiPredictor.from_checkpoint('boxes')
    astride = Detections(
        [[100, 50, 200, 300], [80, 150, 260, 350]], [0.95, 0.9], [PERSON, BICYCLE], SIZE
    )
    triplets = predictor.predict(None, astride)
    best = [predictor.vocabulary.verbs[verb] for verb in triplets.verb[:4]]
    assert {'ride', 'straddle', 'sit_on'} & set(best[:2]) and 'no_interaction' not in best
    apart = Detections(
        [[10, 50, 60, 170], [500, 350, 620, 440]], [0.95, 0.9], [PERSON, BICYCLE], SIZE
    )
    ride = predictor.vocabulary.verb_index('ride')
    near, far = (rows(predictor.predict(None, found)) for found in (astride, apart))
    assert near[0, 1, ride][1] > 2 * far[0, 1, ride][1]


def test_the_embedded_model_is_small_and_says_what_it_is() -> None:
    from link_hoi_core.checkpoint import find_checkpoint

    folder = find_checkpoint('boxes')
    assert sum(file.stat().st_size for file in folder.iterdir()) <= 8_000_000
    card = (folder / 'README.md').read_text()
    assert 'no pixels' in card and 'link_hoi_core.train' in card


def test_scores_that_are_not_numbers_are_refused_not_dropped(make_predictor: MakePredictor) -> None:
    predictor = make_predictor()
    with torch.no_grad():
        predictor.model.head.bias[3] = float('nan')
    with pytest.raises(ValueError, match='small gives scores that are not finite numbers'):
        predictor.predict(None, random_detections(6, 8))
