"""SWiG-HOI annotations: `swig_{train,trainval,test}_1000.json` of Wang et al., "Discovering Human
Interactions with Large-Vocabulary Objects via Query and Multi-Scale Detection" (ICCV 2021).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

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

_KEYS = ('file_name', 'width', 'height', 'box_annotations', 'hoi_annotations')


def read_swig_hoi(path: str | Path) -> list[AnnotatedImage]:
    """Read every image of a file, in the file's order, also those without pairs.

    Ids are those of the vocabulary 'swig-hoi': 1,000 objects, 407 verbs, 14,130 HOI classes. A
    box's first category is its object; its other categories (`aux_category_id`) are not used, as
    in the official evaluation. Boxes are 0-based continuous in the file too.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is malformed, truncated, or of another schema; one sentence.
    """
    content = read_json(path)
    if not isinstance(content, list) or not _is_entry(content[:1]):
        raise ValueError(
            f'{path}: not a SWiG-HOI annotation file: expected a list of images with '
            f'{", ".join(map(repr, _KEYS))}'
        )
    vocabulary = load_vocabulary('swig-hoi')
    return [_image(f'{path}: image {i}', entry, vocabulary) for i, entry in enumerate(content)]


def _is_entry(first: list[Any]) -> bool:
    """Whether the first image, if there is one, looks like one of SWiG-HOI."""
    return all(isinstance(entry, dict) and all(key in entry for key in _KEYS) for entry in first)


def _image(where: str, entry: Any, vocabulary: Vocabulary) -> AnnotatedImage:
    """One entry of the file: its pairs point at its boxes."""
    with named(where):
        things, pairs = entry['box_annotations'], entry['hoi_annotations']
        name = entry.get('img_id')
        if not isinstance(name, (int, str, type(None))):
            raise ValueError(f"its 'img_id' is {name!r}, expected a whole number or a text")
        boxes = read_boxes([thing['bbox'] for thing in things])
        categories = [thing['category_id'] for thing in things]
        categories = read_ids(categories, len(vocabulary.objects))
        human = read_ids([pair['subject_id'] for pair in pairs], len(boxes))
        object_ = read_ids([pair['object_id'] for pair in pairs], len(boxes))
        image = annotated_image(
            vocabulary,
            str(entry['file_name']),
            read_size(entry['width'], entry['height']),
            boxes[human],
            boxes[object_],
            categories[object_],
            read_ids([pair['action_id'] for pair in pairs], len(vocabulary.verbs)),
        )
        return replace(image, id=name)
