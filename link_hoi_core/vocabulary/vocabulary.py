"""What a model can say: the objects, verbs and HOI classes of a data set, with their texts."""

from __future__ import annotations

import difflib
import gzip
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np

from link_hoi_core.vocabulary.names import coco_synonyms, spellings

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
        id: 'hico-det', 'v-coco' or 'swig-hoi'; behind it '+custom-' and
            a fingerprint, where words were changed.
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

    @cached_property
    def hoi_names(self) -> tuple[str, ...]:
        """H names 'ride bicycle'; of two senses of an object, the second class is 'hit bat (2)'."""
        seen: Counter[str] = Counter()
        names = []
        for verb, object_ in self.hois:
            name = f'{self.verbs[verb]} {self.objects[object_]}'
            seen[name] += 1
            names.append(name if seen[name] == 1 else f'{name} ({seen[name]})')
        return tuple(names)

    def object_index(self, name: str) -> int | None:
        """Index of an object by any usual spelling or synonym; None where there is no such object.

        Of two senses of one word it is the first, which is the more frequent one.
        """
        index = _find(self._object_by_name, name)
        if index is None:
            index = _find(self._object_by_synonym, name)
        if index is None:
            # By name only: SWiG's water faucet is called hydrant too, but is no fire hydrant.
            found = (_find(self._object_by_name, other) for other in coco_synonyms(name))
            index = next((other for other in found if other is not None), None)
        return index

    def verb_index(self, name: str) -> int | None:
        """Index of a verb by its name or -ing phrase in any spelling; None where there is none."""
        return _find(self._verb_by_name, name)

    @cached_property
    def _object_by_name(self) -> dict[str, int]:
        return _index([(name, i) for i, name in enumerate(self.objects)])

    @cached_property
    def _object_by_synonym(self) -> dict[str, int]:
        synonyms = enumerate(self.object_synonyms)
        return _index([(name, i) for i, names in synonyms for name in names])

    @cached_property
    def _verb_by_name(self) -> dict[str, int]:
        forms = (self.verbs, self.verb_phrases)
        return _index([(name, i) for names in forms for i, name in enumerate(names)])


@cache
def load_vocabulary(name: str) -> Vocabulary:
    """The vocabulary 'hico-det', 'v-coco' or 'swig-hoi'; loaded once, its arrays are read-only.

    Raises:
        ValueError: there is no vocabulary of that name.
    """
    check_name(name, _FILES, 'vocabulary')
    table = read_table(_FILES[name])
    hois = frozen(table['hois'], np.int64)
    hoi_index = np.full((len(table['objects']), len(table['verbs'])), -1, np.int64)
    hoi_index[hois[:, 1], hois[:, 0]] = np.arange(len(hois))
    frequency = frozen(table['frequency'], np.int64) if 'frequency' in table else None
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
        valid=frozen(hoi_index >= 0, bool),
        hoi_index=frozen(hoi_index, np.int64),
    )


def read_table(file: str) -> Any:
    """Content of one of the package's JSON tables."""
    data = (TABLES / file).read_bytes()
    return json.loads(gzip.decompress(data) if file.endswith('.gz') else data)


def frozen(values: Any, dtype: Any) -> np.ndarray:
    """A copy as a read-only array."""
    array = np.array(values, dtype)
    array.setflags(write=False)
    return array


def check_name(name: str, known: Iterable[str], kind: str) -> None:
    """Raise a ValueError that gives the nearest known name, where `name` is not a known one."""
    known = tuple(known)
    if name in known:
        return
    of_lower = {other.lower(): other for other in known}
    nearest = of_lower[difflib.get_close_matches(str(name).lower(), of_lower, 1, cutoff=0.0)[0]]
    listing = f' (known: {", ".join(known)})' if len(known) <= 50 else ''
    raise ValueError(f'unknown {kind} {name!r}: did you mean {nearest!r}?{listing}')


def _index(names: list[tuple[str, int]]) -> dict[str, int]:
    """Index by every spelling; of two names that share one, the nearer, then the first, has it.

    SWiG has both a hot dog, the sausage, and a hotdog, who performs stunts.
    """
    index: dict[str, int] = {}
    for same_spelling in zip(*(spellings(name) for name, _ in names)):
        for spelling, (_, i) in zip(same_spelling, names):
            index.setdefault(spelling, i)
    return index


def _find(index: dict[str, int], name: str) -> int | None:
    """Index of a name by the nearest spelling that is known."""
    if name in index:  # what nearly every detector sends; worth a short way
        return index[name]
    return next((index[spelling] for spelling in spellings(name) if spelling in index), None)


def _members(ids: list[int], count: int) -> np.ndarray:
    """(count,) bool, true at `ids`."""
    mask = np.zeros(count, bool)
    mask[ids] = True
    mask.setflags(write=False)
    return mask
