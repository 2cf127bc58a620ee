"""Verbs, objects, HOI classes, prompts and text embeddings; the tables are package data."""

from link_hoi_core.vocabulary.embeddings import text_embeddings
from link_hoi_core.vocabulary.names import COCO80, COCO91_IDS, coco80_of_coco91, coco_synonyms
from link_hoi_core.vocabulary.splits import ZERO_SHOT_SPLITS, zero_shot_split
from link_hoi_core.vocabulary.v_coco import VCocoAction, v_coco_actions
from link_hoi_core.vocabulary.vocabulary import Vocabulary, load_vocabulary

__all__ = [
    'COCO80',
    'COCO91_IDS',
    'VCocoAction',
    'Vocabulary',
    'ZERO_SHOT_SPLITS',
    'coco80_of_coco91',
    'coco_synonyms',
    'load_vocabulary',
    'text_embeddings',
    'v_coco_actions',
    'zero_shot_split',
]
