"""Verbs, objects, HOI classes, prompts and text embeddings; the tables are package data."""

from link_hoi_core.vocabulary.embeddings import text_embeddings
from link_hoi_core.vocabulary.names import COCO80, COCO91_IDS, coco80_of_coco91, coco_synonyms
from link_hoi_core.vocabulary.open import (
    NO_INTERACTION,
    base_objects,
    base_verbs,
    with_objects,
    with_verbs,
)
from link_hoi_core.vocabulary.splits import ZERO_SHOT_SPLITS, zero_shot_split
from link_hoi_core.vocabulary.v_coco import VCocoAction, v_coco_actions
from link_hoi_core.vocabulary.vocabulary import Vocabulary, load_vocabulary

__all__ = [
    'COCO80',
    'COCO91_IDS',
    'NO_INTERACTION',
    'VCocoAction',
    'Vocabulary',
    'ZERO_SHOT_SPLITS',
    'base_objects',
    'base_verbs',
    'coco80_of_coco91',
    'coco_synonyms',
    'load_vocabulary',
    'text_embeddings',
    'v_coco_actions',
    'with_objects',
    'with_verbs',
    'zero_shot_split',
]
