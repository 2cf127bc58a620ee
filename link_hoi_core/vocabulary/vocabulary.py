"""What a model can say: the objects, verbs and HOI classes of a data set, with their texts."""

from __future__ import annotations

import difflib
import gzip
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from link_hoi_core.vocabulary.names import coco_synonyms, name_key

TABLES = Path(__file__).parent / 'tables'
_FILES = {
    'hico-det': 'hico_det.json',
    'v-coco': 'v_coco.json',
    'swig-hoi': 'swig_hoi.json.gz',
}


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """O objects, V verbs and the H (verb, object) pairs that are classes; every id is 0-based.

    Attributes:
        id: 'hico-det', 'v-coco' or 'swig-hoi'.
        objects: O names; COCO-80 order and HICO's spelling for 'hico-det' and 'v-coco'. 36 names of
            'swig-hoi' stand twice, for two senses of one word.
        object_synonyms: for each object, other names under which `object_index` finds it.
        verbs: V names ('sit_on'); the 24 "action role" classes ('sit instr') for 'v-coco'.
        verb_phrases: V -ing forms ('sitting on'); 'no interaction' for HICO's verb 57.
        verb_prompts: V sentences that say the verb without its object.
        hois: (H, 2) int64 [verb, object].
        prompts: H sentences.
        rare: (H,) bool, fewer than 10 training pairs; HICO-DET only.
        frequency: (H,) int64, 0 novel, 1 rare, 2 common; SWiG-HOI only.
        evaluated: (H,) bool, counts in the benchmark; SWiG-HOI only.
        valid: (O, V) bool, the verb goes with the object.
        hoi_index: (O, V) int64 HOI id, -1 where there is none.
    """

    id: str
    objects: tuple[str, ...]
    object_synonyms: tuple[tuple[str, ...], ...]
    verbs: tuple[str, ...]
    verb_phrases: tuple[str, ...]
    verb_prompts: tuple[str, ...]
    hois: np.ndarray
    prompts: tuple[str, ...]
    rare: np.ndarray | None
    frequency: np.ndarray | None
    evaluated: np.ndarray | None
    valid: np.ndarray
    hoi_index: np.ndarray

    @cached_property
    def person(self) -> int:
        """Index of the object 'person'."""
        return self.objects.index('person')

    def object_index(self, name: str) -> int | None:
        """Index of an object by any usual spelling or synonym; None where there is no such object.

        Of two senses of one word it is the first, which is the more frequent one.
        """
        for spelling in (name, *coco_synonyms(name)):
            index = self._object_by_key.get(name_key(spelling))
            if index is not None:
                return index
        return None

    def verb_index(self, name: str) -> int | None:
        """Index of a verb by its name or -ing phrase in any spelling; None where there is none."""
        return self._verb_by_key.get(name_key(name))

    @cached_property
    def _object_by_key(self) -> dict[str, int]:
        index: dict[str, int] = {}
        for i, name in enumerate(self.objects):
            index.setdefault(name_key(name), i)
        for i, others in enumerate(self.object_synonyms):  # a name goes before any synonym
            for other in others:
                index.setdefault(name_key(other), i)
        return index

    @cached_property
    def _verb_by_key(self) -> dict[str, int]:
        index = {name_key(verb): i for i, verb in enumerate(self.verbs)}
        for i, phrase in enumerate(self.verb_phrases):
            index.setdefault(name_key(phrase), i)
        return index


@lru_cache(maxsize=None)
def load_vocabulary(name: str) -> Vocabulary:
    """The vocabulary 'hico-det', 'v-coco' or 'swig-hoi'; loaded once, its arrays are read-only.

    Raises:
        ValueError: there is no vocabulary of that name.
    """
    check_name(name, _FILES, 'vocabulary')
    table = read_table(_FILES[name])
    hois = _frozen(table['hois'], np.int64)
    hoi_index = np.full((len(table['objects']), len(table['verbs'])), -1, np.int64)
    hoi_index[hois[:, 1], hois[:, 0]] = np.arange(len(hois))
    frequency = _frozen(table['frequency'], np.int64) if 'frequency' in table else None
    return Vocabulary(
        id=name,
        objects=tuple(table['objects']),
        object_synonyms=tuple(tuple(others) for others in table['object_synonyms']),
        verbs=tuple(table['verbs']),
        verb_phrases=tuple(table['verb_phrases']),
        verb_prompts=tuple(table['verb_prompts']),
        hois=hois,
        prompts=tuple(table['prompts']),
        rare=_members(table['rare'], len(hois)) if 'rare' in table else None,
        frequency=frequency,
        evaluated=_members(table['evaluated'], len(hois)) if 'evaluated' in table else None,
        valid=_frozen(hoi_index >= 0, bool),
        hoi_index=_frozen(hoi_index, np.int64),
    )


def read_table(file: str) -> Any:
    """Content of one of the package's JSON tables."""
    data = (TABLES / file).read_bytes()
    return json.loads(gzip.decompress(data) if file.endswith('.gz') else data)


def check_name(name: str, known: Iterable[str], kind: str) -> None:
    """Raise a ValueError that gives the nearest known name, where `name` is not a known one."""
    known = tuple(known)
    if name in known:
        return
    of_lower = {other.lower(): other for other in known}
    nearest = of_lower[difflib.get_close_matches(str(name).lower(), of_lower, 1, cutoff=0.0)[0]]
    raise ValueError(
        f'unknown {kind} {name!r}: did you mean {nearest!r}? (known: {", ".join(known)})'
    )


def _members(ids: list[int], count: int) -> np.ndarray:
    """(count,) bool, true at `ids`."""
    mask = np.zeros(count, bool)
    mask[ids] = True
    mask.setflags(write=False)
    return mask


def _frozen(values: Any, dtype: Any) -> np.ndarray:
    array = np.array(values, dtype)
    array.setflags(write=False)
    return array
