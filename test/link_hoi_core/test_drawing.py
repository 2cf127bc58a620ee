"""What a person who looks at an overlay must see."""

from __future__ import annotations

import numpy as np
import pytest

from link_hoi_core.drawing import HUMAN, OBJECT, choose_shown, draw_interactions
from link_hoi_core.structures import Detections, Interactions
from link_hoi_core.vocabulary import load_vocabulary

pytest.importorskip('cv2')
VOCABULARY = load_vocabulary('hico-det')
BICYCLE = VOCABULARY.object_index('bicycle')
RIDE, HOLD, SIT_ON = (VOCABULARY.verb_index(verb) for verb in ('ride', 'hold', 'sit_on'))


def detections(boxes: list, labels: list, size: tuple[int, int]) -> Detections:
    return Detections(boxes, np.full(len(boxes), 0.9), labels, size)


def interactions(*triplets: tuple[int, int, int, float]) -> Interactions:
    human, object_, verb, score = zip(*triplets)
    return Interactions(*(np.array(column) for column in (human, object_, verb, score, score)))


def black(height: int, width: int) -> np.ndarray:
    return np.zeros((height, width, 3), np.uint8)


def test_every_box_is_drawn_at_its_own_place_and_size():
    boxes = [[20, 40, 220, 380], [300, 200, 560, 390], [420, 30, 580, 160]]
    found = detections(boxes, [0, BICYCLE, BICYCLE], (400, 600))
    drawn = draw_interactions(
        black(400, 600), found, interactions((0, 1, RIDE, 0.8), (0, 2, HOLD, 0.4)), VOCABULARY
    )
    for (x1, y1, x2, y2), colour in zip(boxes, (HUMAN, OBJECT, OBJECT)):
        middle_x, middle_y = (x1 + x2) // 2, (y1 + y2) // 2
        for x, y in ((middle_x, y1), (middle_x, y2 - 1), (x1, middle_y), (x2 - 1, middle_y)):
            assert tuple(drawn[y, x]) == colour, (x, y)


def test_what_takes_part_in_nothing_and_what_is_beyond_top_is_left_out():
    boxes = [[20, 40, 220, 380], [300, 200, 560, 390], [420, 30, 470, 160]]
    found = detections(boxes, [0, BICYCLE, BICYCLE], (400, 600))
    both = interactions((0, 1, RIDE, 0.8), (0, 2, HOLD, 0.4))
    drawn = draw_interactions(black(400, 600), found, both, VOCABULARY, top=1)
    assert not drawn[30:150, 420:480].any()
    first = draw_interactions(black(400, 600), found, both.take(slice(1)), VOCABULARY)
    assert np.array_equal(drawn, first)


def test_what_is_shown_is_one_box_a_participant_and_one_link_a_pair():
    boxes = [[20, 40, 220, 380], [300, 200, 560, 390], [420, 30, 580, 160], [0, 0, 5, 5]]
    found = detections(boxes, [0, 0, BICYCLE, 0], (400, 600))
    triplets = interactions((0, 1, HOLD, 0.9), (1, 2, RIDE, 0.8), (1, 2, SIT_ON, 0.7))
    participants, links = choose_shown(found, triplets, VOCABULARY)
    assert [(p.box.tolist(), p.name, p.colour) for p in participants] == [
        (boxes[2], 'bicycle', OBJECT),
        (boxes[0], 'person', HUMAN),
        (boxes[1], 'person', HUMAN),  # also where someone holds him
    ]
    assert [(link.human.tolist(), link.object.tolist(), link.verbs) for link in links] == [
        (boxes[0], boxes[1], ['hold 0.90']),
        (boxes[1], boxes[2], ['ride 0.80', 'sit on 0.70']),
    ]


def test_the_verbs_of_a_pair_share_one_label_and_verbs_change_the_picture():
    found = detections([[50, 50, 250, 390], [100, 200, 400, 390]], [0, BICYCLE], (400, 600))
    pictures = [
        draw_interactions(black(400, 600), found, interactions(*triplets), VOCABULARY)
        for triplets in (
            [(0, 1, RIDE, 0.8)],
            [(0, 1, HOLD, 0.8)],
            [(0, 1, RIDE, 0.8), (0, 1, HOLD, 0.7)],
        )
    ]
    assert not np.array_equal(pictures[0], pictures[1])
    lit = [int((picture.max(axis=2) > 0).sum()) for picture in pictures]
    assert lit[2] > lit[0]  # a second row of text


@pytest.mark.parametrize('box', ([0, 0, 640, 272], [-30, -20, 60, 40], [600, 250, 700, 300]))
def test_labels_stay_inside_the_image(box, monkeypatch):
    """Every text lies in the image even where the box does not."""
    import cv2

    written = []
    put = cv2.putText

    def spy(image, text, origin, font, scale, *rest):
        (width, ascent), descent = cv2.getTextSize(text, font, scale, rest[1])
        x, y = origin
        written.append((x, y - ascent, x + width, y + descent))
        return put(image, text, origin, font, scale, *rest)

    monkeypatch.setattr(cv2, 'putText', spy)
    found = detections([box, [300, 100, 400, 200]], [0, BICYCLE], (272, 640))
    triplets = [(0, 1, verb, 0.5) for verb in (RIDE, HOLD, SIT_ON)]
    draw_interactions(black(272, 640), found, interactions(*triplets), VOCABULARY)
    assert len(written) == 5  # two names and three verbs
    for x1, y1, x2, y2 in written:
        assert 0 <= x1 and 0 <= y1 and x2 <= 640 and y2 <= 272


def test_labels_grow_with_the_image():
    def label_pixels(scale: int) -> int:
        size = (400 * scale, 600 * scale)
        boxes = np.array([[50, 50, 250, 390], [100, 200, 400, 390]]) * scale
        found = detections(boxes, [0, BICYCLE], size)
        drawn = draw_interactions(black(*size), found, interactions((0, 1, RIDE, 0.8)), VOCABULARY)
        return int((drawn.max(axis=2) > 0).sum())

    assert label_pixels(4) > 8 * label_pixels(1)


def test_without_interactions_it_is_a_copy_of_the_image():
    image = np.random.default_rng(0).integers(0, 256, (40, 60, 3)).astype(np.uint8)
    found = detections([[5, 5, 20, 20]], [0], (40, 60))
    for shown in (found, Detections.empty((40, 60))):
        drawn = draw_interactions(image, shown, Interactions.empty(), VOCABULARY)
        assert np.array_equal(drawn, image)
        assert not np.shares_memory(drawn, image)


def test_the_input_is_not_changed_and_any_layout_is_read():
    bgr = np.random.default_rng(0).integers(0, 256, (200, 300, 3)).astype(np.uint8)
    bgr.setflags(write=False)
    before = bgr.copy()
    found = detections([[5, 5, 90, 190], [60, 90, 180, 190]], [0, BICYCLE], (200, 300))
    drawn = draw_interactions(bgr[:, :, ::-1], found, interactions((0, 1, RIDE, 0.8)), VOCABULARY)
    assert np.array_equal(bgr, before)
    assert drawn.shape == bgr.shape and drawn.dtype == np.uint8
    assert not np.array_equal(drawn, bgr[:, :, ::-1])


def test_an_image_of_one_pixel_and_a_person_acting_on_a_person():
    found = detections([[0, 0, 1, 1], [0, 0, 1, 1]], [0, 0], (1, 1))
    drawn = draw_interactions(black(1, 1), found, interactions((0, 1, HOLD, 0.8)), VOCABULARY)
    assert drawn.shape == (1, 1, 3)


def test_an_object_outside_the_vocabulary_is_drawn_under_its_own_name():
    found = Detections(
        [[5, 5, 90, 190], [60, 90, 180, 190]], [0.9, 0.9], [0, -1], (200, 300),
        names=('person', 'trolley'),
    )  # fmt: skip
    drawn = draw_interactions(black(200, 300), found, interactions((0, 1, HOLD, 0.8)), VOCABULARY)
    assert tuple(drawn[189, 120]) == OBJECT


@pytest.mark.parametrize('image', (np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32)))
def test_another_kind_of_image_is_one_sentence(image):
    with pytest.raises(ValueError, match=r'expected \(H, W, 3\) and uint8'):
        draw_interactions(image, Detections.empty((4, 4)), Interactions.empty(), VOCABULARY)
