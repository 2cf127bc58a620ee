"""Training examples: targets by association, augmentation, and batches that cover every image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from link_hoi_core.backbones.backbone import Input, prepare
from link_hoi_core.data.hico_det import (
    AnnotatedImage,
    ground_truth_detections,
    read_hico_det,
)
from link_hoi_core.data.views import Augmentation, View, fixed_view
from link_hoi_core.model.scene import list_pairs
from link_hoi_core.structures import Detections
from link_hoi_core.training.batch import NEITHER
from link_hoi_core.training.examples import Example, HoiExamples
from link_hoi_core.training.pictures import Pictures

PERSON, VERBS = 0, 117
NOTHING = Augmentation(flip=0, jitter=0, score_noise=0)


def annotated(*pairs: tuple[list, list, int, int]) -> AnnotatedImage:
    """Pairs of (human box, object box, object, verb) in an image of 480 x 640."""
    boxes_h, boxes_o, objects, verbs = zip(*pairs) if pairs else ([], [], [], [])
    boxes = (np.array(rows, np.float32).reshape(-1, 4) for rows in (boxes_h, boxes_o))
    ids = (np.array(values, np.int64) for values in (verbs, objects, verbs))
    hoi, object_, verb = ids
    return AnnotatedImage('x.jpg', (480, 640), *boxes, hoi=hoi, object=object_, verb=verb)


def annotated_boxes(images: Sequence[AnnotatedImage]) -> list[Detections]:
    """Ground truth; images without pairs may be without a size, and have no boxes."""
    return [
        ground_truth_detections(image) if len(image.hoi) else Detections.empty((480, 640))
        for image in images
    ]


def examples(
    *images: AnnotatedImage, augmentation: Augmentation = NOTHING, pictures: Pictures | None = None
) -> HoiExamples:
    boxes = annotated_boxes(images)
    return HoiExamples(images, boxes, PERSON, VERBS, augmentation, pictures=pictures)


def positives(example: Example) -> set[tuple[int, int, int]]:
    """(human, object, verb), indices into the example's detections."""
    pairs, targets = list_pairs(example.detections.labels, PERSON), example.targets
    assert targets.shape == (len(pairs), VERBS) and targets.dtype == np.float32
    return {(*pairs[pair].tolist(), int(verb)) for pair, verb in zip(*np.nonzero(targets))}


A, B = [10, 10, 110, 210], [300, 10, 400, 210]
BICYCLE_BOX, CHAIR_BOX = [40, 100, 180, 250], [310, 150, 420, 300]


def test_every_verb_of_a_pair_is_a_target() -> None:
    example = examples(
        annotated((A, BICYCLE_BOX, 1, 76), (A, BICYCLE_BOX, 1, 36), (B, CHAIR_BOX, 56, 87))
    )[0]
    assert example.detections.labels.tolist() == [0, 0, 1, 56]
    assert positives(example) == {(0, 2, 76), (0, 2, 36), (1, 3, 87)}


def test_overlap_of_both_boxes_decides_and_the_class_does_not() -> None:
    """The bicycle's box lies on the chair's (IoU >= 0.5), so both take each other's verbs."""
    on_chair = [311, 151, 421, 301]
    example = examples(annotated((B, CHAIR_BOX, 56, 87), (B, on_chair, 1, 76)))[0]
    assert example.detections.labels.tolist() == [0, 1, 56]
    assert positives(example) == {(0, 1, 76), (0, 1, 87), (0, 2, 76), (0, 2, 87)}


def test_two_annotations_of_one_person_are_one_detection_with_both_verbs() -> None:
    near_a = [14, 12, 112, 214]
    example = examples(annotated((A, BICYCLE_BOX, 1, 76), (near_a, CHAIR_BOX, 56, 87)))[0]
    assert example.detections.labels.tolist() == [0, 1, 56]
    assert positives(example) == {(0, 1, 76), (0, 2, 87)}


def test_less_than_half_an_overlap_is_no_match() -> None:
    """Persons of IoU 1/3 are two detections; the bicycle is ridden by the first only."""
    beside = [60, 10, 160, 210]
    example = examples(annotated((A, BICYCLE_BOX, 1, 76), (beside, CHAIR_BOX, 56, 87)))[0]
    assert positives(example) == {(0, 2, 76), (1, 3, 87)}


def test_a_person_may_be_the_object() -> None:
    example = examples(annotated((A, B, PERSON, 9)))[0]
    assert positives(example) == {(0, 1, 9)}


def test_unchanged_where_nothing_is_to_change() -> None:
    detections = examples(annotated((A, BICYCLE_BOX, 1, 76)))[0].detections
    assert detections.boxes.tolist() == [A, BICYCLE_BOX]
    assert detections.scores.tolist() == [1, 1] and detections.image_size == (480, 640)


def test_flip_mirrors_boxes_and_keeps_targets() -> None:
    image = annotated((A, BICYCLE_BOX, 1, 76))
    example = examples(image, augmentation=Augmentation(flip=1, jitter=0, score_noise=0))[0]
    assert example.detections.boxes.tolist() == [[530, 10, 630, 210], [460, 100, 600, 250]]
    assert positives(example) == {(0, 1, 76)}


def test_score_noise() -> None:
    image = annotated((A, BICYCLE_BOX, 1, 76), (B, CHAIR_BOX, 56, 87))
    changed = Augmentation(flip=0, jitter=0, score_noise=1, least_score=0.4)
    found = examples(image, augmentation=changed)
    scores = np.stack([found[0].detections.scores for _ in range(50)])
    assert (scores >= 0.4).all() and (scores <= 1).all() and len(np.unique(scores)) == 200


def test_everything_at_once_stays_a_valid_example() -> None:
    image = annotated((A, BICYCLE_BOX, 1, 76), (B, CHAIR_BOX, 56, 87))
    items = [examples(image, augmentation=Augmentation())[0] for _ in range(100)]
    matched = {(0, 2, 76), (1, 3, 87)}  # boxes that move by 0.1 stay a match
    assert all(positives(example) == matched for example in items)
    assert len({example.detections.boxes.tobytes() for example in items}) == 100


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
    images = [annotated(), drawn]
    boxes, unseen = annotated_boxes(images), [annotated(), hidden]
    found = HoiExamples(images, boxes, PERSON, VERBS, NOTHING, unseen)[0]
    pairs, targets = list_pairs(found.detections.labels, PERSON).tolist(), found.targets
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
    batch = found.collate([found[0], found[1]])
    targets = batch.targets
    assert targets.shape == (2, 6, VERBS) and targets.dtype == torch.float32
    assert targets[0].nonzero().tolist() == [[0, 76]]
    assert targets[~batch.scene.pair_present].sum() == 0
    assert targets[1].sum() == 2
    assert batch.pictures == () and not batch.encoded


def test_seeds_repeat() -> None:
    found = examples(annotated((A, BICYCLE_BOX, 1, 76)), augmentation=Augmentation())
    draws = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        draws.append([found[0].detections.boxes.tobytes() for _ in range(5)])
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
    found = examples(*read_hico_det(path)[:1500], augmentation=Augmentation())
    with_targets = [found[index].targets.any() for index in range(len(found))]
    assert np.mean(with_targets) > 0.99


def test_hidden_labels_follow_a_view_too() -> None:
    drawn, hidden = annotated((A, BICYCLE_BOX, 1, 76)), annotated((A, BICYCLE_BOX, 1, 36))
    mirrored = Augmentation(flip=1, jitter=0, score_noise=0)
    found = HoiExamples([drawn], annotated_boxes([drawn]), PERSON, VERBS, mirrored, [hidden])[0]
    assert found.targets[0, [36, 76]].tolist() == [NEITHER, 1] and np.abs(found.targets).sum() == 2


def test_a_detectors_boxes_keep_their_scores_and_take_the_verbs_they_overlap() -> None:
    image = annotated((A, BICYCLE_BOX, 1, 76))
    near_a, far_off = [12, 8, 112, 205], [400, 300, 500, 400]
    boxes = [near_a, far_off, BICYCLE_BOX]
    detected = Detections(boxes, [0.9, 0.4, 0.7], [PERSON, PERSON, 1], (480, 640))
    alone = Detections([near_a], [0.9], [PERSON], (480, 640))
    found = HoiExamples([image, image], [detected, alone], PERSON, VERBS, NOTHING)
    assert len(found) == 1 and found.pair_counts == [4]  # without a pair of boxes it is left out
    assert positives(found[0]) == {(0, 2, 76)}
    assert found[0].detections.scores.tolist() == np.float32([0.9, 0.4, 0.7]).tolist()
    noisy = Augmentation(flip=0, jitter=0, score_noise=1, least_score=0.95)
    assert (HoiExamples([image], [detected], PERSON, VERBS, noisy)[0].detections.scores > 0.9).all()


# Four things that do not overlap, each filled with a colour of its own: two people with a chair
# and a ball at their sides, at the image's edges, so that crops cut all combinations of them.
LEFT, RIGHT = [10, 10, 60, 100], [560, 10, 630, 300]
BALL, CHAIR = [70, 400, 130, 470], [480, 400, 630, 470]
COLOURS = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0)]
SCENE = annotated((LEFT, BALL, 32, 4), (RIGHT, CHAIR, 56, 87))
SEEN = Augmentation(flip=0.5, crop=0.8, jitter=0, score_noise=0)
INPUTS = [
    Input((120, 160), (0, 0, 0), (1, 1, 1), 'bilinear'),
    Input((32, 32), (0.5, 0.5, 0.5), (1, 1, 1)),
]


def painting() -> np.ndarray:
    image = np.zeros((480, 640, 3), np.uint8)
    for (x1, y1, x2, y2), colour in zip((LEFT, RIGHT, BALL, CHAIR), COLOURS):
        image[y1:y2, x1:x2] = colour
    return image


class Memory:
    """Pictures of one image that lies in memory, prepared for two models; remembers the views."""

    encoded = False

    def __init__(self, views: int | None) -> None:
        self.views, self.image = views, painting()
        self.seen: list[tuple[View, int]] = []

    def load(self, name: str, view: View, number: int) -> tuple[torch.Tensor, ...]:
        assert name == 'x.jpg'
        self.seen.append((view, number))
        return tuple(prepare([view.picture(self.image)], wanted)[0] for wanted in INPUTS)


class Kept:
    """K pictures that were made before anything was drawn, as a cache holds them."""

    encoded = True

    def __init__(self, views: int, augmentation: Augmentation) -> None:
        self.views, maker = views, Memory(views)
        self.maps = {
            number: maker.load('x.jpg', fixed_view('x.jpg', number, (480, 640), augmentation), 0)
            for number in range(views)
        }
        self.loaded: list[int] = []

    def load(self, name: str, view: View, number: int) -> tuple[torch.Tensor, ...]:
        self.loaded.append(number)
        return tuple(picture.half() for picture in self.maps[number])


def assert_boxes_are_on_the_colours(example: Example) -> None:
    """Whatever shows in the first picture has a detection, in order, and none is without."""
    height, width = example.detections.image_size
    shown = []
    picture = example.pictures[0].permute(1, 2, 0).numpy()
    for colour in COLOURS:
        alike = np.abs(picture - np.array(colour) / 255).max(axis=-1) < 0.5
        if alike.any():
            rows, columns = np.flatnonzero(alike.any(axis=1)), np.flatnonzero(alike.any(axis=0))
            shown.append([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])
    scale = np.array([160 / width, 120 / height] * 2)
    boxes = example.detections.boxes * scale
    wide = (boxes[:, 2:] - boxes[:, :2] > 2).all(axis=1)  # a sliver is lost in the small picture
    if wide.all():
        np.testing.assert_allclose(boxes, np.reshape(shown, (-1, 4)), atol=1)
    else:
        assert len(shown) <= len(boxes)


def test_boxes_lie_on_the_pixels_of_any_view() -> None:
    """And a verb is a target as long as its own two boxes are seen, whatever else is cut."""
    torch.manual_seed(0)
    pictures = Memory(views=None)
    found = examples(SCENE, augmentation=SEEN, pictures=pictures)
    combinations = set()
    for _ in range(60):
        example = found[0]
        assert_boxes_are_on_the_colours(example)
        view, number = pictures.seen[-1]
        picture = view.picture(pictures.image)
        visible = [(picture == colour).all(axis=-1).any() for colour in COLOURS]
        kept = np.cumsum(visible) - 1  # where each of the four is among the detections
        assert positives(example) == {
            (kept[human], kept[object_], verb)
            for human, object_, verb in ((0, 2, 4), (1, 3, 87))
            if visible[human] and visible[object_]
        }
        assert example.detections.image_size == view.size and number == 0
        labels = np.array([PERSON, PERSON, 32, 56])
        assert example.detections.labels.tolist() == labels[visible].tolist()
        combinations.add((tuple(visible), view.flip))
    assert len(combinations) > 12
    seen = [visible for visible, _ in combinations]
    assert any(ball and not left for left, _, ball, _ in seen)  # an object without its human
    assert any(right and not chair for _, right, _, chair in seen)  # a human without its object


def test_boxes_that_move_stay_in_the_view() -> None:
    found = examples(SCENE, augmentation=Augmentation(crop=1, jitter=0.5))
    for _ in range(60):
        detections = found[0].detections
        (height, width), boxes = detections.image_size, detections.boxes
        assert (boxes >= 0).all() and (boxes <= [width, height, width, height]).all()


def test_boxes_lie_on_the_pixels_of_fixed_views() -> None:
    torch.manual_seed(0)
    pictures = Kept(4, SEEN)
    found = examples(SCENE, augmentation=SEEN, pictures=pictures)
    for _ in range(60):
        assert_boxes_are_on_the_colours(found[0])
    assert set(pictures.loaded) == {0, 1, 2, 3}
    assert found.collate([found[0]]).encoded


def test_pictures_of_the_whole_image_only() -> None:
    pictures = Memory(views=0)
    always = Augmentation(flip=1, crop=1, colour=1, jitter=0, score_noise=0)
    example = examples(SCENE, augmentation=always, pictures=pictures)[0]
    assert pictures.seen == [(View.whole((480, 640)), 0)]
    assert example.detections.boxes.tolist() == [LEFT, RIGHT, BALL, CHAIR]
    assert_boxes_are_on_the_colours(example)


def test_collate_stacks_pictures_by_backbone() -> None:
    found = examples(SCENE, augmentation=SEEN, pictures=Memory(views=None))
    items = [found[0] for _ in range(3)]
    batch = found.collate(items)
    assert [tuple(picture.shape) for picture in batch.pictures] == [
        (3, 3, 120, 160),
        (3, 3, 32, 32),
    ]
    for row, example in enumerate(items):
        assert all(map(torch.equal, [picture[row] for picture in batch.pictures], example.pictures))
    assert not batch.encoded


def test_a_crop_may_leave_no_pair() -> None:
    """Such an image has no target, alone or beside others, and the model takes it."""
    torch.manual_seed(0)
    corner = annotated(([0, 0, 20, 20], [20, 0, 40, 20], 32, 4))
    found = examples(corner, augmentation=Augmentation(crop=1))
    drawn = [found[0] for _ in range(60)]
    counts = [example.targets.shape for example in drawn]
    assert set(counts) >= {(0, VERBS), (1, VERBS)}
    assert [bool(positives(example)) for example in drawn] == [rows == 1 for rows, _ in counts]
    without = drawn[counts.index((0, VERBS))]
    mixed = found.collate([without, drawn[counts.index((1, VERBS))]])
    assert mixed.targets.shape == (2, 1, VERBS) and mixed.targets[0].sum() == 0
    assert mixed.scene.pair_present.tolist() == [[False], [True]]
    empty = found.collate([without, without])
    assert empty.targets.shape == (2, 0, VERBS) and empty.scene.pairs.shape == (2, 0, 2)
