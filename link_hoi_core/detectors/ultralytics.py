"""YOLO v8, 11, 12 and YOLO-World through ultralytics.

ultralytics stores whole modules. Its loader is told to build only classes that it knows itself, but
an older version of it, and any under torch before 2.6, unpickles: load files that you trust.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import numpy as np
import torch

from link_hoi_core.backbones import BackboneConfig, build_backbone
from link_hoi_core.detectors.detector import Detector, Found, find_by_size
from link_hoi_core.detectors.downloads import local_file
from link_hoi_core.detectors.options import DetectorOptions
from link_hoi_core.hub import load_weights
from link_hoi_core.optional import require
from link_hoi_core.vocabulary import COCO80
from link_hoi_core.vocabulary.names import name_key

INSTALL = 'pip install ultralytics-opencv-headless'
SCORE_THRESHOLD = 0.25  # LINK A.11
SIDE = 640  # pixels of the long side, LINK A.11
TEXT_MODEL = 'clip-vit-b32'  # YOLO-World's
MANNERS = {
    'YOLO_AUTOINSTALL': 'false',  # nothing is installed behind the user's back
    'YOLO_OFFLINE': 'true',  # no usage statistics, no look for updates
    'YOLO_VERBOSE': 'false',
    'ULTRALYTICS_SAFE_LOAD': 'true',
}


def build(name: str, architecture: str, repository: str, options: DetectorOptions) -> Yolo:
    """A YOLO: a named one, or the file `architecture` where `repository` is ''.

    Raises:
        FileNotFoundError, ValueError: there is no such file, or it holds no detector.
        ConnectionError: published weights cannot be downloaded.
        ImportError: ultralytics is not installed.
    """
    ultralytics = library(name)
    if options.weights == 'random':
        model = ultralytics.YOLO(f'{architecture}.yaml')
        model.model.names = dict(enumerate(word.replace('_', ' ') for word in COCO80))
    else:
        file = local_file(options.weights, repository) if repository else architecture
        model = load_weights(ultralytics.YOLO, file, 'a YOLO of ultralytics')
    if model.task != 'detect':
        raise ValueError(f'{name} is a network for the task {model.task!r}, not for detection')
    # A file that was asked for as such keeps the words that it was saved with.
    if isinstance(model, ultralytics.YOLOWorld) and (repository or options.words):
        look_for(model.model, options.searched_words(), options)
    return Yolo(name, model, options)


class Yolo(Detector):
    """A model of ultralytics, with its own letterboxing and suppression."""

    def __init__(self, name: str, model: Any, options: DetectorOptions) -> None:
        super().__init__(name, options, SCORE_THRESHOLD)
        self._model, self._device = model, options.device

    def find(self, images: Sequence[np.ndarray], files: Sequence[str]) -> list[Found]:
        """As of `Detector.find`; images of one size run at once."""
        return find_by_size(images, self._find)

    def _find(self, images: Sequence[np.ndarray]) -> list[Found]:
        results = self._model.predict(
            [np.ascontiguousarray(image[:, :, ::-1]) for image in images],  # BGR is its order
            imgsz=SIDE,
            conf=self.score_threshold,
            device=self._device,
            verbose=False,
        )
        return [_found(result) for result in results]


def look_for(network: Any, words: Sequence[str], options: DetectorOptions) -> None:
    """Give a YOLO-World other words, embedded by the text encoder that it was trained with.

    Published files have the embeddings of COCO's 80 names within, which need no encoder.
    """
    if {name_key(name) for name in network.names.values()} == {name_key(word) for word in words}:
        return
    weights = 'random' if options.weights == 'random' else 'pretrained'
    encoder = build_backbone(BackboneConfig(TEXT_MODEL, weights, seed=options.seed))
    network.txt_feats = encoder.encode_text(words)[None]
    network.model[-1].nc = len(words)
    network.names = dict(enumerate(words))


def library(name: str) -> ModuleType:
    """ultralytics; what it does unasked is switched off first, unless the user has decided.

    Raises:
        ImportError: it is not installed.
    """
    for variable, value in MANNERS.items():
        os.environ.setdefault(variable, value)
    with _others_unchanged(name):
        return require('ultralytics', INSTALL, name)


@contextmanager
def _others_unchanged(name: str) -> Iterator[None]:
    """Put back what ultralytics changes for everybody when it is imported.

    Its `PIL.Image.open` would install a package at sight of a damaged picture, its `torch.save`
    tries again and again; OpenCV gets a single thread, and arrays are printed in its own way.
    """
    cv2 = require('cv2', INSTALL, name)
    pil = require('PIL.Image', INSTALL, name)
    open_picture, save, threads = pil.open, torch.save, cv2.getNumThreads()
    try:
        with np.printoptions():
            yield
    finally:
        pil.open, torch.save = open_picture, save
        cv2.setNumThreads(threads)


def _found(result: Any) -> Found:
    boxes = result.boxes.cpu()
    names = [result.names[label] for label in boxes.cls.int().tolist()]
    return Found(boxes.xyxy.numpy(), boxes.conf.numpy(), names)
