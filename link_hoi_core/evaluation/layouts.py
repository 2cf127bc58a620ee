"""Annotated images as layouts for an image model that is told who does what where (LINK A.8).

Its pictures of them make a synthetic test set, whose annotations are those that it was told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from link_hoi_core.data.annotated_image import AnnotatedImage
from link_hoi_core.vocabulary import NO_INTERACTION, Vocabulary
from link_hoi_core.vocabulary.inflection import with_article

MOST_PAIRS = 30  # that InteractDiffusion takes
_DIGITS = 6


def layouts(
    images: Sequence[AnnotatedImage], vocabulary: Vocabulary, most: int = MOST_PAIRS
) -> list[dict[str, Any]]:
    """What InteractDiffusion's `inference_batch.py` takes, one entry an image with pairs.

    An entry has `img_id`, `file_name`, `save_folder_name`, `prompt` ('a person feeding a cat'), and
    lists with an item a pair: `subject_phrases`, `action_phrases`, `object_phrases` ('person',
    'feeding', 'cat'), `subject_boxes`, `object_boxes` (xyxy, as fractions of the image's width and
    height). Who has no interaction with a thing is drawn beside it: 'and'.

    Args:
        most: pairs of an image, the largest by the two boxes' areas, in the annotations' order.

    Raises:
        ValueError: an image with pairs has no size.
    """
    return [
        _layout(index, image, vocabulary, most)
        for index, image in enumerate(images)
        if len(image.hoi)
    ]


def stretched(images: Sequence[AnnotatedImage], size: tuple[int, int]) -> list[AnnotatedImage]:
    """The images with pairs, their boxes in pictures of `size` (height, width), whatever it was.

    Raises:
        ValueError: an image has no size.
    """
    factor = np.array([size[1], size[0]] * 2)
    return [
        replace(
            image,
            size=size,
            boxes_h=(_fractions(image, image.boxes_h) * factor).astype(np.float32),
            boxes_o=(_fractions(image, image.boxes_o) * factor).astype(np.float32),
        )
        for image in images
        if len(image.hoi)
    ]


def hico_det_content(images: Sequence[AnnotatedImage], vocabulary: Vocabulary) -> dict[str, Any]:
    """Sized images as a HICO-DET annotation file, which `read_hico_det` reads."""
    return {
        'annotation': [
            {
                'boxes_h': _first_pixel_1(image.boxes_h),
                'boxes_o': _first_pixel_1(image.boxes_o),
                'hoi': image.hoi.tolist(),
                'object': image.object.tolist(),
                'verb': image.verb.tolist(),
            }
            for image in images
        ],
        'filenames': [image.file_name for image in images],
        'size': [[image.size[1], image.size[0]] for image in images],
        'objects': list(vocabulary.objects),
    }


def _layout(index: int, image: AnnotatedImage, vocabulary: Vocabulary, most: int) -> dict[str, Any]:
    humans, things = (_fractions(image, boxes) for boxes in (image.boxes_h, image.boxes_o))
    largest = np.argsort(-_areas(humans) - _areas(things), kind='stable')[:most]
    rows = np.sort(largest)
    verbs = [_action(vocabulary, verb) for verb in image.verb[rows]]
    objects = [vocabulary.objects[i] for i in image.object[rows]]
    sentences = [f'a person {verb} {with_article(name)}' for verb, name in zip(verbs, objects)]
    return {
        'img_id': index,
        'file_name': image.file_name,
        'save_folder_name': 'images',
        'prompt': ', '.join(dict.fromkeys(sentences)),
        'subject_phrases': ['person'] * len(rows),
        'action_phrases': verbs,
        'object_phrases': [name.replace('_', ' ') for name in objects],
        'subject_boxes': humans[rows].round(_DIGITS).tolist(),
        'object_boxes': things[rows].round(_DIGITS).tolist(),
    }


def _action(vocabulary: Vocabulary, verb: int) -> str:
    phrase = vocabulary.verb_phrases[verb]
    return 'and' if phrase == NO_INTERACTION else phrase


def _fractions(image: AnnotatedImage, boxes: np.ndarray) -> np.ndarray:
    """Boxes (P, 4) as float64 fractions of the image, cut at its border."""
    if image.size is None:
        raise ValueError(f'{image.file_name}: the annotations give no image size')
    height, width = image.size
    return (boxes / np.array([width, height, width, height], np.float64)).clip(0, 1)


def _areas(boxes: np.ndarray) -> np.ndarray:
    return (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)


def _first_pixel_1(boxes: np.ndarray) -> list[list[float]]:
    """0-based continuous boxes as the file's 1-based inclusive ones."""
    return (boxes + np.array([1, 1, 0, 0], np.float32)).tolist()
