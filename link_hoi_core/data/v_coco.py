"""V-COCO annotations, converted for training and diagnosis, and the sizes of COCO's images.

The files are `instances_vcoco_{train,val,trainval,test}.json` of github.com/fredzzhang/vcoco, plain
or gzipped; the official ones are read by `v_coco_official`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
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
from link_hoi_core.vocabulary import Vocabulary, load_vocabulary


def read_v_coco(path: str | Path) -> list[AnnotatedImage]:
    """Read every image of a converted file, in the file's order, also those without pairs.

    Ids are those of the vocabulary 'v-coco': 24 verbs 'action role', 80 objects, 236 HOI classes,
    which cover every pair of the published files. The files give no image sizes: see `with_sizes`.
    They leave out who acts without an annotated object.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is malformed, truncated, or of another schema; one sentence.
    """
    content = read_json(path)
    lists = ('annotations', 'classes', 'objects')
    if not isinstance(content, dict) or not all(isinstance(content.get(k), list) for k in lists):
        raise ValueError(
            f'{path}: not a converted V-COCO annotation file: expected an object with the lists '
            f"'annotations', 'classes' and 'objects'"
        )
    vocabulary = load_vocabulary('v-coco')
    if content['classes'] != list(vocabulary.verbs):
        raise ValueError(f"{path}: 'classes' are not V-COCO's 24 pairs of an action and a role")
    if content['objects'][:2] != ['background', 'person']:
        raise ValueError(f"{path}: expected the objects to begin with 'background', 'person'")
    images = enumerate(content['annotations'])
    return [_image(f'{path}: image {i}', entry, vocabulary) for i, entry in images]


def read_coco_sizes(path: str | Path) -> dict[str, tuple[int, int]]:
    """(height, width) of every image by file name, from COCO's `instances_{train,val}2014.json`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is malformed, truncated, or of another schema; one sentence.
    """
    content = read_json(path)
    if not isinstance(content, dict) or not isinstance(content.get('images'), list):
        raise ValueError(f"{path}: not a COCO annotation file: expected the list 'images'")
    with named(f"{path}: 'images'"):
        return {
            str(image['file_name']): read_size(image['width'], image['height'])
            for image in content['images']
        }


def coco_id(file_name: str) -> int:
    """COCO's id of an image by its name: 294 of 'COCO_val2014_000000000294.jpg'.

    Raises:
        ValueError: the name does not end in a number.
    """
    digits = re.search(r'(\d+)\.\w+$', file_name)
    if digits is None:
        raise ValueError(f"image {file_name!r}: expected a name that ends in COCO's id")
    return int(digits[1])


def guess_sizes(images: Sequence[AnnotatedImage]) -> dict[str, tuple[int, int]]:
    """(height, width) of the images with pairs by file name, as far as the boxes tell.

    Most of COCO's pictures are of 640 x 480 pixels: landscape where the boxes let them be, and
    larger where a box sticks out. Good for a model that looks at boxes alone: with HICO-DET's sizes
    guessed so, the embedded model loses 0.1 mAP on it.
    """
    return {image.file_name: _guess(image) for image in images if len(image.hoi)}


def _guess(image: AnnotatedImage) -> tuple[int, int]:
    corners = np.concatenate([image.boxes_h[:, 2:], image.boxes_o[:, 2:]])
    width, height = np.ceil(corners.max(axis=0)).astype(int).tolist()
    usual = (480, 640) if height <= 480 or height <= width else (640, 480)
    return max(height, usual[0]), max(width, usual[1])


def _image(where: str, entry: Any, vocabulary: Vocabulary) -> AnnotatedImage:
    """One entry of the file, checked; its objects count the background as 0."""
    with named(where):
        return annotated_image(
            vocabulary,
            str(entry['file_name']),
            None,
            read_boxes(entry['boxes_h']),
            read_boxes(entry['boxes_o']),
            read_ids(entry['objects'], len(vocabulary.objects), first=1),
            read_ids(entry['actions'], len(vocabulary.verbs)),
        )
