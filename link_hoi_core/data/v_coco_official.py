"""V-COCO's own annotations: `vcoco_{train,val,trainval,test}.json` of github.com/s-gupta/v-coco.

They name COCO's annotations by id; the boxes come from COCO's `instances_*2014.json`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from link_hoi_core.data.annotated_image import (
    AnnotatedImage,
    annotated_image,
    named,
    read_boxes,
    read_ids,
    read_size,
)
from link_hoi_core.data.json_files import read_json
from link_hoi_core.vocabulary import (
    VCocoAction,
    coco80_of_coco91,
    load_vocabulary,
    v_coco_actions,
)


@dataclass(frozen=True)
class CocoBox:
    """One annotation of COCO.

    Attributes:
        image_id: COCO's id of the image.
        object: 0..79, COCO-80 order.
        box: xyxy in pixels, 0-based continuous.
    """

    image_id: int
    object: int
    box: tuple[float, ...]


@dataclass(frozen=True)
class Coco:
    """What a file of COCO's says.

    Attributes:
        boxes: by the annotation's id.
        images: file name and (height, width) by the image's id; none in an extract.
    """

    boxes: dict[int, CocoBox]
    images: dict[int, tuple[str, tuple[int, int]]]


def read_coco(path: str | Path) -> Coco:
    """Read COCO's annotations and images.

    Args:
        path: COCO's `instances_*2014.json`, or an extract of it,
            `{id: {'image_id', 'category': 1..80, 'bbox_xyxy'}}`; plain or gzipped.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is malformed, truncated, or of another schema; one sentence.
    """
    content = read_json(path)
    if not isinstance(content, dict):
        raise ValueError(f'{path}: expected an object at the top level')
    with named(f'{path}: annotations'):
        if 'annotations' not in content:
            return Coco({int(key): _extracted_box(row) for key, row in content.items()}, {})
        boxes = {int(row['id']): _coco_box(row) for row in content['annotations']}
    with named(f"{path}: 'images'"):
        images = {
            int(image['id']): (str(image['file_name']), read_size(image['width'], image['height']))
            for image in content.get('images', ())
        }
    return Coco(boxes, images)


def read_v_coco_official(
    path: str | Path, coco: Coco, part: str = 'train2014'
) -> list[AnnotatedImage]:
    """The pairs of an official file, by rising image id, also images without pairs.

    They are those of the converted file (`read_v_coco`): an agent and the object of one role each.
    Agents without an annotated object and point's 'instr' are left out.

    Args:
        coco: with the images' names and sizes, unless it is an extract.
        part: of COCO 2014, which an extract does not tell, for the images' names: 'train2014' for
            V-COCO's train, val and trainval, 'val2014' for its test.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is malformed, truncated, or of another schema, or `coco` is
            another part of COCO; one sentence.
    """
    actions = read_actions(path)
    pairs: dict[int, list[tuple[int, int, int]]] = {
        image_id: [] for action in actions for image_id in action.images
    }
    for action in actions:
        for verb, row, object_ in action.objects():
            pairs[action.images[row]].append((action.agents[row], object_, verb))
    return [_image(path, part, image_id, pairs[image_id], coco) for image_id in sorted(pairs)]


def _coco_box(row: Any) -> CocoBox:
    x, y, width, height = row['bbox']
    object_ = coco80_of_coco91(row['category_id'])
    return CocoBox(int(row['image_id']), object_, (x, y, x + width, y + height))


def _extracted_box(row: Any) -> CocoBox:
    x1, y1, x2, y2 = row['bbox_xyxy']
    return CocoBox(int(row['image_id']), int(row['category']) - 1, (x1, y1, x2, y2))


@dataclass(frozen=True)
class LabelledAction:
    """What an official file says of one action; of each agent, one row."""

    verbs: tuple[int | None, ...]  # of each role
    agents: list[int]  # ids of COCO's annotations
    images: list[int]
    labels: list[int]  # 1: the agent does it
    role_objects: list[list[int]]  # of each role, ids of COCO's annotations; 0 is no object

    def objects(self) -> Iterator[tuple[int, int, int]]:
        """Verb, row and object of each role that has an object; point's 'instr' is left out."""
        for verb, of_role in zip(self.verbs, self.role_objects):
            for row, (label, object_) in enumerate(zip(self.labels, of_role)):
                if verb is not None and label == 1 and object_:
                    yield verb, row, object_


def read_actions(path: str | Path) -> list[LabelledAction]:
    content = read_json(path)
    actions = v_coco_actions()
    if not isinstance(content, list) or len(content) != len(actions):
        raise ValueError(f'{path}: not an official V-COCO file: expected a list of 26 actions')
    read = []
    for action, entry in zip(actions, content):
        with named(f'{path}: action {action.name!r}'):
            read.append(_labelled(action, entry))
    return read


def _labelled(action: VCocoAction, entry: Any) -> LabelledAction:
    """One entry of the file, checked."""
    if (entry['action_name'], entry['role_name'][1:]) != (action.name, list(action.roles)):
        raise ValueError(f'found {entry["action_name"]!r} with the roles {entry["role_name"]}')
    agents, labels, images = (entry[key] for key in ('ann_id', 'label', 'image_id'))
    if not len(agents) == len(labels) == len(images):
        raise ValueError('its lists differ in length')
    # Role by role, the agent's own first.
    objects = np.reshape(entry['role_object_id'], (1 + len(action.roles), len(agents)))[1:]
    return LabelledAction(action.verbs, agents, images, labels, objects.tolist())


def _image(
    path: str | Path,
    part: str,
    image_id: int,
    pairs: list[tuple[int, int, int]],
    coco: Coco,
) -> AnnotatedImage:
    """The boxes and ids of one image's pairs."""
    vocabulary, boxes = load_vocabulary('v-coco'), coco.boxes
    name, size = coco.images.get(image_id, (f'COCO_{part}_{image_id:012d}.jpg', None))
    with named(f'{path}: image {image_id}'):
        for annotation in (one for pair in pairs for one in pair[:2]):
            if annotation not in boxes or boxes[annotation].image_id != image_id:
                raise ValueError(f"COCO's annotation {annotation} is not among this image's boxes")
        agents = [boxes[agent] for agent, _, _ in pairs]
        objects = [boxes[object_] for _, object_, _ in pairs]
        return annotated_image(
            vocabulary,
            name,
            size,
            read_boxes([agent.box for agent in agents]),
            read_boxes([thing.box for thing in objects]),
            read_ids([thing.object for thing in objects], len(vocabulary.objects)),
            read_ids([verb for _, _, verb in pairs], len(vocabulary.verbs)),
        )
