"""Mistakes as cards: what was predicted or missed, in words and as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from link_hoi_core.data.image_folder import ImageFolder
from link_hoi_core.evaluation.outcome import Benchmark, Outcome
from link_hoi_core.evaluation.page import false_positives, misses
from link_hoi_core.evaluation.page.mistakes import SHOWN, Mistake, Mistakes, annotated_classes
from link_hoi_core.evaluation.page.pictures import Scene, scene

_NAMED = 4  # annotated classes that a card names
_DRAWN = 3  # annotated pairs that a card draws beside the predicted one
_SAME_BOXES = ('wrong verb', 'wrong object')  # their annotated boxes would hide the predicted ones


@dataclass(frozen=True)
class Card:
    """One mistake for people; `score` is '' where there is no prediction."""

    kind: str
    title: str
    score: str
    text: str
    file_name: str
    scene: Scene


@dataclass(frozen=True)
class Sort:
    """A sort of mistakes: the words around its cards, and what each kind of it means."""

    id: str
    title: str
    about: str
    meanings: Mapping[str, str]


FALSE_POSITIVES = Sort(
    'false-positives',
    'False positives',
    f'What the highest scored wrong detections are ({false_positives.CONSIDERED:,} at most), and '
    f'the worst of them ({SHOWN} at most), shared evenly among the kinds, one of each image and '
    'class. Annotations are not complete: some of them are right.',
    false_positives.KINDS,
)


def misses_above(threshold: float) -> Sort:
    """The sort of what no detection scored above `threshold` has found."""
    return Sort(
        'misses',
        'Misses',
        f'Annotated interactions that no detection scored above {threshold:g} has found, and the '
        f'worst of them ({SHOWN} at most), shared evenly among the kinds, one of each image and '
        'class: the largest in their images of those without a score, then the lowest scored.',
        misses.KINDS,
    )


@dataclass(frozen=True)
class Gallery:
    """The worst mistakes of one sort; `kinds` are (name, number, share of all, meaning)."""

    sort: Sort
    kinds: list[tuple[str, int, float, str]]
    cards: list[Card]


def make_gallery(
    sort: Sort,
    mistakes: Mistakes,
    outcome: Outcome,
    benchmark: Benchmark,
    folder: ImageFolder | None,
) -> Gallery:
    """Cards of the worst mistakes, with pictures as far as the folder has them."""
    total = max(sum(mistakes.counts.values()), 1)
    kinds = [(kind, n, n / total, sort.meanings[kind]) for kind, n in mistakes.counts.items()]
    cards = [_card(mistake, outcome.class_names, benchmark, folder) for mistake in mistakes.worst]
    return Gallery(sort, kinds, cards)


def _card(
    mistake: Mistake, names: Sequence[str], benchmark: Benchmark, folder: ImageFolder | None
) -> Card:
    image = benchmark.images[mistake.image]
    boxes = [(mistake.object, 'object'), (mistake.human, 'human')]
    if mistake.kind not in _SAME_BOXES:
        for pair in mistake.others[:_DRAWN]:
            boxes += [(image.boxes_o[pair], 'object annotated')]
            boxes += [(image.boxes_h[pair], 'human annotated')]
    if mistake.instead:
        text = 'predicted: ' + ', '.join(
            f'{names[k]} {_rounded(score)}' for k, score in mistake.instead
        )
    elif len(mistake.others):
        classes = annotated_classes(image, benchmark)[mistake.others]
        text = 'annotated: ' + _listed([names[label] for label in classes])
    else:
        text = ''
    return Card(
        mistake.kind,
        names[mistake.label],
        '' if np.isnan(mistake.score) else _rounded(mistake.score),
        text,
        image.file_name,
        scene(image, boxes, folder),
    )


def _rounded(score: float) -> str:
    return '<0.001' if 0 < score < 0.001 else f'{score:.3f}'


def _listed(names: Sequence[str]) -> str:
    distinct = list(dict.fromkeys(names))
    return ', '.join(distinct[:_NAMED]) + (' …' if len(distinct) > _NAMED else '')
