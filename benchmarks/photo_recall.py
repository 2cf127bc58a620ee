"""How many labelled interactions of V-COCO photos are found: `python benchmarks/photo_recall.py`.

A detector and a HICO-DET model look at the photos of the test data that V-COCO labels. A labelled
(person, action, object) is found when a triplet has both boxes by IoU >= 0.5, the object's class,
and a HICO verb that says the action. The same with the labelled boxes in place of the detector's
separates what the detector loses from what the model loses.
"""

from __future__ import annotations

import argparse
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from link_hoi_core.clip_zero_shot import ClipZeroShot
from link_hoi_core.data.hico_det import AnnotatedImage, ground_truth_detections
from link_hoi_core.data.json_files import read_json, write_json
from link_hoi_core.detectors import load_detector
from link_hoi_core.geometry import box_iou
from link_hoi_core.images import read_image
from link_hoi_core.models import load_predictor
from link_hoi_core.predictor import HoiPredictor
from link_hoi_core.structures import Detections, Interactions
from link_hoi_core.vocabulary import Vocabulary

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get('LINK_HOI_SHARED', ROOT.parent / 'shared'))
RESULT = ROOT / 'benchmarks' / 'results' / 'photo_recall.json'
THRESHOLDS = (0.2, 0.1)
BEST_VERBS = 5
LEAST_IOU = 0.5
NO_RANK = 1000

#: HICO-DET's verbs that say a V-COCO action. Those of none, or whose verbs HICO does not have with
#: the labelled object (eating with a fork, sitting on a table), are left out and counted.
HICO_VERBS: dict[str, tuple[str, ...]] = {
    'hold obj': ('hold',),
    'sit instr': ('sit_on', 'straddle'),
    'ride instr': ('ride',),
    'look obj': ('watch', 'inspect', 'check', 'read'),
    'hit instr': ('swing', 'wield'),
    'hit obj': ('hit', 'serve'),
    'eat obj': ('eat',),
    'eat instr': (),
    'jump instr': ('jump',),
    'lay instr': ('lie_on',),
    'talk_on_phone instr': ('talk_on',),
    'carry obj': ('carry',),
    'throw obj': ('throw',),
    'catch obj': ('catch',),
    'cut instr': ('cut_with',),
    'cut obj': ('cut',),
    'work_on_computer instr': ('type_on', 'control', 'read'),
    'ski instr': ('ride',),
    'surf instr': ('ride',),
    'skateboard instr': ('ride',),
    'drink instr': ('drink_with', 'sip'),
    'kick obj': ('kick',),
    'read obj': ('read',),
    'snowboard instr': ('ride',),
}


@dataclass(frozen=True)
class Photo:
    """A photo and its L labelled interactions.

    `verbs` has, for each of them, the ids of the HICO verbs that say it; `actions` their names.
    """

    path: Path
    image: np.ndarray
    boxes_h: np.ndarray  # (L, 4) float32
    boxes_o: np.ndarray  # (L, 4) float32
    objects: np.ndarray  # (L,) int64, COCO-80
    actions: tuple[str, ...]
    verbs: tuple[tuple[int, ...], ...]

    def boxes(self) -> Detections:
        """The labelled boxes as detections of score 1."""
        nothing = np.zeros(len(self.objects), np.int64)
        columns = (self.boxes_h, self.boxes_o, nothing, self.objects, nothing)
        return ground_truth_detections(
            AnnotatedImage(self.path.name, self.image.shape[:2], *columns)
        )


@dataclass(frozen=True)
class Match:
    """What became of a label: are both boxes there, and the best score, verb score and rank.

    Where no triplet says it, the scores are 0 and the rank, of which 0 is the best, is `NO_RANK`.
    """

    action: str
    boxes: bool
    score: float
    verb_score: float
    rank: int


def main() -> None:
    """Print and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--shared', type=Path, default=SHARED, help='folder of the test data')
    parser.add_argument('--detector', help='default: the YOLOX-nano of the test data')
    parser.add_argument('--model', default='boxes')
    parser.add_argument('--json', type=Path, default=RESULT)
    options = parser.parse_args()
    name = options.detector or f'onnx:{options.shared / "weights" / "yolox_nano_coco.onnx"}'

    model = load_predictor(options.model, 'cpu')
    on_labelled_boxes = load_predictor(options.model, 'cpu', select=False)
    detector = load_detector(name, model.vocabulary)
    model.score_exponent = detector.score_exponent
    photos = read_photos(options.shared / 'data', model.vocabulary)
    found = [detector.detect([photo.image], [photo.path.name])[0] for photo in photos]
    labelled = [photo.boxes() for photo in photos]
    by_detector = match(photos, found, model)
    by_labels = match(photos, labelled, on_labelled_boxes)
    figures = {
        'model': model.model_name,
        'detector': Path(name).name,
        'photos': len(photos),
        'labels': sum(len(photo.actions) for photo in photos),
        'labels_in_hico': len(by_detector),
        'detected_boxes': recall(by_detector),
        'labelled_boxes': recall(by_labels),
        'by_action': by_action(by_detector, by_labels),
    }
    write_json(options.json, figures, indent=2)
    _print(figures)


def read_photos(data: Path, vocabulary: Vocabulary) -> list[Photo]:
    """The photos of the manifest that have V-COCO labels, at least one of them."""
    photos, tables = [], {}
    for entry in read_json(data / 'images' / 'manifest.json'):
        truth = entry.get('gt') or {}
        if truth.get('dataset') != 'V-COCO' or not truth['n_pairs']:
            continue
        file = truth['annotation_file']
        if file not in tables:
            content = read_json(data / file)
            by_name = {image['file_name']: image for image in content['annotations']}
            tables[file] = content['classes'], by_name
        classes, by_name = tables[file]
        path = data / 'images' / entry['file']
        photos.append(_photo(path, by_name[entry['file']], classes, vocabulary))
    return photos


def match(
    photos: list[Photo], detections: list[Detections], model: HoiPredictor | ClipZeroShot
) -> list[Match]:
    """What became of each label that HICO can say."""
    return [
        _match(photo, label, found, triplets, _ranks(triplets))
        for photo, found in zip(photos, detections)
        for triplets in [model.predict(photo.image, found)]
        for label in range(len(photo.actions))
        if photo.verbs[label]
    ]


def recall(matches: list[Match]) -> dict[str, float]:
    """Shares of the labels whose boxes are there, and that are found by score or by rank."""
    shares = {'both_boxes': np.mean([match.boxes for match in matches])}
    for threshold in THRESHOLDS:
        shares[f'score_{threshold}'] = np.mean([match.score >= threshold for match in matches])
    first = THRESHOLDS[0]  # without the detector's confidence
    shares[f'verb_score_{first}'] = np.mean([match.verb_score >= first for match in matches])
    shares[f'best_{BEST_VERBS}_of_pair'] = np.mean([match.rank < BEST_VERBS for match in matches])
    return {key: round(float(share), 4) for key, share in shares.items()}


def by_action(by_detector: list[Match], by_labels: list[Match]) -> dict[str, dict[str, int]]:
    """Of each action, the labels and those found by score."""
    first = THRESHOLDS[0]
    return {
        action: {
            'labels': sum(match.action == action for match in by_labels),
            f'detected_boxes_{first}': _count(by_detector, action, first),
            f'labelled_boxes_{first}': _count(by_labels, action, first),
        }
        for action in HICO_VERBS
        if any(match.action == action for match in by_labels)
    }


def _count(matches: list[Match], action: str, threshold: float) -> int:
    return sum(match.action == action and match.score >= threshold for match in matches)


def _match(
    photo: Photo, label: int, found: Detections, triplets: Interactions, ranks: np.ndarray
) -> Match:
    is_human = box_iou(found.boxes, photo.boxes_h[label][None])[:, 0] >= LEAST_IOU
    is_human &= found.labels == 0
    is_object = box_iou(found.boxes, photo.boxes_o[label][None])[:, 0] >= LEAST_IOU
    is_object &= found.labels == photo.objects[label]
    fits = is_human[triplets.human] & is_object[triplets.object]
    fits &= np.isin(triplets.verb, photo.verbs[label])
    return Match(
        photo.actions[label],
        bool(is_human.any() and is_object.any()),
        float(triplets.score[fits].max(initial=0)),
        float(triplets.verb_score[fits].max(initial=0)),
        int(ranks[fits].min(initial=NO_RANK)),
    )


def _ranks(triplets: Interactions) -> np.ndarray:
    """The place (M,) of each triplet's verb among those of its pair, 0 = the best."""
    before: Counter[tuple[int, int]] = Counter()
    ranks = np.zeros(len(triplets), np.int64)
    for row, pair in enumerate(zip(triplets.human.tolist(), triplets.object.tolist())):
        ranks[row] = before[pair]
        before[pair] += 1
    return ranks


def _photo(path: Path, entry: dict[str, Any], classes: list[str], vocabulary: Vocabulary) -> Photo:
    objects = np.array(entry['objects'], np.int64) - 1  # theirs begin with the background
    actions = tuple(classes[action] for action in entry['actions'])
    ids = {action: [vocabulary.verb_index(v) for v in says] for action, says in HICO_VERBS.items()}
    return Photo(
        path,
        read_image(path),
        np.array(entry['boxes_h'], np.float32),
        np.array(entry['boxes_o'], np.float32),
        objects,
        actions,
        tuple(
            tuple(verb for verb in ids[action] if vocabulary.valid[object_, verb])
            for action, object_ in zip(actions, objects)
        ),
    )


def _print(figures: dict[str, Any]) -> None:
    print(
        f'{figures["photos"]} photos, {figures["labels"]} labels, {figures["labels_in_hico"]} of '
        f'them in words of HICO-DET; recall in percent'
    )
    columns = figures['detected_boxes']
    print(f'{"":18}' + ''.join(f'{column:>16}' for column in columns))
    for row in ('detected_boxes', 'labelled_boxes'):
        print(f'{row:18}' + ''.join(f'{100 * figures[row][column]:16.1f}' for column in columns))
    for action, counts in figures['by_action'].items():
        print(f'{action:23}' + '  '.join(f'{key} {count}' for key, count in counts.items()))


if __name__ == '__main__':
    main()
