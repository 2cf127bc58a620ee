"""Vocabularies of any words: what a model is asked for at run time, beyond its benchmark."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from link_hoi_core.vocabulary.inflection import ing_form, with_article
from link_hoi_core.vocabulary.names import name_key
from link_hoi_core.vocabulary.vocabulary import Vocabulary

NO_INTERACTION = 'no interaction'  # the phrase of HICO's verb for pairs that do nothing

T = TypeVar('T')


def with_verbs(vocabulary: Vocabulary, verbs: Sequence[str]) -> Vocabulary:
    """The vocabulary with these verbs in place of its own, in this order.

    A verb that it knows, in any spelling or form ('sit on', 'sitting_on'), keeps its name, texts
    and objects. A new one ('juggle') is named in lower case with underscores, gets an -ing phrase
    and a prompt, and goes with every object.

    Returns:
        a vocabulary whose id ends in '+custom-' and a fingerprint of its words, with all valid
        (verb, object) combinations as its classes, and no benchmark of them (`rare`, `frequency`
        and `evaluated` are None).

    Raises:
        ValueError: there is no verb, one is no word, or one stands twice.
    """
    words = _check_words(verbs, 'verbs')
    known = _indices(_find_verb(vocabulary, word) for word in words)
    phrases = _take(vocabulary.verb_phrases, known, [_phrase(word) for word in words])
    _check_distinct(words, phrases, 'verbs')
    prompts = [_verb_prompt(phrase) for phrase in phrases]
    changed = replace(
        vocabulary,
        verbs=_take(vocabulary.verbs, known, [_name(word) for word in words]),
        verb_phrases=phrases,
        verb_prompts=_take(vocabulary.verb_prompts, known, prompts),
    )
    is_new = np.broadcast_to(known < 0, (len(vocabulary.objects), len(known)))
    return _with_classes(changed, vocabulary.hoi_index[:, known], is_new)


def with_objects(vocabulary: Vocabulary, objects: Sequence[str]) -> Vocabulary:
    """The vocabulary with these objects in place of its own, in this order.

    An object that it knows, by any spelling or synonym, keeps its name, synonyms and verbs. A new
    one ('robot arm') is named in lower case with underscores and goes with every verb. The person,
    without whom there is no interaction, is put first where it is not given.

    Returns:
        as `with_verbs`.

    Raises:
        ValueError: there is no object, one is no word, or one stands twice.
    """
    words = _check_words(objects, 'objects')
    if all(vocabulary.object_index(word) != vocabulary.person for word in words):
        words = ['person', *words]
    known = _indices(vocabulary.object_index(word) for word in words)
    names = _take(vocabulary.objects, known, [_name(word) for word in words])
    _check_distinct(words, names, 'objects')
    changed = replace(
        vocabulary,
        objects=names,
        object_synonyms=_take(vocabulary.object_synonyms, known, [()] * len(words)),
    )
    is_new = np.broadcast_to((known < 0)[:, None], (len(known), len(vocabulary.verbs)))
    return _with_classes(changed, vocabulary.hoi_index[known], is_new)


def base_verbs(base: Vocabulary, vocabulary: Vocabulary) -> np.ndarray:
    """Index in `base` of each verb of a vocabulary made from it: (V,) int64, -1 = a new one."""
    return _indices(_find_verb(base, name) for name in vocabulary.verbs)


def base_objects(base: Vocabulary, vocabulary: Vocabulary) -> np.ndarray:
    """Index in `base` of each object of a vocabulary made from it: (O,) int64, -1 = a new one."""
    if vocabulary.objects == base.objects:
        return np.arange(
            len(base.objects)
        )  # 36 names of SWiG stand twice: no name finds the second
    return _indices(base.object_index(name) for name in vocabulary.objects)


def _with_classes(changed: Vocabulary, old: np.ndarray, is_new: np.ndarray) -> Vocabulary:
    """Number the valid combinations, object by object as HICO does, and name them.

    Args:
        changed: with its words, but with the classes of the vocabulary that it is made from.
        old: (O, V) int64, that vocabulary's ids of the combinations; of no meaning where new.
        is_new: (O, V) bool, the combinations that have a new word.
    """
    valid = is_new | (old >= 0)
    object_, verb = np.nonzero(valid)
    hois = np.stack((verb, object_), axis=1)
    hoi_index = np.full(valid.shape, -1, np.int64)
    hoi_index[object_, verb] = np.arange(len(hois))
    prompts = tuple(
        _prompt(changed.verb_phrases[v], changed.objects[o])
        if is_new[o, v]
        else changed.prompts[old[o, v]]
        for v, o in hois
    )
    for array in (hois, hoi_index, valid):
        array.setflags(write=False)
    return replace(
        changed,
        id=f'{changed.id.partition("+")[0]}+custom-{_fingerprint(changed)}',
        hois=hois,
        prompts=prompts,
        rare=None,
        frequency=None,
        evaluated=None,
        valid=valid,
        hoi_index=hoi_index,
    )


def _fingerprint(vocabulary: Vocabulary) -> str:
    """Of the words: who sees an id knows what its numbers mean."""
    words = '\n'.join((*vocabulary.verbs, '', *vocabulary.objects))
    return hashlib.sha256(words.encode()).hexdigest()[:8]


def _check_words(words: Sequence[str], kind: str) -> list[str]:
    if isinstance(words, str):
        raise ValueError(f'{kind} are the one text {words!r}, expected a list of words')
    for word in words:
        if not isinstance(word, str) or not name_key(word):
            raise ValueError(f'{word!r} is among the {kind}, expected words')
    if not words:
        raise ValueError(f'no {kind} are given, expected at least one')
    return list(words)


def _check_distinct(words: Sequence[str], names: Sequence[str], kind: str) -> None:
    """Two spellings of one name are one word."""
    first: dict[str, int] = {}
    for i, name in enumerate(names):
        other = first.setdefault(name_key(name), i)
        if other != i:
            raise ValueError(
                f'{words[other]!r} and {words[i]!r} are the same among the {kind}: give it once'
            )


def _find_verb(vocabulary: Vocabulary, word: str) -> int | None:
    """By its name or any form: V-COCO knows 'ride' only as 'ride instr', 'riding'."""
    index = vocabulary.verb_index(word)
    return vocabulary.verb_index(_phrase(word)) if index is None else index


def _indices(found: Iterable[int | None]) -> np.ndarray:
    return np.array([-1 if index is None else index for index in found], np.int64)


def _take(old: Sequence[T], known: np.ndarray, new: Sequence[T]) -> tuple[T, ...]:
    """`old` at the known indices, `new` where there is none."""
    return tuple(old[index] if index >= 0 else own for index, own in zip(known, new))


def _name(word: str) -> str:
    return '_'.join(word.lower().replace('_', ' ').split())


def _phrase(verb: str) -> str:
    return NO_INTERACTION if name_key(verb) == name_key(NO_INTERACTION) else ing_form(verb)


def _verb_prompt(phrase: str) -> str:
    doing = 'and' if phrase == NO_INTERACTION else f'is {phrase}'
    return f'a photo of a person {doing} the object'


def _prompt(phrase: str, name: str) -> str:
    doing = 'and' if phrase == NO_INTERACTION else phrase
    return f'A photo of a person {doing} {with_article(name)}'
