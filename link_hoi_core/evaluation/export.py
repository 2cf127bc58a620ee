"""Predictions in the formats that the official evaluators read: MATLAB's, and a pickle."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path

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
    '<action>_<role>', a box and its score. Agent and role have the prediction's score; all other
    actions are NaN, which the evaluator passes over. PViC writes zeros there, and so each of its
    predictions also counts, with score 0, for every other action.
    Boxes are inclusive pixels there, so x2 and y2 are one less; no object is a box of zeros.

    Args:
        images: named as COCO names them, for their ids.
        predictions: `hoi` counts in the 24 verbs "action role".
    """
    verbs = load_vocabulary('v-coco').verbs
    ids = image_names('v-coco', images)
    no_role = [float('nan')] * 5
    nothing = {f'{action.name}_agent': float('nan') for action in v_coco_actions()}
    nothing |= {
        f'{action.name}_{role}': no_role for action in v_coco_actions() for role in action.roles
    }
    humans, objects = (_inclusive(x).tolist() for x in (predictions.boxes_h, predictions.boxes_o))
    columns = zip(predictions.image.tolist(), predictions.hoi.tolist(), predictions.score.tolist())
    entries = []
    for (image, verb, score), human, object_ in zip(columns, humans, objects):
        action, role = verbs[verb].split()
        entries.append(
            {
                **nothing,
                'image_id': ids[image],
                'person_box': human,
                f'{action}_agent': score,
                f'{action}_{role}': [*object_, score],
            }
        )
    write_whole(path, pickle.dumps(entries, protocol=2))


def _cells(pairs: ScoredPairs, hois: np.ndarray) -> dict[tuple[int, int], np.ndarray]:
    """Rows (D, 9) by the position of their HOI in `hois` and by image; in their order."""
    rows = np.column_stack([_inclusive(pairs.boxes_h), _inclusive(pairs.boxes_o), pairs.score])
    order = np.lexsort((pairs.image, pairs.hoi))
    cells = np.column_stack([np.searchsorted(hois, pairs.hoi), pairs.image])[order]
    filled, starts = np.unique(cells, axis=0, return_index=True)
    return dict(zip(map(tuple, filled.tolist()), np.split(rows[order], starts[1:])))


def _inclusive(boxes: np.ndarray) -> np.ndarray:
    """0-based continuous boxes (D, 4) as 0-based inclusive pixels; boxes of zeros remain."""
    there = boxes.any(axis=1, keepdims=True)
    return boxes.astype(np.float64) - np.array([0, 0, 1, 1]) * there
