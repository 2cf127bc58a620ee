"""Answers as asked for, and of every malformed kind: what is read of them, and what is counted."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from link_hoi_core.evaluation.mllm.answer import read_answer
from link_hoi_core.evaluation.mllm.fault import Fault
from link_hoi_core.structures import Detections
from link_hoi_core.vocabulary import load_vocabulary

VOCABULARY = load_vocabulary('hico-det')
HOLD, RIDE, HUG, WALK, SIT_ON, EAT = (
    VOCABULARY.verb_index(name) for name in ('hold', 'ride', 'hug', 'walk', 'sit_on', 'eat')
)
BOXES = [[10, 20, 110, 220], [300, 30, 380, 230], [0, 100, 150, 300], [400, 300, 500, 400]]
CLASSES = [0, 0, 1, 16]
RIDES, HUGS = (0, 2, RIDE), (0, 1, HUG)


def entry(human: Any, object_: Any, verb: Any) -> dict[str, Any]:
    return {'human_idx': human, 'object_idx': object_, 'verb': verb}


def result(*interactions: Any, boxes: Any = BOXES, classes: Any = CLASSES) -> dict[str, Any]:
    return {'boxes': boxes, 'classes': classes, 'interactions': list(interactions)}


GOOD = result(entry(*RIDES), entry(*HUGS))
TEXT = json.dumps(GOOD)


def read(text: str, boxes: Detections) -> tuple[list[tuple[int, ...]], dict[Fault, int]]:
    answer = read_answer(text, boxes, VOCABULARY)
    return [tuple(triplet) for triplet in answer.triplets.tolist()], dict(answer.faults)


@pytest.mark.parametrize(
    'text',
    [
        TEXT,
        f'\n  {json.dumps(GOOD, indent=2)}\n',
        f'HOI_result = {TEXT}',
        f'HOI_result = {TEXT};',
        json.dumps({'HOI_result': GOOD}),
    ],
)
def test_an_answer_as_asked_for_has_no_fault(text: str, boxes: Detections) -> None:
    assert read(text, boxes) == ([RIDES, HUGS], {})


def test_an_empty_list_is_no_fault(boxes: Detections) -> None:
    assert read(json.dumps(result()), boxes) == ([], {})


@pytest.mark.parametrize(
    ('text', 'faults'),
    [
        (f'```json\n{TEXT}\n```', [Fault.CODE_FENCE]),
        (
            f'So:\n```\n{TEXT}\n```\nThe {{man}} rides.',
            [Fault.CODE_FENCE, Fault.TEXT_AROUND],
        ),
        (f"I see a rider, it's {{0}}. {TEXT}", [Fault.TEXT_AROUND]),
        (
            f'<think>{json.dumps(result())} no...</think>{TEXT}',
            [Fault.TEXT_AROUND, Fault.SEVERAL_RESULTS],
        ),
        (f'{{"answer": {TEXT}}}', [Fault.TEXT_AROUND]),
        (str(GOOD), [Fault.NOT_JSON]),
        (f'HOI_result = {GOOD}', [Fault.NOT_JSON]),
        (TEXT.replace(']}', ',],}'), [Fault.NOT_JSON]),
        (TEXT.replace('"classes"', '// copied\n"classes"'), [Fault.NOT_JSON]),
        (TEXT.replace('"classes"', '# copied\n"classes"'), [Fault.NOT_JSON]),
        (TEXT[:-2], [Fault.PIECES]),
        (TEXT[:-2] + ', {"human_idx": 0, "obj', [Fault.PIECES]),
        (json.dumps(GOOD['interactions']), [Fault.PIECES]),
        (TEXT.replace('"classes"', 'classes"'), [Fault.PIECES]),
    ],
)
def test_form(text: str, faults: list[Fault], boxes: Detections) -> None:
    assert read(text, boxes) == ([RIDES, HUGS], dict.fromkeys(faults, 1))


@pytest.mark.parametrize(
    ('text', 'fault'),
    [
        ('', Fault.NO_TEXT),
        (' \n', Fault.NO_TEXT),
        ('I cannot help with that.', Fault.NO_RESULT),
        ('{"boxes": [], "classes": []}', Fault.NO_RESULT),
        ('{"interactions": null}', Fault.NO_RESULT),
        ('[]', Fault.NO_RESULT),
        ('{"interactions": [__import__("os").abort()]}', Fault.NO_RESULT),
        ('{"interactions": ' * 3000, Fault.NO_RESULT),
        ('{"interactions": ' + '[' * 100_000 + ']' * 100_000 + '}', Fault.NO_RESULT),
        ('{' * 50_000 + 'interactions' + '}' * 50_000, Fault.NO_RESULT),
    ],
)
def test_nothing_to_read(text: str, fault: Fault, boxes: Detections) -> None:
    assert read(text, boxes) == ([], {fault: 1})
    assert fault.loses


@pytest.mark.parametrize(
    ('item', 'triplets', 'fault'),
    [
        ([0, 2, RIDE], [RIDES], Fault.LIST),
        ({'human': 0, 'object': 2, 'verb_id': RIDE}, [RIDES], Fault.OTHER_KEY),
        (entry('0', '2', RIDE), [RIDES], Fault.NUMBER_AS_TEXT),
        (entry(0, 2, 'ride'), [RIDES], Fault.VERB_BY_NAME),
        (entry(0, 2, 'Sitting on'), [(0, 2, SIT_ON)], Fault.VERB_BY_NAME),
        (entry(0, 2, [RIDE, SIT_ON]), [RIDES, (0, 2, SIT_ON)], Fault.VERBS_AS_LIST),
        (entry(2, 0, RIDE), [RIDES], Fault.SWAPPED),
        (entry(0, 2.0, float(RIDE)), [RIDES], None),
        ({**entry(0, 2, RIDE), 'score': 0.3}, [RIDES], None),
        ({'human_idx': 0, 'verb': RIDE}, [], Fault.KEY_MISSING),
        ('person rides bicycle', [], Fault.KEY_MISSING),
        (None, [], Fault.KEY_MISSING),
        (entry(None, 2, RIDE), [], Fault.NO_INDEX),
        (entry(True, 2, RIDE), [], Fault.NO_INDEX),
        (entry(0.5, 2, RIDE), [], Fault.NO_INDEX),
        (entry('first', 2, RIDE), [], Fault.NO_INDEX),
        (entry('9' * 5000, 2, RIDE), [], Fault.NO_INDEX),
        (entry(float('nan'), 2, RIDE), [], Fault.NO_INDEX),
        (entry(4, 2, RIDE), [], Fault.OUT_OF_RANGE),
        (entry(-1, 2, RIDE), [], Fault.OUT_OF_RANGE),
        (entry(10**30, 2, RIDE), [], Fault.OUT_OF_RANGE),
        (entry(2, 3, WALK), [], Fault.NO_PERSON),
        (entry(1, 1, HUG), [], Fault.SAME_BOX),
        (entry(0, 2, 117), [], Fault.UNKNOWN_VERB),
        (entry(0, 2, -1), [], Fault.UNKNOWN_VERB),
        (entry(0, 2, 'admire'), [], Fault.UNKNOWN_VERB),
        (entry(0, 2, None), [], Fault.UNKNOWN_VERB),
        (entry(0, 2, {}), [], Fault.UNKNOWN_VERB),
        (entry(0, 2, EAT), [], Fault.NOT_VALID),
    ],
)
def test_one_interaction(
    item: Any, triplets: list[tuple[int, ...]], fault: Fault | None, boxes: Detections
) -> None:
    """Whatever is wrong with one, those before and behind it are read."""
    text = json.dumps(result(entry(*HUGS), item, entry(3, 0, WALK)))
    found, faults = read(text, boxes)
    assert found == [HUGS, *triplets, (0, 3, WALK)]
    assert Counter(faults) == Counter([Fault.SWAPPED] + [fault] * (fault is not None)) + Counter(
        {Fault.NUMBER_AS_TEXT: int(fault is Fault.NUMBER_AS_TEXT)}  # of both indices
    )
    assert fault is None or fault.loses is (not triplets)


def test_an_interaction_given_twice_counts_once(boxes: Detections) -> None:
    assert read(json.dumps(result(*[entry(*RIDES)] * 3)), boxes) == ([RIDES], {Fault.DUPLICATE: 2})


@pytest.mark.parametrize(
    ('answer', 'fault'),
    [
        (result(entry(*RIDES), boxes=[]), Fault.BOXES_MISSING),
        (result(entry(*RIDES), boxes='as given'), Fault.BOXES_MISSING),
        (result(entry(*RIDES), boxes=[[1, 2, 3], [4]]), Fault.BOXES_MISSING),
        ({'interactions': [entry(*RIDES)]}, Fault.BOXES_MISSING),
        (result(entry(*RIDES), boxes=[BOXES[0]] * 1001), Fault.BOXES_MISSING),
        (result(entry(*RIDES), classes=[0]), Fault.CLASSES_MISSING),
        ({k: v for k, v in GOOD.items() if k != 'classes'}, Fault.CLASSES_MISSING),
        (result(entry(*RIDES), classes=[0, 0, 3, 16]), Fault.CLASSES_CHANGED),
        # Coordinates of its own: to a scale of 1000, or y before x.
        (
            result(entry(*RIDES), boxes=[[x * 2.1 for x in box] for box in BOXES]),
            Fault.BOXES_CHANGED,
        ),
        (result(entry(*RIDES), boxes=[[b, a, d, c] for a, b, c, d in BOXES]), Fault.BOXES_CHANGED),
        # In another order, with those left out that it does not need.
        (result(entry(1, 0, RIDE), boxes=[BOXES[2], BOXES[0]], classes=[1, 0]), Fault.BOXES_MOVED),
        # Boxes that it found itself, of which the first overlaps the given person.
        (
            result(entry(1, 0, RIDE), boxes=[BOXES[2], [12, 24, 111, 225]], classes=[1, 0]),
            Fault.BOXES_CHANGED,
        ),
    ],
)
def test_boxes_other_than_the_given_ones(
    answer: dict[str, Any], fault: Fault, boxes: Detections
) -> None:
    triplets, faults = read(json.dumps(answer), boxes)
    assert triplets[0] == RIDES
    assert faults == {fault: 1}


def test_rounded_boxes_and_class_names_are_as_asked_for(boxes: Detections) -> None:
    near = [[x + 0.4 for x in box] for box in BOXES]
    answer = result(entry(*RIDES), boxes=near, classes=['person', 'person', 'bicycle', 'dog'])
    assert read(json.dumps(answer), boxes) == ([RIDES], {})


def test_class_ids_may_be_texts_like_other_numbers(boxes: Detections) -> None:
    answer = result(entry(*RIDES), classes=['0', '0', ' 1', 16])
    assert read(json.dumps(answer), boxes) == ([RIDES], {Fault.NUMBER_AS_TEXT: 3})


def test_a_box_that_the_prompt_lacks_loses_its_interactions_only(boxes: Detections) -> None:
    own = result(
        entry(0, 1, RIDE),
        entry(0, 2, RIDE),
        boxes=[BOXES[0], [500, 0, 600, 90], BOXES[2]],
        classes=[0, 1, 1],
    )
    triplets, faults = read(json.dumps(own), boxes)
    assert triplets == [RIDES]
    assert faults == {Fault.BOXES_CHANGED: 1, Fault.UNKNOWN_BOX: 1}


def test_of_two_equal_boxes_the_class_decides() -> None:
    both = Detections([BOXES[0], BOXES[0]], [1, 1], [0, 77], (480, 640))
    answer = result(entry(1, 0, HUG), boxes=[BOXES[0]] * 2, classes=[77, 0])
    assert read(json.dumps(answer), both)[0] == [(0, 1, HUG)]


# A slow machine is no fault of ours.
SETTINGS = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 120)
    | st.floats()
    | st.sampled_from(['', 'ride', '1']),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ['boxes', 'classes', 'interactions', 'human_idx', 'object_idx', 'verb']
            ),
            inner,
        )
    ),
    max_leaves=12,
)


@SETTINGS
@given(
    value=VALUES | st.builds(result, VALUES, boxes=VALUES, classes=VALUES),
    cut=st.integers(0, 40),
    python=st.booleans(),
)
def test_no_answer_is_an_error(value: Any, cut: int, python: bool) -> None:
    boxes = Detections(BOXES, [1] * 4, CLASSES, (480, 640))
    text = str(value) if python else json.dumps(value)
    answer = read_answer(text[: len(text) - cut], boxes, VOCABULARY)
    human, object_, verb = answer.triplets.T
    assert (boxes.labels[human] == 0).all() and (human != object_).all()
    assert VOCABULARY.valid[boxes.labels[object_], verb].all()


@SETTINGS
@given(text=st.text(alphabet='{}[]"\',:#/ 01humaninteractionsverb\n', max_size=200))
def test_no_text_is_an_error(text: str) -> None:
    boxes = Detections(BOXES, [1] * 4, CLASSES, (480, 640))
    answer = read_answer(text, boxes, VOCABULARY)
    assert len(answer.triplets) or answer.faults or 'interactions' in text
