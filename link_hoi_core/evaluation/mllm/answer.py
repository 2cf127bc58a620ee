"""Triplets from the answer of a language model: what can be understood is kept, faults counted."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from link_hoi_core.evaluation.mllm.fault import Fault
from link_hoi_core.evaluation.mllm.loose_json import KEY, find_result
from link_hoi_core.geometry import box_iou
from link_hoi_core.structures import Detections
from link_hoi_core.vocabulary import Vocabulary

_SAME = 1.5  # pixels by which a copied box may differ: the prompt and the model may both round
_DIGITS = 20  # of a number as text; int() of very long ones is slow
_OVERLAP = 0.5  # from which on a changed box is the one of the prompt
_MOST_BOXES = 1000  # of an answer; each is held against each of the prompt
_KEYS = {  # of an interaction, and what models write instead
    'human_idx': ('human', 'human_id', 'human_index', 'person_idx', 'subject_idx'),
    'object_idx': ('object', 'object_id', 'object_index'),
    'verb': ('verbs', 'verb_id', 'verb_ids', 'verb_idx', 'action'),
}


@dataclass(frozen=True)
class Answer:
    """What was understood of an answer.

    Attributes:
        triplets: (M, 3) int64 [human, object, verb], rows of the prompt's boxes and ids of verbs,
            each once, in the answer's order; the human is a person, the verb goes with the object.
        faults: how often each kind was met.
    """

    triplets: np.ndarray
    faults: Counter[Fault]


def read_answer(text: str, given: Detections, vocabulary: Vocabulary) -> Answer:
    """Read an answer as of LINK A.5; nothing that it may contain is an error.

    Its indices count in its own list of boxes, as the paper has it. These are to be the prompt's:
    a box that differs by no more than rounding is that one, wherever it stands in the list. If some
    boxes are others, but as many as in the prompt and of the same classes (a model with its own
    coordinates), they are the prompt's in order; else each is the box of the prompt that it
    overlaps by at least 0.5, or none. Scored are the prompt's boxes and classes.

    Args:
        text: what the model said.
        given: the boxes of the prompt, in its order; every label is in the vocabulary.
    """
    result, found = find_result(text)
    reader = _Reader(given, vocabulary, Counter(found))
    triplets = reader.triplets(result) if result else []
    return Answer(np.array(triplets, np.int64).reshape(-1, 3), reader.faults)


class _Unusable(Exception):
    """An interaction or one of its verbs is left out; its argument is the fault."""


class _Reader:
    def __init__(self, given: Detections, vocabulary: Vocabulary, faults: Counter[Fault]) -> None:
        self.faults = faults
        self._given, self._vocabulary = given, vocabulary
        self._rows = np.arange(len(given))

    def triplets(self, result: dict[str, Any]) -> list[tuple[int, int, int]]:
        if Fault.PIECES not in self.faults:
            self._rows = self._rows_of(result.get('boxes'), result.get('classes'))
        said = [triplet for item in result[KEY] for triplet in self._of_item(item)]
        distinct = list(dict.fromkeys(said))
        self._note(Fault.DUPLICATE, len(said) - len(distinct))
        return distinct

    def _note(self, fault: Fault, times: int = 1) -> None:
        if times:
            self.faults[fault] += times

    def _rows_of(self, boxes: Any, classes: Any) -> np.ndarray:
        """Row (K,) of the prompt's boxes for each box of the answer; -1 for none."""
        own, given = _boxes(boxes), self._given
        if own is None:
            self._note(Fault.BOXES_MISSING)
            return self._rows
        labels = self._labels(classes, len(own))
        if labels is None:
            self._note(Fault.CLASSES_MISSING)
        rows = _copied(own, labels, given)
        if (rows < 0).any():
            self._note(Fault.BOXES_CHANGED)
            if len(own) == len(given) and (labels is None or (labels == given.labels).all()):
                return self._rows
            rows = np.where(rows < 0, _overlapping(own, labels, given), rows)
        elif not np.array_equal(rows, self._rows):
            self._note(Fault.BOXES_MOVED)
        known = rows >= 0
        if labels is not None and (labels != given.labels[rows])[known].any():
            self._note(Fault.CLASSES_CHANGED)
        return rows

    def _labels(self, classes: Any, count: int) -> np.ndarray | None:
        """Labels (count,) of the answer's boxes, -1 unknown; None if it does not give them."""
        if not isinstance(classes, (list, tuple)) or len(classes) != count:
            return None
        labels = [self._label(value) for value in classes]
        known = range(len(self._vocabulary.objects))
        return np.array([label if label in known else -1 for label in labels], np.int64)

    def _label(self, value: Any) -> int | None:
        """A class by its id, or by its name, which is as good."""
        label = self._number(value)
        if label is None and isinstance(value, str):
            label = self._vocabulary.object_index(value)
        return label

    def _of_item(self, item: Any) -> list[tuple[int, int, int]]:
        """The triplets of one interaction: one, or more if it has several verbs."""
        triplets = []
        try:
            human, object_, verbs = self._values(item)
            human, object_ = self._pair(self._row(human), self._row(object_))
        except _Unusable as unusable:
            self._note(unusable.args[0])
            return []
        if isinstance(verbs, (list, tuple)):
            self._note(Fault.VERBS_AS_LIST)
        else:
            verbs = [verbs]
        for verb in verbs or [None]:
            try:
                triplets.append((human, object_, self._verb(verb, object_)))
            except _Unusable as unusable:
                self._note(unusable.args[0])
        return triplets

    def _values(self, item: Any) -> list[Any]:
        """Human, object and verb of an interaction as they stand there."""
        if isinstance(item, (list, tuple)) and len(item) == len(_KEYS):
            self._note(Fault.LIST)
            return list(item)
        if not isinstance(item, dict):
            raise _Unusable(Fault.KEY_MISSING)
        names = [
            next((name for name in (key, *others) if name in item), None)
            for key, others in _KEYS.items()
        ]
        if None in names:
            raise _Unusable(Fault.KEY_MISSING)
        self._note(Fault.OTHER_KEY, int(names != list(_KEYS)))
        return [item[name] for name in names]

    def _row(self, value: Any) -> int:
        """The row of the prompt's boxes that an index of the answer means."""
        index = self._number(value)
        if index is None:
            raise _Unusable(Fault.NO_INDEX)
        if not 0 <= index < len(self._rows):
            raise _Unusable(Fault.OUT_OF_RANGE)
        if self._rows[index] < 0:
            raise _Unusable(Fault.UNKNOWN_BOX)
        return int(self._rows[index])

    def _pair(self, human: int, object_: int) -> tuple[int, int]:
        labels, person = self._given.labels, self._vocabulary.person
        if human == object_:
            raise _Unusable(Fault.SAME_BOX)
        if labels[human] == person:
            return human, object_
        if labels[object_] != person:
            raise _Unusable(Fault.NO_PERSON)
        self._note(Fault.SWAPPED)
        return object_, human

    def _verb(self, value: Any, object_: int) -> int:
        """The verb by its id or name, if it goes with the object at row `object_`."""
        verb = self._number(value)
        if verb is None and isinstance(value, str):
            verb = self._vocabulary.verb_index(value)
            self._note(Fault.VERB_BY_NAME, int(verb is not None))
        if verb not in range(len(self._vocabulary.verbs)):
            raise _Unusable(Fault.UNKNOWN_VERB)
        if not self._vocabulary.valid[self._given.labels[object_], verb]:
            raise _Unusable(Fault.NOT_VALID)
        return verb

    def _number(self, value: Any) -> int | None:
        if not isinstance(value, str):
            return _whole(value)
        if not value.strip().isdecimal() or len(value) > _DIGITS:
            return None
        self._note(Fault.NUMBER_AS_TEXT)
        return int(value)


def _whole(value: Any) -> int | None:
    """A whole number, perhaps written as 3.0."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return int(value) if isinstance(value, int) or value.is_integer() else None


def _boxes(value: Any) -> np.ndarray | None:
    """Boxes (K, 4), K at least 1 and no more than is sane; None if the value is something else."""
    if not isinstance(value, (list, tuple)) or len(value) > _MOST_BOXES:
        return None
    try:
        boxes = np.array(value, np.float64)
    except (TypeError, ValueError, OverflowError):
        return None
    sound = boxes.ndim == 2 and boxes.shape[1] == 4 and len(boxes) and np.isfinite(boxes).all()
    return boxes if sound else None


def _copied(own: np.ndarray, labels: np.ndarray | None, given: Detections) -> np.ndarray:
    """Row (K,) of the given box that each own one is a copy of, -1 for none.

    Of several that are alike the one at the same place, else the first of the same class.
    """
    alike = np.abs(own[:, None] - given.boxes).max(axis=-1) <= _SAME
    preference = alike.astype(np.int64)
    if labels is not None:
        preference += alike & (labels[:, None] == given.labels)
    preference += 2 * (alike & np.eye(*alike.shape, dtype=bool))
    return np.where(alike.any(axis=1), preference.argmax(axis=1), -1)


def _overlapping(own: np.ndarray, labels: np.ndarray | None, given: Detections) -> np.ndarray:
    """Row (K,) of the given box, of the same class, that each own one overlaps enough, else -1."""
    with np.errstate(all='ignore'):  # an own box may be of any size, also none
        overlap = np.nan_to_num(box_iou(own, given.boxes))
    if labels is not None:
        overlap[labels[:, None] != given.labels] = 0
    return np.where(overlap.max(axis=1) >= _OVERLAP, overlap.argmax(axis=1), -1)
