"""Predictions in the classes of one data set as predictions in those of another (LINK A.8)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from link_hoi_core.evaluation.pairs import ScoredPairs
from link_hoi_core.structures import Detections
from link_hoi_core.vocabulary import (
    Vocabulary,
    base_objects,
    base_verbs,
    load_vocabulary,
    v_coco_actions,
)
from link_hoi_core.vocabulary.vocabulary import frozen, read_table

#: (source, target): the model's data set, and the one on which it is evaluated.
CLASS_MAPS = (('hico-det', 'v-coco'), ('swig-hoi', 'hico-det'), ('swig-hoi', 'v-coco'))
_TABLE = 'class_maps.json'
_ANY = '*'


@dataclass(frozen=True, eq=False)
class ClassMap:
    """Which HOI classes of a source are which classes of a target.

    The target's classes are those that `ScoredPairs.hoi` counts in its evaluation: HOI classes, or
    the 24 verbs of V-COCO.

    Attributes:
        source, target: the two vocabularies.
        source_class, target_class: (E,) int64, class `source_class[e]` is also `target_class[e]`;
            a class may be in several entries or in none.
        source_objects: (O,) int64, the source's object for each of the target's O objects, -1
            where it has none.
        unmapped_source, unmapped_target: names ('lasso cow') of the classes that are in no entry:
            the model says them in vain, or cannot say them.
    """

    source: Vocabulary
    target: Vocabulary
    source_class: np.ndarray
    target_class: np.ndarray
    source_objects: np.ndarray
    unmapped_source: tuple[str, ...]
    unmapped_target: tuple[str, ...]


def class_map(source: Vocabulary, target: Vocabulary) -> ClassMap:
    """The map that stands in the package's table `class_maps.json`, with its reasons.

    A vocabulary that was made of the target by other words (`with_verbs`, `with_objects`) is in no
    table: the words that both have are the same.

    Raises:
        ValueError: there is none between these two.
    """
    if source.id.startswith(f'{target.id}+'):
        return _by_words(source, target)
    if (source.id, target.id) not in CLASS_MAPS:
        known = ', '.join(f'{one} to {other}' for one, other in CLASS_MAPS)
        raise ValueError(f'no map of classes from {source.id} to {target.id}; there are {known}')
    return _load(source.id, target.id)


def as_source(detections: Detections, classes: ClassMap) -> Detections:
    """Boxes labelled by the target's objects, as a model of the source is to be given them.

    An object that the source does not have becomes -1, and takes no part.
    """
    labels = detections.labels
    renamed = np.where(labels >= 0, classes.source_objects[labels], -1)
    return replace(detections, labels=renamed)


def translate(predictions: ScoredPairs, classes: ClassMap) -> ScoredPairs:
    """Predictions in the source's classes as predictions in the target's.

    Of several source classes of one pair that are one target class, the best score counts. Rows
    stay in their order, a row that is several target classes becomes several; one that is none is
    left out.
    """
    count = np.bincount(classes.source_class, minlength=len(classes.source.hois))
    start = np.cumsum(count) - count
    copies = count[predictions.hoi]
    row = np.repeat(np.arange(len(predictions)), copies)
    place = np.arange(len(row)) - np.repeat(np.cumsum(copies) - copies, copies)
    target = classes.target_class[start[predictions.hoi[row]] + place]
    found = replace(predictions.take(row), hoi=target.astype(np.int32))
    return found.take(_best_of_equals(found))


def _best_of_equals(pairs: ScoredPairs) -> np.ndarray:
    """Rows, rising, without those of which a better one has the same image, boxes and class."""
    columns = (pairs.image[:, None], pairs.hoi[:, None], pairs.boxes_h, pairs.boxes_o)
    # As bytes: what is compared here are copies of one box, not boxes that are nearly equal.
    keys = np.concatenate([np.ascontiguousarray(column).view(np.int32) for column in columns], 1)
    keys = keys.view(np.dtype((np.void, keys.shape[1] * keys.itemsize))).ravel()
    best_first = np.argsort(-pairs.score, kind='stable')
    _, first = np.unique(keys[best_first], return_index=True)
    return np.sort(best_first[first])


def _by_words(source: Vocabulary, target: Vocabulary) -> ClassMap:
    verbs, objects = base_verbs(target, source), base_objects(target, source)
    verb, object_ = verbs[source.hois[:, 0]], objects[source.hois[:, 1]]
    known = (verb >= 0) & (object_ >= 0)
    found = np.where(known, _target_classes(target)[object_, verb], -1)
    source_class = np.flatnonzero(found >= 0)
    source_objects = np.full(len(target.objects), -1)
    source_objects[objects[objects >= 0]] = np.flatnonzero(objects >= 0)
    return _made(source, target, source_class, found[source_class], source_objects)


@cache
def _load(source_id: str, target_id: str) -> ClassMap:
    source, target = load_vocabulary(source_id), load_vocabulary(target_id)
    table = read_table(_TABLE)
    same = _same_objects(table['objects'].get(source_id), source, target)
    rules = table[f'{source_id} to {target_id}']
    target_classes = _target_classes(target)
    entries = {
        (source_class, int(target_classes[object_, verb]))
        for verb, name in enumerate(target.verbs)
        for rule in rules[name]
        for source_class, object_ in _classes_of_rule(rule, source, target, same)
        if target_classes[object_, verb] >= 0
    }
    source_class, target_class = np.array(sorted(entries), np.int64).T
    source_objects = [ids[0] if ids else -1 for ids in same]
    return _made(source, target, source_class, target_class, source_objects)


def _made(
    source: Vocabulary,
    target: Vocabulary,
    source_class: np.ndarray,
    target_class: np.ndarray,
    source_objects: Sequence[int] | np.ndarray,
) -> ClassMap:
    """With the names of what is in no entry."""
    return ClassMap(
        source,
        target,
        frozen(source_class, np.int64),
        frozen(target_class, np.int64),
        frozen(source_objects, np.int64),
        _others(source.hoi_names, source_class),
        _others(target.verbs if target.id == 'v-coco' else target.hoi_names, target_class),
    )


def _same_objects(
    table: dict[str, str] | None, source: Vocabulary, target: Vocabulary
) -> list[list[int]]:
    """The source's objects that are each of the target's objects, the usual one first."""
    if table is None:  # one list of objects in both
        return [[source.objects.index(name)] for name in target.objects]
    names = [table.get(name, '') for name in target.objects]
    return [[source.objects.index(name) for name in text.split(', ') if name] for text in names]


def _target_classes(target: Vocabulary) -> np.ndarray:
    """(O, V) the class of each object with each verb, -1 where there is none."""
    if target.id != 'v-coco':
        return target.hoi_index
    classes = np.full(target.valid.shape, -1)
    for action in v_coco_actions():
        for verb, names in zip(action.verbs, action.objects):
            if verb is not None:
                allowed = [target.objects.index(name) for name in names or target.objects]
                classes[allowed, verb] = verb
    return classes


def _classes_of_rule(
    rule: str, source: Vocabulary, target: Vocabulary, same: list[list[int]]
) -> list[tuple[int, int]]:
    """The source's classes that a rule 'verb' or 'verb: object object' names, with the target's
    object of each; '*' is any verb."""
    verb, _, names = rule.partition(': ')
    objects = [target.objects.index(name) for name in names.split()] or range(len(target.objects))
    verbs = range(len(source.verbs)) if verb == _ANY else [source.verbs.index(verb)]
    return [
        (int(source.hoi_index[other, verb]), object_)
        for object_ in objects
        for other in same[object_]
        for verb in verbs
        if source.hoi_index[other, verb] >= 0
    ]


def _others(names: tuple[str, ...], mapped: np.ndarray) -> tuple[str, ...]:
    """The names whose numbers are not in `mapped`."""
    return tuple(names[i] for i in np.setdiff1d(np.arange(len(names)), mapped))
