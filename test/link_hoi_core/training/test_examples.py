"""Training examples: targets by association, augmentation, and batches that cover every image."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from link_hoi_core.data.hico_det import AnnotatedImage, read_hico_det
from link_hoi_core.model.scene import list_pairs
from link_hoi_core.training.batch import NEITHER
from link_hoi_core.training.examples import HoiExamples
from link_hoi_core.training.experiment import Augmentation

PERSON, VERBS = 0, 117
NOTHING = Augmentation(flip=0, jitter=0, score_noise=0)


def annotated(*pairs: tuple[list, list, int, int]) -> AnnotatedImage:
    """Pairs of (human box, object box, object, verb) in an image of 480 x 640."""
    boxes_h, boxes_o, objects, verbs = zip(*pairs) if pairs else ([], [], [], [])
    boxes = (np.array(rows, np.float32).reshape(-1, 4) for rows in (boxes_h, boxes_o))
    ids = (np.array(values, np.int64) for values in (verbs, objects, verbs))
    hoi, object_, verb = ids
    return AnnotatedImage('x.jpg', (480, 640), *boxes, hoi=hoi, object=object_, verb=verb)


def examples(*images: AnnotatedImage, augmentation: Augmentation = NOTHING) -> HoiExamples:
    return HoiExamples(images, PERSON, VERBS, augmentation)


def positives(item: tuple) -> set[tuple[int, int, int]]:
    """(human, object, verb), indices into the item's detections."""
    detections, targets = item
    pairs = list_pairs(detections.labels, PERSON)
    assert targets.shape == (len(pairs), VERBS)
    return {(*pairs[pair].tolist(), int(verb)) for pair, verb in zip(*np.nonzero(targets))}


A, B = [10, 10, 110, 210], [300, 10, 400, 210]
BICYCLE_BOX, CHAIR_BOX = [40, 100, 180, 250], [310, 150, 420, 300]


def test_every_verb_of_a_pair_is_a_target() -> None:
    item = examples(
        annotated((A, BICYCLE_BOX, 1, 76), (A, BICYCLE_BOX, 1, 36), (B, CHAIR_BOX, 56, 87))
    )[0]
    assert item[0].labels.tolist() == [0, 0, 1, 56]
    assert positives(item) == {(0, 2, 76), (0, 2, 36), (1, 3, 87)}


def test_overlap_of_both_boxes_decides_and_the_class_does_not() -> None:
    """The bicycle's box lies on the chair's (IoU >= 0.5), so both take each other's verbs."""
    on_chair = [311, 151, 421, 301]
    item = examples(annotated((B, CHAIR_BOX, 56, 87), (B, on_chair, 1, 76)))[0]
    assert item[0].labels.tolist() == [0, 1, 56]
    assert positives(item) == {(0, 1, 76), (0, 1, 87), (0, 2, 76), (0, 2, 87)}


def test_two_annotations_of_one_person_are_one_detection_with_both_verbs() -> None:
    near_a = [14, 12, 112, 214]
    item = examples(annotated((A, BICYCLE_BOX, 1, 76), (near_a, CHAIR_BOX, 56, 87)))[0]
    assert item[0].labels.tolist() == [0, 1, 56]
    assert positives(item) == {(0, 1, 76), (0, 2, 87)}


def test_less_than_half_an_overlap_is_no_match() -> None:
    """Persons of IoU 1/3 are two detections; the bicycle is ridden by the first only."""
    beside = [60, 10, 160, 210]
    item = examples(annotated((A, BICYCLE_BOX, 1, 76), (beside, CHAIR_BOX, 56, 87)))[0]
    assert positives(item) == {(0, 2, 76), (1, 3, 87)}


def test_a_person_may_be_the_object() -> None:
    item = examples(annotated((A, B, PERSON, 9)))[0]
    assert positives(item) == {(0, 1, 9)}


def test_unchanged_where_nothing_is_to_change() -> None:
    detections, _ = examples(annotated((A, BICYCLE_BOX, 1, 76)))[0]
    assert detections.boxes.tolist() == [A, BICYCLE_BOX]
    assert detections.scores.tolist() == [1, 1] and detections.image_size == (480, 640)


def test_flip_mirrors_boxes_and_keeps_targets() -> None:
    image = annotated((A, BICYCLE_BOX, 1, 76))
    item = examples(image, augmentation=Augmentation(flip=1, jitter=0, score_noise=0))[0]
    assert item[0].boxes.tolist() == [[530, 10, 630, 210], [460, 100, 600, 250]]
    assert positives(item) == {(0, 1, 76)}


def test_score_noise() -> None:
    image = annotated((A, BICYCLE_BOX, 1, 76), (B, CHAIR_BOX, 56, 87))
    changed = Augmentation(flip=0, jitter=0, score_noise=1, least_score=0.4)
    scores = np.stack([examples(image, augmentation=changed)[0][0].scores for _ in range(50)])
    assert (scores >= 0.4).all() and (scores <= 1).all() and len(np.unique(scores)) == 200


def test_everything_at_once_stays_a_valid_example() -> None:
    image = annotated((A, BICYCLE_BOX, 1, 76), (B, CHAIR_BOX, 56, 87))
    items = [examples(image, augmentation=Augmentation())[0] for _ in range(100)]
    assert all(positives(item) == {(0, 2, 76), (1, 3, 87)} for item in items)  # 0.1 stays a match
    assert len({item[0].boxes.tobytes() for item in items}) == 100


def test_images_without_a_pair_are_left_out() -> None:
    no_size = AnnotatedImage('y.jpg', None, *(getattr(annotated(), name) for name in (
        'boxes_h', 'boxes_o', 'hoi', 'object', 'verb')))  # fmt: skip
    alone = annotated((A, A, PERSON, 9))  # merged into one person: no second detection
    found = examples(annotated(), no_size, alone, annotated((A, BICYCLE_BOX, 1, 76)))
    assert len(found) == 1 and found.pair_counts == [1]
    assert len(examples(annotated(), no_size)) == 0


def test_hidden_labels_are_neither_positive_nor_negative() -> None:
    """But where a label is drawn too, it counts."""
    drawn = annotated((A, BICYCLE_BOX, 1, 76), (B, CHAIR_BOX, 56, 87))
    hidden = annotated((A, BICYCLE_BOX, 1, 36), (B, CHAIR_BOX, 56, 87), (A, CHAIR_BOX, 56, 8))
    found = HoiExamples([annotated(), drawn], PERSON, VERBS, NOTHING, [annotated(), hidden])
    detections, targets = found[0]
    pairs = list_pairs(detections.labels, PERSON).tolist()
    assert targets[pairs.index([0, 2])].nonzero()[0].tolist() == [36, 76]
    assert targets[pairs.index([0, 2]), [36, 76]].tolist() == [NEITHER, 1]
    assert targets[pairs.index([1, 3]), 87] == 1
    assert targets[pairs.index([0, 3]), 8] == NEITHER
    assert (targets == NEITHER).sum() == 2 and (targets == 1).sum() == 2


def test_collate_pads_targets_with_the_scene() -> None:
    found = examples(
        annotated((A, BICYCLE_BOX, 1, 76)),
        annotated((A, BICYCLE_BOX, 1, 36), (B, CHAIR_BOX, 56, 87)),
    )
    scene, targets = found.collate([found[0], found[1]])
    assert targets.shape == (2, 6, VERBS) and targets.dtype == torch.float32
    assert targets[0].nonzero().tolist() == [[0, 76]]
    assert targets[~scene.pair_present].sum() == 0
    assert targets[1].sum() == 2


def test_seeds_repeat() -> None:
    found = examples(annotated((A, BICYCLE_BOX, 1, 76)), augmentation=Augmentation())
    draws = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        draws.append([found[0][0].boxes.tobytes() for _ in range(5)])
    assert draws[0] == draws[1] != draws[2]


def test_examples_of_an_annotation_file(
    write_annotations: Callable[..., Path], tmp_path: Path
) -> None:
    images = read_hico_det(write_annotations(tmp_path / 'a.json', 20))
    found = examples(*images)
    assert len(found) == 16
    for index in range(len(found)):
        assert positives(found[index])


def test_real_annotations_have_a_target_in_nearly_every_image(shared: Path) -> None:
    path = shared / 'data' / 'hicodet' / 'instances_train2015.coco80.from_hake.json.gz'
    found = examples(*read_hico_det(path)[:3000], augmentation=Augmentation())
    with_targets = [found[index][1].any() for index in range(len(found))]
    assert np.mean(with_targets) > 0.99
