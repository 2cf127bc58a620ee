"""HICO-DET annotations: the reader, and the boxes of the ground-truth-box protocol.

The files are `instances_{train,test}2015.json` of github.com/fredzzhang/hicodet in the COCO-80
object order (its branch `class`, person = 0), plain or gzipped.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from link_hoi_core.data.annotated_image import (
    AnnotatedImage,
    check_inside,
    named,
    read_boxes,
    read_ids,
    read_size,
)
from link_hoi_core.data.json_files import read_json
from link_hoi_core.geometry import box_iou
from link_hoi_core.structures import Detections

NUM_HOIS, NUM_OBJECTS, NUM_VERBS = 600, 80, 117
PERSON = 0
MERGE_IOU = 0.5


def read_hico_det(path: str | Path) -> list[AnnotatedImage]:
    """Read every image of an annotation file, in the file's order, also those without pairs.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is malformed, truncated, or of another schema; one sentence.
    """
    content = read_json(path)
    if not isinstance(content, dict):
        raise ValueError(
            f'{path}: expected an object at the top level, found a {type(content).__name__}'
        )
    lists = [content.get(key) for key in ('annotation', 'filenames', 'size')]
    if not all(isinstance(value, list) for value in lists) or len(set(map(len, lists))) != 1:
        raise ValueError(
            f'{path}: not a HICO-DET annotation file: expected the lists '
            f"'annotation', 'filenames' and 'size' of one length"
        )
    objects = content.get('objects')
    if not isinstance(objects, list) or objects[:1] != ['person']:
        raise ValueError(
            f"{path}: expected the COCO-80 object order (objects[0] = 'person'); "
            f"the alphabetical order of hicodet's main branch is not supported"
        )
    return [_image(path, *item) for item in zip(*lists)]


def ground_truth_detections(image: AnnotatedImage) -> Detections:
    """The annotated boxes as detections of score 1: the ground-truth-box protocol.

    Within a class, boxes are taken as listed, `boxes_h` first, then `boxes_o`; one that overlaps
    an already kept one by IoU >= 0.5 is merged into it, that is, dropped. Classes in rising order,
    so humans come first; within a class the annotation's order.

    Raises:
        ValueError: the image has no size; see `annotated_image.with_sizes`, or leave it out.
    """
    if image.size is None:
        raise ValueError(f'{image.file_name}: the annotations give no image size')
    boxes = np.concatenate([image.boxes_h, image.boxes_o])
    labels = np.concatenate([np.full(len(image.boxes_h), PERSON), image.object])
    kept = [np.zeros((0, 4), np.float32)]
    kept_labels = [np.zeros(0, np.int64)]
    for label in np.unique(labels):
        merged = _merge(boxes[labels == label])
        kept.append(merged)
        kept_labels.append(np.full(len(merged), label, np.int64))
    kept_boxes = np.concatenate(kept)
    return Detections(
        boxes=kept_boxes,
        scores=np.ones(len(kept_boxes), np.float32),
        labels=np.concatenate(kept_labels),
        image_size=image.size,
    )


def _image(path: str | Path, pairs: Any, file_name: Any, size: Any) -> AnnotatedImage:
    """One entry of the file, checked and converted."""
    with named(f'{path}: image {file_name!r}'):
        boxes_h = read_boxes(pairs['boxes_h'], first_pixel=1)
        boxes_o = read_boxes(pairs['boxes_o'], first_pixel=1)
        hoi = read_ids(pairs['hoi'], NUM_HOIS)
        objects = read_ids(pairs['object'], NUM_OBJECTS)
        verb = read_ids(pairs['verb'], NUM_VERBS)
        if len({len(boxes_h), len(boxes_o), len(hoi), len(objects), len(verb)}) != 1:
            raise ValueError('its lists differ in length')
        if size is None and len(hoi):
            raise ValueError('it has pairs but no size')
        if size is not None:
            width, height = size
            size = read_size(width, height)
            check_inside(np.concatenate([boxes_h, boxes_o]), size)
    return AnnotatedImage(str(file_name), size, boxes_h, boxes_o, hoi, objects, verb)


def _merge(boxes: np.ndarray) -> np.ndarray:
    """Boxes (N, 4) of one class without those that overlap an earlier kept one by IoU >= 0.5."""
    # Exact duplicates are the rule (one person, many verbs): drop them before the quadratic part.
    distinct = np.array(list(dict.fromkeys(map(tuple, boxes.tolist()))))
    if len(distinct) == 1:
        return distinct.astype(np.float32)
    overlaps = box_iou(distinct, distinct) >= MERGE_IOU
    kept = np.ones(len(distinct), bool)
    for index in range(1, len(distinct)):
        kept[index] = not (overlaps[index, :index] & kept[:index]).any()
    return distinct[kept].astype(np.float32)
