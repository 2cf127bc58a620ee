"""V-COCO figures as the official evaluation gives them (s-gupta/v-coco, vsrl_eval.py), and 11-point
mAP as PViC's diagnosis.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from link_hoi_core.data.annotated_image import AnnotatedImage
from link_hoi_core.data.v_coco_people import VCocoPeople, people_of_pairs
from link_hoi_core.evaluation.average_precision import (
    area_under_envelope,
    average_precision,
    f1_at,
    mean_of,
)
from link_hoi_core.evaluation.matching import (
    MIN_OVERLAP,
    RankedDetections,
    best_candidates,
    box_overlaps,
    match,
    rank,
    rank_some,
)
from link_hoi_core.evaluation.outcome import Outcome
from link_hoi_core.evaluation.pairs import ScoredPairs, annotated_pairs
from link_hoi_core.vocabulary import load_vocabulary, v_coco_actions


class VCoco:
    """The `Benchmark` of V-COCO (spec section 11): classes are its 24 'action role'.

    A predicted role box of zeros, or NaN, says that there is no object in the role.

    A prediction belongs to the person that its human box overlaps most, of all that COCO has in the
    image; if that one is not labelled, the prediction is left out. It is right, once for each
    person and role, if the person does the action, is overlapped by at least 0.5, and so is the
    object in the role; where there is none, scenario 1 asks that none is predicted, and scenario 2
    nothing. What there is to be found are the people who do the action, with an object or without.

    Attributes:
        labels: 'official', or 'converted' where people come from the annotated pairs, so that
            those who act without an annotated object are not known: AP is then another figure.
    """

    name = 'v-coco'

    def __init__(self, images: Sequence[AnnotatedImage], people: VCocoPeople | None = None) -> None:
        """Take the rules that predictions are held to.

        Args:
            images: `ScoredPairs.image` counts in them.
            people: in these images, as of `read_v_coco_people`; None: those of the pairs.
        """
        self.vocabulary = load_vocabulary('v-coco')
        self.images = images
        self.labels = 'converted' if people is None else 'official'
        self._people = people_of_pairs(images) if people is None else people
        pairs, verb = annotated_pairs(images), self.vocabulary.hois[:, 0].astype(np.int32)
        self._annotated = replace(pairs, hoi=verb[pairs.hoi])

    def rank(self, predictions: ScoredPairs) -> dict[str, RankedDetections]:
        """'s1' and 's2' by role, 'agent' by action, and 'map' by role, as PViC's diagnosis.

        For 'agent', the score of a human box and an action is the largest of its roles.
        """
        person, overlap = self._person_of(predictions)
        judged = np.append(self._people.labelled, True)[person]  # the last one: of nobody, -1
        near = np.flatnonzero(overlap >= MIN_OVERLAP)
        acting = near[self._people.acts[person[near], predictions.hoi[near]]]
        s1, s2 = self._role_fits(predictions.take(acting), person[acting])
        roles = self._people.acts.sum(0)
        of_actions = replace(predictions, hoi=_ACTION_OF_VERB[predictions.hoi])
        best = judged & _best_of_each_agent(of_actions)
        return {
            's1': _rank(predictions, judged, person, acting[s1], roles),
            's2': _rank(predictions, judged, person, acting[s2], roles),
            'agent': _rank(of_actions, best, person, acting, roles[_VERB_OF_ACTION]),
            'map': self._rank_pairs(predictions),
        }

    def outcome(self, ranked: Mapping[str, RankedDetections], f1_threshold: float) -> Outcome:
        """Area under the envelope for 'ap_role_s1', 'ap_role_s2', 'ap_agent', and 11-point 'map'.

        Means are over the annotated classes: 24 roles, and the 21 actions that they are of. With
        official labels there are 'ap_role_s1_25' and 'ap_role_s2_25' too, the official printout's,
        where point's 'instr' counts with 0. mF1 is of the roles by scenario 1.
        """
        aps = {
            'ap_role_s1': _percent(area_under_envelope, ranked['s1']),
            'ap_role_s2': _percent(area_under_envelope, ranked['s2']),
            'ap_agent': _percent(area_under_envelope, ranked['agent']),
            'map': _percent(average_precision, ranked['map']),
        }
        figures = {name: mean_of(ap) for name, ap in aps.items()}
        if self.labels == 'official':
            with_point = {name: np.append(aps[name], 0) for name in ('ap_role_s1', 'ap_role_s2')}
            figures |= {f'{name}_25': mean_of(ap) for name, ap in with_point.items()}
        annotated = ~np.isnan(aps['ap_role_s1'])
        figures |= f1_at(ranked['s1'], f1_threshold, annotated).named()
        verbs = self.vocabulary.verbs
        names = {'ap_role_s2': verbs, 'ap_agent': ACTIONS, 'map': verbs}
        beside = {name: dict(zip(of, aps[name].tolist())) for name, of in names.items()}
        return Outcome(figures, verbs, aps['ap_role_s1'], {}, ranked['s1'], beside)

    def _person_of(self, predictions: ScoredPairs) -> tuple[np.ndarray, np.ndarray]:
        """Whom each human box overlaps most (D,), -1 where nobody is, and how much (D,)."""
        people = self._people
        return best_candidates(
            predictions.image.astype(np.int64),
            people.image,
            lambda row, candidate: box_overlaps(
                _inclusive(predictions.boxes_h[row]), people.boxes[candidate]
            ),
        )

    def _role_fits(self, found: ScoredPairs, person: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Whether each prediction has the object of the person's role, by scenario 1 and 2."""
        object_ = self._people.boxes_o[person, found.hoi]
        missing = np.isnan(object_).any(axis=1)
        fits = box_overlaps(_inclusive(found.boxes_o), object_) >= MIN_OVERLAP
        return np.where(missing, _is_none(found.boxes_o), fits), missing | fits

    def _rank_pairs(self, predictions: ScoredPairs) -> RankedDetections:
        """As PViC: pairs of two boxes by their overlap, in images that have some."""
        with_pairs = np.array([len(image.hoi) > 0 for image in self.images], bool)
        kept = with_pairs[predictions.image] & ~_is_none(predictions.boxes_o)
        classes = len(self.vocabulary.verbs)
        return rank_some(
            predictions, kept, lambda pairs: match(pairs, self._annotated, classes, strict=True)
        )


_ACTIONS = [action for action in v_coco_actions() if set(action.verbs) - {None}]
ACTIONS = tuple(action.name for action in _ACTIONS)
_VERB_OF_ACTION = np.array([action.verbs[0] for action in _ACTIONS])
_ACTION_OF_VERB = np.zeros(sum(len(action.verbs) for action in _ACTIONS), np.int32)
for _index, _action in enumerate(_ACTIONS):
    _ACTION_OF_VERB[list(_action.verbs)] = _index


def _rank(
    pairs: ScoredPairs,
    kept: np.ndarray,
    person: np.ndarray,
    right: np.ndarray,
    num_annotated: np.ndarray,
) -> RankedDetections:
    """Rank the pairs at the mask `kept`; each person can be found once in each class.

    Args:
        person: (D,) whom each pair belongs to.
        right: rows of the pairs that find their person, unless a better one has.
    """
    wanted = np.full(len(pairs), -1)
    wanted[right] = person[right] * len(num_annotated) + pairs.hoi[right]
    return rank_some(pairs, kept, lambda some: rank(some, wanted[kept], num_annotated))


def _percent(ap: Callable[[RankedDetections], np.ndarray], ranked: RankedDetections) -> np.ndarray:
    """(C,) AP in percent, NaN for a class that is not annotated."""
    return np.where(ranked.num_annotated > 0, 100 * ap(ranked), np.nan)


def _best_of_each_agent(pairs: ScoredPairs) -> np.ndarray:
    """(D,) bool: of equal human boxes with one class, the first with the best score."""
    keys = (*pairs.boxes_h.T, pairs.hoi, pairs.image)
    order = np.lexsort((-pairs.score, *keys))
    best = np.zeros(len(pairs), bool)
    new = [key[order[1:]] != key[order[:-1]] for key in keys]
    best[order[:1]] = True
    best[order[1:][np.logical_or.reduce(new)]] = True
    return best


def _inclusive(boxes: np.ndarray) -> np.ndarray:
    """Predicted boxes as the official evaluation takes them: the last pixel counts as well.

    It is given them as they are (PViC, QPIC), but makes x1 + width - 1 of annotated ones before it
    adds that pixel again, so that only predicted boxes grow.
    """
    return boxes + np.array([0, 0, 1, 1], np.float64)


def _is_none(boxes: np.ndarray) -> np.ndarray:
    """(D,) bool: the box says that there is no object."""
    return (boxes == 0).all(axis=1) | np.isnan(boxes).all(axis=1)
