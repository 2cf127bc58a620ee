"""Predictions in the formats that the official evaluators read: MATLAB's, and a pickle."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from link_hoi_core.data.annotated_image import AnnotatedImage
from link_hoi_core.data.json_files import write_whole
from link_hoi_core.data.mat_file import write_cells
from link_hoi_core.evaluation.pairs import ScoredPairs
from link_hoi_core.evaluation.prediction_files import image_names
from link_hoi_core.progress import track
from link_hoi_core.vocabulary import Vocabulary, load_vocabulary, v_coco_actions


def write_matlab(
    folder: Path,
    images: Sequence[AnnotatedImage],
    predictions: ScoredPairs,
    vocabulary: Vocabulary,
) -> None:
    """Write `detections_01.mat` to `detections_80.mat` of HICO-DET (ho-rcnn, eval_one.m, 'obj').

    The file of an object holds `all_boxes`, a cell for each of its HOIs, by rising id, and each
    image, with rows of human box, object box and score. Boxes are 0-based inclusive pixels there:
    the script adds 1 to all of them, and we take 1 from x2 and y2 first.

    Args:
        images: all images of the test set in the annotation file's order, which is that of
            `anno.mat`: the script counts on both.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for index in track(range(len(vocabulary.objects)), 'writing', len(vocabulary.objects)):
        hois = np.flatnonzero(vocabulary.hois[:, 1] == index)
        of_object = predictions.take(vocabulary.hois[predictions.hoi, 1] == index)
        path = folder / f'detections_{index + 1:02d}.mat'
        write_cells(path, 'all_boxes', (len(hois), len(images)), _cells(of_object, hois))


def write_vsrl(path: Path, images: Sequence[AnnotatedImage], predictions: ScoredPairs) -> None:
    """Write the pickle that V-COCO's official evaluator reads (s-gupta/v-coco, vsrl_eval.py).

    It is a list with one dictionary a prediction: 'image_id', 'person_box', '<action>_agent' and
    '<action>_<role>', a box and its score. What it is not of is NaN, which the evaluator passes
    over. (PViC writes zeros there, so each of its predictions counts for every other action too,
    with score 0.) Only actions and roles of which there is no prediction at all have zeros, for the
    evaluator stops at those that it finds nothing of: walk, stand, run, smile, point, maybe more.
    The agent's score stands once for each human box and action, at the best of its predictions: a
    second one would be a duplicate.
    Boxes are written as they are, as by PViC and QPIC, though the evaluator counts their last pixel
    in; no object is a box of zeros.

    Args:
        images: named as COCO names them, for their ids.
        predictions: `hoi` counts in the 24 verbs "action role".
    """
    verbs = [verb.split() for verb in load_vocabulary('v-coco').verbs]
    ids = image_names('v-coco', images)
    others = _other_actions([verbs[verb] for verb in np.unique(predictions.hoi)])
    entries: list[dict[str, Any]] = []
    best: dict[tuple, dict[str, Any]] = {}  # the entry with an agent's score
    columns = (getattr(predictions, field.name).tolist() for field in fields(predictions))
    for image, human, object_, verb, score in zip(*columns):
        action, role = verbs[verb]
        agent = f'{action}_agent'
        entry = {
            **others,
            'image_id': ids[image],
            'person_box': human,
            f'{action}_{role}': [*object_, score],
        }
        entries.append(entry)
        person = (image, *human, action)
        other = best.setdefault(person, entry)
        if other is entry or score > other[agent]:
            other[agent] = float('nan')
            entry[agent] = score
            best[person] = entry
    write_whole(path, pickle.dumps(entries, protocol=2))


def _other_actions(predicted: list[list[str]]) -> dict[str, Any]:
    """What an entry says of actions and roles that it is not of; `predicted` are those of some."""
    others: dict[str, Any] = {}
    for action in v_coco_actions():
        acts = any(action.name == name for name, _ in predicted)
        others[f'{action.name}_agent'] = float('nan') if acts else 0.0
        for role in action.roles:
            some = [action.name, role] in predicted
            others[f'{action.name}_{role}'] = [float('nan') if some else 0.0] * 5
    return others


def _cells(pairs: ScoredPairs, hois: np.ndarray) -> dict[tuple[int, int], np.ndarray]:
    """Rows (D, 9) by the position of their HOI in `hois` and by image; in their order."""
    rows = np.column_stack([_inclusive(pairs.boxes_h), _inclusive(pairs.boxes_o), pairs.score])
    order = np.lexsort((pairs.image, pairs.hoi))
    cells = np.column_stack([np.searchsorted(hois, pairs.hoi), pairs.image])[order]
    filled, starts = np.unique(cells, axis=0, return_index=True)
    return dict(zip(map(tuple, filled.tolist()), np.split(rows[order], starts[1:])))


def _inclusive(boxes: np.ndarray) -> np.ndarray:
    """0-based continuous boxes (D, 4) as 0-based inclusive pixels."""
    return boxes - np.array([0, 0, 1, 1], np.float64)
