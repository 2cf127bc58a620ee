"""What can be wrong with an answer of a language model."""

from __future__ import annotations

from enum import Enum


class Fault(str, Enum):
    """A kind of malformed answer, in the words of tables and JSON.

    Those of the first group are about a whole answer, those of the second about its boxes, those of
    the third about one interaction.
    """

    NO_TEXT = 'no text'
    NO_RESULT = 'nothing like the result'
    CODE_FENCE = 'in a code fence'
    TEXT_AROUND = 'text around the result'
    SEVERAL_RESULTS = 'several results, the last one is read'
    NOT_JSON = 'a Python literal or commented JSON'
    PIECES = 'broken or cut off, whole interactions are read'

    BOXES_MISSING = 'no boxes, those of the prompt are taken'
    BOXES_MOVED = 'boxes in another order or left out'
    BOXES_CHANGED = 'boxes changed, those of the prompt are taken'
    CLASSES_MISSING = 'no classes, those of the prompt are taken'
    CLASSES_CHANGED = 'classes changed, those of the prompt are taken'

    LIST = 'interaction as a list'
    OTHER_KEY = 'key of another name'
    NUMBER_AS_TEXT = 'number as text'
    VERB_BY_NAME = 'verb by its name'
    VERBS_AS_LIST = 'verbs of an interaction as a list'
    SWAPPED = 'human and object exchanged'
    DUPLICATE = 'interaction given twice'
    KEY_MISSING = 'key missing'
    NO_INDEX = 'index is no whole number'
    OUT_OF_RANGE = 'index out of range'
    UNKNOWN_BOX = 'box that the prompt lacks'
    NO_PERSON = 'human_idx is no person'
    SAME_BOX = 'person with itself'
    UNKNOWN_VERB = 'unknown verb'
    NOT_VALID = 'verb does not go with the object'

    @property
    def loses(self) -> bool:
        """Whether an answer or interaction is left out for it, or is read all the same."""
        return self in _LOSING


_LOSING = {
    Fault.NO_TEXT,
    Fault.NO_RESULT,
    Fault.KEY_MISSING,
    Fault.NO_INDEX,
    Fault.OUT_OF_RANGE,
    Fault.UNKNOWN_BOX,
    Fault.NO_PERSON,
    Fault.SAME_BOX,
    Fault.UNKNOWN_VERB,
    Fault.NOT_VALID,
}
