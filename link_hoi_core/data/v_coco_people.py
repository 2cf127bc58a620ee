"""The people in V-COCO's images and what each one does, which its official evaluation asks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from operator import itemgetter
from pathlib import Path

import numpy as np

from link_hoi_core.data.annotated_image import AnnotatedImage
from link_hoi_core.data.v_coco import coco_id
from link_hoi_core.data.v_coco_official import Coco, CocoBox, LabelledAction, read_actions
from link_hoi_core.vocabulary import load_vocabulary, v_coco_actions

PERSON = 0


@dataclass(frozen=True)
class VCocoPeople:
    """N people, image after image; boxes are xyxy in pixels, 0-based continuous."""

    image: np.ndarray  # (N,) int64, rising: number of the image
    boxes: np.ndarray  # (N, 4) float32
    labelled: np.ndarray  # (N,) bool; what the others do is not known
    acts: np.ndarray  # (N, 24) bool: does the action of the verb class, with an object or without
    boxes_o: np.ndarray  # (N, 24, 4) float32: the object in that role, NaN where there is none


def read_v_coco_people(
    path: str | Path, images: Sequence[AnnotatedImage], coco: Coco
) -> VCocoPeople:
    """All people that COCO annotates in the images, with the labels of an official file.

    As in the official evaluation, boxes are clipped to the image, where its size is known, and
    people whose box is then at most a pixel wide or high are left out. COCO's `area` is not looked
    at: the official script also leaves out who has an area of 0.

    Args:
        path: the official file that `images` are of.
        images: as of `read_v_coco_official`, or some of them.
        coco: all people, labelled or not, and all objects: the whole `instances_*2014.json`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is malformed, or a box of a labelled person or an object is missing.
    """
    actions, boxes = read_actions(path), coco.boxes
    sizes = {coco_id(image.file_name): image.size for image in images}
    number = {image_id: index for index, image_id in enumerate(sizes)}
    _check_all_there(path, actions, number, boxes)

    def clipped(annotation: int) -> np.ndarray:
        box, size = np.array(boxes[annotation].box), sizes[boxes[annotation].image_id]
        if size is None:
            return box
        height, width = size
        return box.clip([0, 0, 1, 1], [width - 1, height - 1, width, height])

    found = [
        (number[box.image_id], annotation, clipped(annotation))
        for annotation, box in boxes.items()
        if box.object == PERSON and box.image_id in number
    ]
    found = [person for person in found if (person[2][2:] - person[2][:2] > 1).all()]
    found.sort(key=itemgetter(0))
    people = _nobody_acts([image for image, _, _ in found], [box for _, _, box in found])

    row = {annotation: index for index, (_, annotation, _) in enumerate(found)}
    people.labelled[[row[agent] for agent in actions[0].agents if agent in row]] = True
    for action in actions:
        verbs = [verb for verb in action.verbs if verb is not None]
        for agent, label in zip(action.agents, action.labels):
            if label == 1 and agent in row:
                people.acts[row[agent], verbs] = True
        for verb, index, object_ in action.objects():
            if action.agents[index] in row:
                people.boxes_o[row[action.agents[index]], verb] = clipped(object_)
    return people


def people_of_pairs(images: Sequence[AnnotatedImage]) -> VCocoPeople:
    """The people of the annotated pairs, all labelled: what a converted file knows of them.

    It lacks who does something without an annotated object, and who is not labelled. One box is
    one person, unless it has two objects in one role.
    """
    row: dict[tuple, int] = {}
    roles: list[tuple[int, int, np.ndarray]] = []
    for number, image in enumerate(images):
        times: Counter[tuple] = Counter()
        for human, object_, verb in zip(image.boxes_h, image.boxes_o, image.verb.tolist()):
            box = tuple(human.tolist())
            times[box, verb] += 1
            person = number, box, times[box, verb]
            roles.append((row.setdefault(person, len(row)), verb, object_))
    people = _nobody_acts([number for number, _, _ in row], [box for _, box, _ in row])
    people.labelled[:] = True
    verbs_of = {verb: list(action.verbs) for action in v_coco_actions() for verb in action.verbs}
    for person, verb, object_ in roles:
        people.acts[person, verbs_of[verb]] = True
        people.boxes_o[person, verb] = object_
    return people


def _nobody_acts(image: list[int], boxes: list) -> VCocoPeople:
    """People of whom nothing is known yet."""
    count, verbs = len(image), len(load_vocabulary('v-coco').verbs)
    return VCocoPeople(
        np.array(image, np.int64),
        np.array(boxes, np.float32).reshape(-1, 4),
        np.zeros(count, bool),
        np.zeros((count, verbs), bool),
        np.full((count, verbs, 4), np.nan, np.float32),
    )


def _check_all_there(
    path: str | Path,
    actions: Sequence[LabelledAction],
    number: Mapping[int, int],
    boxes: Mapping[int, CocoBox],
) -> None:
    """Raise a ValueError where the box of an agent or an object of the images is not known."""
    needed = set()
    for action in actions:
        known = [image in number for image in action.images]
        needed.update(compress(action.agents, known))
        needed.update(object_ for _, index, object_ in action.objects() if known[index])
    missing = sorted(needed - boxes.keys())
    if missing:
        raise ValueError(
            f"{path}: COCO's boxes lack {len(missing)} of {len(needed)} people and objects, the "
            f'first is annotation {missing[0]}; expected those of the whole instances file'
        )
