"""The training-free model: crops, probabilities and scores are those of EoID's teacher."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from link_hoi_core.backbones.backbone import Backbone, Input
from link_hoi_core.clip_zero_shot import ClipZeroShot, crop_union
from link_hoi_core.predictor import HoiPredictor
from link_hoi_core.structures import Detections, Interactions
from link_hoi_core.vocabulary import Vocabulary, load_vocabulary

SIZE = (60, 90)
PERSON, BICYCLE, PIZZA = 0, 1, 53
MEAN = (0.5, 0.4, 0.3)


class Contrastive(Backbone):
    """A small network with random weights that compares images with texts."""

    name = 'contrastive'
    input = Input((16, 16), MEAN, (0.2, 0.2, 0.2))
    stride, width, text_width = 8, 12, 12
    prompt_template = '{}.'

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.patches = torch.nn.Conv2d(3, 12, 8, 8)
        self.characters = torch.nn.Embedding(128, 12)
        self.freeze()
        self.largest_batch = 0

    def encode_image(self, batch: Tensor) -> Tensor:
        return self.patches(batch)

    def embed_image(self, batch: Tensor) -> Tensor:
        self.largest_batch = max(self.largest_batch, len(batch))
        return functional.normalize(self.patches(batch).sin().flatten(2).mean(-1), dim=-1)

    def encode_text(self, texts: Sequence[str]) -> Tensor:
        rows = [
            sum(self.characters.weight[ord(c) % 128] * math.sin(i + 1) for i, c in enumerate(text))
            for text in texts
        ]
        return functional.normalize(torch.stack(rows), dim=-1)


class Unseeing(Contrastive):
    """Has texts, as BLIP-2 has, but no one embedding of an image."""

    embed_image = Backbone.embed_image


@pytest.fixture(scope='module')
def model() -> ClipZeroShot:
    return ClipZeroShot(Contrastive(), score_exponent=1.7)


def picture(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*SIZE, 3), dtype=np.uint8)


def scene() -> Detections:
    """Two persons, of whom one reaches beyond the image, a bicycle and a pizza."""
    boxes = [[5.2, 4.7, 30.4, 55.1], [60, -10, 100, 50.5], [20, 30, 62.3, 58], [33, 5, 40.5, 9.9]]
    return Detections(boxes, [0.9, 0.8, 0.7, 0.6], [PERSON, PERSON, BICYCLE, PIZZA], SIZE)


def as_dict(found: Interactions) -> dict[tuple[int, int, int], tuple[float, float]]:
    keys = zip(found.human.tolist(), found.object.tolist(), found.verb.tolist())
    return dict(zip(keys, zip(found.score.tolist(), found.verb_score.tolist())))


def loops_in_double(
    backbone: Backbone, image: np.ndarray, found: Detections, vocabulary: Vocabulary
) -> dict[tuple[int, int, int], tuple[float, float]]:
    """EoID's teacher, one pair and one verb at a time."""
    height, width = SIZE
    expected = {}
    for i in range(len(found)):
        for j in range(len(found)):
            if found.labels[i] != PERSON or i == j:
                continue
            union = [min(found.boxes[i, k], found.boxes[j, k]) for k in (0, 1)]
            union += [max(found.boxes[i, k], found.boxes[j, k]) for k in (2, 3)]
            x1, y1 = (max(0, math.floor(value)) for value in union[:2])
            x2, y2 = min(width, math.ceil(union[2])), min(height, math.ceil(union[3]))
            side = max(x2 - x1, y2 - y1)
            square = np.zeros((side, side, 3), np.uint8)
            for channel in range(3):
                square[..., channel] = round(255 * MEAN[channel])
            top, left = (side - (y2 - y1)) // 2, (side - (x2 - x1)) // 2
            for y in range(y1, y2):
                for x in range(x1, x2):
                    square[top + y - y1, left + x - x1] = image[y, x]
            seen = backbone.embed_image(backbone.prepare([square]))[0].double().numpy()
            name = vocabulary.objects[found.labels[j]]
            powers = {}
            for verb in np.flatnonzero(vocabulary.valid[found.labels[j]]):
                doing = vocabulary.verb_phrases[verb].replace('no interaction', 'and')
                text = f'a picture of person {doing} {name}.'
                read = backbone.encode_text([text])[0].double().numpy()
                cosine = seen @ read / np.linalg.norm(seen) / np.linalg.norm(read)
                powers[int(verb)] = math.exp(100 * cosine)
            prior = float(found.scores[i]) * float(found.scores[j])
            for verb, power in powers.items():
                probability = power / sum(powers.values())
                expected[i, j, verb] = (probability * prior**1.7, probability)
    return expected


def test_scores_are_those_of_an_independent_computation(model: ClipZeroShot) -> None:
    image, found = picture(), scene()
    triplets = model.predict(image, found)
    expected = loops_in_double(model.backbone, image, found, model.vocabulary)
    computed = as_dict(triplets)
    assert computed.keys() == expected.keys() and len(triplets) == len(expected)
    for key, values in expected.items():
        assert computed[key] == pytest.approx(values, rel=1e-3, abs=1e-7), key
    assert (np.diff(triplets.score) <= 0).all()


def test_probabilities_of_a_pair_sum_to_one(model: ClipZeroShot) -> None:
    triplets = model.predict(picture(), scene())
    for human, object_ in {(0, 1), (0, 2), (0, 3), (1, 0), (1, 2), (1, 3)}:
        of_pair = (triplets.human == human) & (triplets.object == object_)
        assert triplets.verb_score[of_pair].sum() == pytest.approx(1, abs=1e-5)


def test_lower_precision_leaves_the_callers_backbone_and_the_fingerprint() -> None:
    backbone = Contrastive()
    full, half = ClipZeroShot(backbone), ClipZeroShot(backbone, precision='bf16')
    assert half.backbone.patches.weight.dtype == torch.bfloat16
    assert full.backbone is backbone and backbone.patches.weight.dtype == torch.float32
    assert half.checkpoint_sha256 == full.checkpoint_sha256
    exact, rounded = (as_dict(one.predict(picture(), scene())) for one in (full, half))
    best = max(exact, key=lambda key: exact[key])
    assert rounded[best] == pytest.approx(exact[best], abs=0.2) and rounded != exact


def test_a_crop_is_the_union_in_the_middle_of_a_square() -> None:
    image, colour = picture(), np.array([1, 2, 3], np.uint8)
    human, object_ = np.array([10.9, 20.0, 20.1, 30.2]), np.array([15.0, 22.0, 31.0, 25.0])
    crop = crop_union(image, human, object_, colour)
    assert crop.shape == (21, 21, 3) and crop.dtype == np.uint8  # x 10 to 31, y 20 to 31
    np.testing.assert_array_equal(crop[5:16], image[20:31, 10:31])
    assert (crop[:5] == colour).all() and (crop[16:] == colour).all()
    tall = crop_union(image, np.array([3.0, 0, 5, 8]), np.array([4.0, 2, 6, 7]), colour)
    np.testing.assert_array_equal(tall[:, 2:5], image[0:8, 3:6])
    assert (tall[:, :2] == colour).all() and (tall[:, 5:] == colour).all()


def test_many_images_give_what_they_give_alone(model: ClipZeroShot) -> None:
    random = np.random.default_rng(3)
    images, found = [], []
    for count in (4, 0, 1, 13, 2):
        low = random.uniform(0, 40, (count, 2))
        boxes = np.concatenate((low, low + random.uniform(2, 30, (count, 2))), axis=1)
        labels = random.choice([PERSON, BICYCLE, PIZZA], count)
        found.append(Detections(boxes, random.uniform(0.1, 1, count), labels, SIZE))
        images.append(picture(count))
    together = model.predict_batch(found, images)
    assert sum(len(triplets) for triplets in together) > 100
    for image, detections, triplets in zip(images, found, together):
        alone, computed = as_dict(model.predict(image, detections)), as_dict(triplets)
        assert alone.keys() == computed.keys()
        for key, values in alone.items():
            assert computed[key] == pytest.approx(values, rel=1e-3, abs=1e-7)


def test_a_crowd_is_cropped_in_batches() -> None:
    random = np.random.default_rng(0)
    low = random.uniform(0, 50, (20, 2))
    boxes = np.concatenate((low, low + random.uniform(2, 9, (20, 2))), axis=1)
    crowd = Detections(boxes, np.ones(20), np.zeros(20), SIZE)
    backbone = Contrastive()
    triplets = ClipZeroShot(backbone, select=False, score_threshold=0.01).predict(picture(), crowd)
    assert len({*zip(triplets.human.tolist(), triplets.object.tolist())}) == 380
    assert backbone.largest_batch == 64
    few = ClipZeroShot(backbone, max_interactions=7).predict(picture(), crowd)
    assert len(few) == 7


@pytest.mark.parametrize('labels', [[], [PERSON], [BICYCLE, PIZZA], [PERSON, -1]])
def test_nothing_to_pair_gives_nothing(model: ClipZeroShot, labels: list[int]) -> None:
    boxes = [[5, 5, 20 + 9 * i, 30] for i in range(len(labels))]
    found = Detections(np.array(boxes), np.ones(len(labels)), np.array(labels), SIZE)
    assert len(model.predict(picture(), found)) == 0


def test_indices_are_those_of_the_given_detections(model: ClipZeroShot) -> None:
    boxes = [[1, 1, 9, 9], [200, 5, 220, 30], [5, 5, 30, 50], [20, 30, 60, 58]]
    labels = [-1, PERSON, PERSON, BICYCLE]  # unknown, out of view
    triplets = model.predict(picture(), Detections(boxes, np.ones(4), labels, SIZE))
    assert set(triplets.human) == {2} and set(triplets.object) == {3}
    few = Detections(np.array(boxes)[2:], np.ones(2), labels[2:], SIZE)
    alone = model.predict(picture(), few)
    np.testing.assert_allclose(alone.score, triplets.score, rtol=1e-5)


def test_any_words_can_be_asked_for() -> None:
    model = ClipZeroShot(Contrastive())
    model.set_objects(['cup', 'robot arm'])
    model.set_verbs(['ride', 'hold', 'repair', 'teleoperate'])
    found = Detections(
        [[5, 5, 30, 50], [20, 30, 60, 58], [40, 3, 80, 40]], np.ones(3), [0, 1, 2], SIZE
    )
    said = {
        (model.vocabulary.verbs[verb], model.vocabulary.objects[found.labels[object_]])
        for _, object_, verb in as_dict(model.predict(picture(), found))
    }
    robot = {(verb, 'robot_arm') for verb in ('ride', 'hold', 'repair', 'teleoperate')}
    assert said == robot | {('hold', 'cup'), ('teleoperate', 'cup')}
    with pytest.raises(ValueError, match='no verbs are given'):
        model.set_verbs([])
    assert len(model.vocabulary.verbs) == 4


def test_an_object_without_a_valid_verb_is_left_out() -> None:
    model = ClipZeroShot(Contrastive())
    model.set_verbs(['ride'])
    assert set(as_dict(model.predict(picture(), scene()))) == {(0, 2, 0), (1, 2, 0)}


def test_the_boxes_models_scores_can_be_multiplied_with() -> None:
    boxes = HoiPredictor.from_checkpoint('boxes', device='cpu')
    backbone, image, found = Contrastive(), picture(), scene()
    plain = as_dict(ClipZeroShot(backbone).predict(image, found))
    by_boxes = as_dict(boxes.predict(None, found))
    both = as_dict(ClipZeroShot(backbone, boxes=boxes).predict(image, found))
    assert both.keys() == plain.keys() == by_boxes.keys()
    for (human, object_, verb), (score, verb_score) in both.items():
        key = human, object_, verb
        assert verb_score == pytest.approx(plain[key][1] * by_boxes[key][1], rel=1e-3, abs=1e-8)
        prior = found.scores[human] * found.scores[object_]
        assert score == pytest.approx(verb_score * prior, rel=1e-4, abs=1e-8)


def test_bad_input_is_said_in_one_sentence(model: ClipZeroShot) -> None:
    with pytest.raises(ValueError, match='the image has 90 x 50 pixels, its detections are of one'):
        model.predict(picture()[:50], scene())
    for nothing in (model.predict_batch, lambda found: model.predict(None, found[0])):
        with pytest.raises(ValueError, match='there is no image, but the model looks at pixels'):
            nothing([scene()])
    with pytest.raises(ValueError, match='^1 images for 2 sets of detections$'):
        model.predict_batch([scene(), scene()], [picture()])
    broken = Contrastive()
    broken.patches.weight[0, 0, 0, 0] = float('nan')
    with pytest.raises(ValueError, match='contrastive holds a value that is not finite in patches'):
        ClipZeroShot(broken)
    mute = Contrastive()
    mute.text_width = None
    with pytest.raises(ValueError, match='contrastive has no text side'):
        ClipZeroShot(mute)
    with pytest.raises(
        ValueError, match='contrastive does not compare images with texts, expected'
    ):
        ClipZeroShot(Unseeing())
    boxes = HoiPredictor.from_checkpoint('boxes', device='cpu')
    with pytest.raises(ValueError, match='boxes is a model of hico-det, expected v-coco'):
        ClipZeroShot(Contrastive(), load_vocabulary('v-coco'), boxes=boxes)
    with pytest.raises(ValueError, match='clip_zero_shot needs a backbone'):
        ClipZeroShot.from_backbone('none')
