"""Qwen3-VL through transformers, asked in words for boxes and read back from its answer."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch

from link_hoi_core.backbones.transformers_models import load_model
from link_hoi_core.detectors.detector import Detector, Found
from link_hoi_core.detectors.options import DetectorOptions
from link_hoi_core.hub import load_weights
from link_hoi_core.optional import require

SCALE = 1000  # the answer's coordinates are in [0, 1000], whatever the picture's size
SAMPLING = {'do_sample': True, 'top_p': 0.8, 'top_k': 20, 'temperature': 0.2}  # LINK A.11
MAX_TOKENS = 2048  # LINK A.11
PROMPT = (
    'Find every instance of these categories in the picture: {}. Answer only with a JSON list of '
    '{{"bbox_2d": [x1, y1, x2, y2], "label": "category"}}.'
)
_OBJECT = re.compile(r'\{[^{}]*\}?')  # without its end where the answer was cut off


def build(name: str, architecture: str, repository: str, options: DetectorOptions) -> Qwen:
    """Qwen3-VL of the hub repository, or of a local folder with its model and its processor.

    Raises:
        FileNotFoundError, ValueError: there is no such folder, or it holds no such model.
        ConnectionError: the published weights cannot be had.
        ImportError: transformers is not installed.
    """
    transformers = require('transformers', 'pip install transformers', name)
    if options.weights == 'random':
        raise ValueError(f'{name} has no random weights, for it needs a tokenizer: give a folder')
    kind = transformers.Qwen3VLForConditionalGeneration
    model = load_model(kind, options.weights, repository, dtype='auto')
    load = partial(transformers.AutoProcessor.from_pretrained, trust_remote_code=False)
    processor = load_weights(load, options.weights, repository)
    return Qwen(name, model, processor, options)


class Qwen(Detector):
    """Qwen3-VL, which gives no scores: every box has score 1.

    Attributes:
        unreadable: how many objects of its answers were no named boxes.
    """

    def __init__(self, name: str, model: Any, processor: Any, options: DetectorOptions) -> None:
        super().__init__(name, options, 0.0)
        self.unreadable = 0
        self._model = model.to(options.device).eval().requires_grad_(False)
        self._processor = processor
        self._prompt = PROMPT.format(', '.join(options.searched_words()))
        self._seed = options.seed

    def find(self, images: Sequence[np.ndarray], files: Sequence[str]) -> list[Found]:
        """As of `Detector.find`; one image after the other, each with the same random numbers."""
        found = []
        for image in images:
            one, unreadable = parse_boxes(self.answer(image), image.shape[:2])
            self.unreadable += unreadable
            found.append(one)
        return found

    @torch.inference_mode()
    def answer(self, image: np.ndarray) -> str:
        """What the model says of an (H, W, 3) uint8 RGB image; the same for the same seed."""
        pillow = require('PIL.Image', 'pip install pillow', 'asking a model about a picture')
        picture = pillow.fromarray(image)  # of an array it would guess which side is the colours
        content = [{'type': 'image', 'image': picture}, {'type': 'text', 'text': self._prompt}]
        inputs = self._processor.apply_chat_template(
            [{'role': 'user', 'content': content}],
            tokenize=True,
            add_generation_prompt=True,
            return_dict=True,
            return_tensors='pt',
        ).to(self._model.device)
        device = self._model.device
        with torch.random.fork_rng([device] if device.type == 'cuda' else []):
            torch.manual_seed(self._seed)
            tokens = self._model.generate(**inputs, **SAMPLING, max_new_tokens=MAX_TOKENS)
        said = tokens[0, inputs['input_ids'].shape[1] :]
        return self._processor.tokenizer.decode(said, skip_special_tokens=True)


def parse_boxes(text: str, size: tuple[int, int]) -> tuple[Found, int]:
    """Read the boxes from an answer in JSON, whatever stands around them.

    Args:
        text: objects {"bbox_2d": [x1, y1, x2, y2], "label": name}, coordinates in [0, 1000]; in a
            list or not, within a code fence or prose, the last one perhaps cut off.
        size: the image's (height, width) in pixels.

    Returns:
        The boxes in pixels, of score 1, and how many objects were left out: those that are not
        whole, without a name, with a coordinate outside [0, 1000], or with their corners swapped.
    """
    read = [_read(piece) for piece in _OBJECT.findall(text) if 'bbox_2d' in piece]
    good = [box for box in read if box is not None]
    height, width = size
    boxes = np.array([box for box, _ in good], np.float64).reshape(-1, 4)
    boxes *= np.array([width, height, width, height]) / SCALE
    return Found(boxes, np.ones(len(good)), [name for _, name in good]), len(read) - len(good)


def _read(piece: str) -> tuple[list[float], str] | None:
    """One object's coordinates and name; None where it is not as asked for."""
    try:
        item = json.loads(piece)
    except (ValueError, RecursionError):
        return None
    box, name = item.get('bbox_2d'), item.get('label')
    if not (isinstance(name, str) and name.strip() and isinstance(box, list) and len(box) == 4):
        return None
    if not all(_is_coordinate(value) for value in box) or box[0] >= box[2] or box[1] >= box[3]:
        return None
    return [float(value) for value in box], name.strip()


def _is_coordinate(value: Any) -> bool:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and math.isfinite(value) and 0 <= value <= SCALE
