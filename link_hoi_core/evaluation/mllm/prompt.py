"""What a language model is told: the task, the words with their ids, and an image's boxes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np

from link_hoi_core.structures import Detections
from link_hoi_core.vocabulary import Vocabulary

_TASK = """\
Task: human-object interaction detection. You get a picture and the boxes that an object detector \
found in it, each with an index and a class. Tell from the picture which persons interact with \
which boxes, and how.

Answer with HOI_result, one JSON object of this form, and nothing else: no explanation, no \
comments, no code fence.
{{"boxes": [[x1, y1, x2, y2], ...], "classes": [0, ...], "interactions": [{{"human_idx": 0, \
"object_idx": 1, "verb": {hold}}}, ...]}}

Rules:
- "boxes" and "classes" repeat the given boxes and their class ids: all of them, unchanged and in \
the same order. Boxes are in pixels, [left, top, right, bottom], from the top left corner.
- "human_idx" and "object_idx" are indices into "boxes", counted from 0. "human_idx" is a box of \
class {person} (person). "object_idx" is any other box; it may be another person.
- "verb" is one verb id, a number. Each class goes with a few verbs only, listed below the boxes; \
use no others for it.
- Consider every person with every other box. A pair often has several verbs at once (who rides \
something may also sit on it, straddle it and hold it): give each one that can be seen, as an \
entry of its own with the same indices.
- Give each entry once, and only what you are confident of: wrong entries count against you as \
missing ones do.
- {no_interaction} (no interaction) means that a person and an object which could be used stand in \
the same picture but do not interact. It is never given together with another verb of the same pair.
- If there is no interaction, "interactions" is [].
"""


def instructions(vocabulary: Vocabulary) -> str:
    """What is the same for every image: the task, the form of the answer, and HICO-DET's words."""
    task = _TASK.format(
        person=vocabulary.person,
        hold=vocabulary.verb_index('hold'),
        no_interaction=vocabulary.verb_index('no_interaction'),
    )
    verbs, classes = _words(enumerate(vocabulary.verbs)), _words(enumerate(vocabulary.objects))
    return f'{task}\nVerb ids: {verbs}\n\nClass ids: {classes}\n'


def question_text(detections: Detections, vocabulary: Vocabulary) -> str:
    """What is told of one image: its size, its boxes, and the verbs that go with their classes.

    Scores are not told: the paper's prompt has "bounding boxes and class labels" (LINK A.5).

    Args:
        detections: labels are all in the vocabulary; boxes are told in whole pixels.
    """
    height, width = detections.image_size
    boxes = [
        f'{i}: class {label} ({_plain(vocabulary.objects[label])}), {box}'
        for i, (label, box) in enumerate(
            zip(detections.labels.tolist(), detections.boxes.round().astype(int).tolist())
        )
    ]
    return '\n'.join(
        [
            f'The picture has {width} x {height} pixels (width x height).',
            '',
            'Boxes, by index:',
            *boxes,
            '',
            'Verbs that go with these classes when one is the object:',
            *_verbs_of_classes(detections.labels, vocabulary),
        ]
    )


def has_pairs(detections: Detections, vocabulary: Vocabulary) -> bool:
    """Whether there is a person, and another box: otherwise there is nothing to ask."""
    return len(detections) > 1 and bool((detections.labels == vocabulary.person).any())


def digest(text: str) -> str:
    """Sixteen characters that tell two prompts apart."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _verbs_of_classes(labels: np.ndarray, vocabulary: Vocabulary) -> list[str]:
    """A line for every class that can be an object: a single person is none."""
    person = vocabulary.person
    lines = []
    for label in np.unique(labels).tolist():
        if label != person or (labels == person).sum() > 1:
            verbs = np.flatnonzero(vocabulary.valid[label]).tolist()
            words = _words((verb, vocabulary.verbs[verb]) for verb in verbs)
            lines.append(f'class {label} ({_plain(vocabulary.objects[label])}): {words}')
    return lines


def _words(words: Iterable[tuple[int, str]]) -> str:
    """E.g. '0 person, 9 traffic light'."""
    return ', '.join(f'{i} {_plain(word)}' for i, word in words)


def _plain(name: str) -> str:
    return name.replace('_', ' ')
