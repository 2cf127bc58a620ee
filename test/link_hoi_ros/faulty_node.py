"""hoi_node with a model that fails as real ones do: `python faulty_node.py FILE --ros-args …`.

FILE holds JSON that is read again for each image: `pairs` = so many fit into the memory of the GPU,
`raises` = a sentence that the model fails with. While it holds `loading`, loading goes on.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import torch

from link_hoi_core import predictor
from link_hoi_core.model.scene import Scene
from link_hoi_ros import hoi_node, pipeline

FILE = Path(sys.argv.pop(1))
build_scene, load_predictor = predictor.build_scene, pipeline.load_predictor


def fault() -> dict[str, Any]:
    return json.loads(FILE.read_text())


def build_scene_or_fail(*arguments: Any) -> Scene:
    """The model's input, unless it does not fit: as of an allocation of the model's."""
    scene = build_scene(*arguments)
    if 'raises' in fault():
        raise RuntimeError(fault()['raises'])
    if scene.pair_present.sum() > fault().get('pairs', 1000):
        raise torch.cuda.OutOfMemoryError('CUDA out of memory. Tried to allocate 2.00 GiB.')
    return scene


def load_slowly(*arguments: Any, **options: Any) -> predictor.HoiPredictor:
    """The model, once it may be there."""
    FILE.with_suffix('.loading').touch()
    while 'loading' in fault():
        time.sleep(0.05)
    return load_predictor(*arguments, **options)


predictor.build_scene, pipeline.load_predictor = build_scene_or_fail, load_slowly
sys.exit(hoi_node.main())
