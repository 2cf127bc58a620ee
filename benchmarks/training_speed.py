"""Images that a training takes in a second: `python benchmarks/training_speed.py [CONFIGURATION]`.

Made-up 640 x 480 images are trained on by the configuration, once from their files and once from
cached feature maps: a step alone, on a batch that is on the device already, and the run as a whole,
which also waits for its batches. After the first pass files and maps are read from memory. Where
the published weights are not, `--set model.backbone.weights=random` takes as long.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader

from link_hoi_core.benchmark.scenes import HEIGHT, WIDTH, crowded_scene
from link_hoi_core.configuration import load_configuration
from link_hoi_core.data.annotated_image import AnnotatedImage, annotated_image
from link_hoi_core.data.image_folder import ImageFolder
from link_hoi_core.data.json_files import write_json
from link_hoi_core.device import pick_device, pick_precision
from link_hoi_core.structures import Detections
from link_hoi_core.training.batch import Batch
from link_hoi_core.training.examples import HoiExamples
from link_hoi_core.training.experiment import Experiment
from link_hoi_core.training.module import LinkTraining
from link_hoi_core.training.pictures import Pictures, open_pictures
from link_hoi_core.vocabulary import Vocabulary, load_vocabulary

ROOT = Path(__file__).resolve().parents[1]
CONFIGURATION = ROOT / 'config' / 'experiments' / 'link_b.yaml'
WARM_UP = 5  # steps that are not timed
GRAIN = 16  # side of a made-up image's squares, in pixels; noise would take longer to decode
KINDS = ('live', 'cached')
#: The paper's teachers, images/s on one of its four RTX 4090: 15 epochs of the 37,633 images of
#: HICO-DET that have a pair, in 4 h 16 and 6 h 48 (LINK Figure 8).
PAPER = {'LINK-B': 9.2, 'LINK-L': 5.8}


def main() -> None:
    """Print the figures, and write them where asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('configuration', type=Path, nargs='?', default=CONFIGURATION)
    parser.add_argument('--set', action='append', default=[], metavar='KEY=VALUE')
    parser.add_argument('--device', default='auto')
    parser.add_argument('--images', type=int, default=256, help='how many are made up')
    parser.add_argument('--pairs', type=int, default=60, help='of each image')
    parser.add_argument('--steps', type=int, default=100, help='how many are timed')
    parser.add_argument('--json', type=Path, help='file that the figures are written to')
    options = parser.parse_args()

    experiment = load_configuration(Experiment, options.configuration, options.set)
    if options.images < experiment.data.most_images:
        parser.error(f'--images {options.images} make no batch of {experiment.data.most_images}')
    device = pick_device(options.device)
    with tempfile.TemporaryDirectory() as folder:
        figures = {
            'configuration': options.configuration.stem,
            'set': options.set,
            'device': _name(device),
            'pairs': options.pairs,
            'images_a_batch': experiment.data.most_images,
            'precision': experiment.optimiser.precision,
            'workers': experiment.data.workers,
            **measure(experiment, Path(folder), options, device),
            'paper_images_a_second_a_gpu': PAPER,
        }
    _print(figures)
    if options.json:
        write_json(options.json, figures, indent=2)


def measure(
    experiment: Experiment, folder: Path, options: argparse.Namespace, device: torch.device
) -> dict[str, Any]:
    """Images a second of building a cache, and `_rates` of 'live' and of 'cached' pictures.

    Args:
        folder: an empty one, for images and maps.
    """
    vocabulary = load_vocabulary(experiment.model.vocabulary)
    photos = folder / 'images'
    photos.mkdir()
    boxes = [crowded_scene(options.pairs, vocabulary, seed) for seed in range(options.images)]
    images = [
        _image(photos / f'{seed:06d}.jpg', scene, vocabulary, seed)
        for seed, scene in enumerate(boxes)
    ]
    module = LinkTraining(experiment, images).to(device).train()
    module.on_fit_start()
    step, figures = _training(module), {}
    for kind, cache in zip(KINDS, (None, str(folder / 'cache'))):
        data = replace(experiment.data, cache=cache)
        start = time.perf_counter()
        pictures = open_pictures(
            data, experiment.augmentation, ImageFolder(photos), images, module.backbones, device
        )
        if cache:
            figures['building_images_a_second'] = len(images) / (time.perf_counter() - start)
        loader = _loader(replace(experiment, data=data), images, boxes, vocabulary, pictures)
        figures[kind] = _rates(step, loader, options.steps, device)
    return figures


def _loader(
    experiment: Experiment,
    images: list[AnnotatedImage],
    boxes: list[Detections],
    vocabulary: Vocabulary,
    pictures: Pictures,
) -> DataLoader:
    """Whole batches in random order."""
    examples = HoiExamples(
        images,
        boxes,
        vocabulary.person,
        len(vocabulary.verbs),
        experiment.augmentation,
        pictures=pictures,
    )
    return DataLoader(
        examples,
        experiment.data.most_images,
        shuffle=True,
        drop_last=True,
        num_workers=experiment.data.workers,
        collate_fn=examples.collate,
        pin_memory=torch.cuda.is_available(),
        persistent_workers=experiment.data.workers > 0,
    )


def _rates(
    step: Callable[[Batch], None], loader: DataLoader, steps: int, device: torch.device
) -> dict[str, float]:
    """Steps and images a second: of the step alone, and of a run that waits for its batches."""
    batches = _endless(loader)
    batch = next(batches).to(device)
    rates = {}
    for name, give in (('step', lambda: batch), ('run', lambda: next(batches).to(device))):
        for _ in range(WARM_UP):
            step(give())
        start = _now(device)
        for _ in range(steps):
            step(give())
        rate = steps / (_now(device) - start)
        rates |= {
            f'{name}_steps_a_second': rate,
            f'{name}_images_a_second': rate * loader.batch_size,
        }
    return rates


def _training(module: LinkTraining) -> Callable[[Batch], None]:
    """One step as Lightning does it, but for the scaling of an fp16 loss."""
    settings, device = module.experiment.optimiser, module.device.type
    precision = pick_precision(settings.precision)
    parameters = list(module.model.parameters())
    optimiser = torch.optim.AdamW(
        parameters, settings.learning_rate, weight_decay=settings.weight_decay
    )

    def step(batch: Batch) -> None:
        optimiser.zero_grad()
        with torch.autocast(device, precision, enabled=precision != torch.float32):
            loss = module.training_step(batch, 0)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, settings.clip_norm)
        optimiser.step()

    return step


def _endless(loader: DataLoader) -> Iterator[Batch]:
    while True:
        yield from loader


def _image(path: Path, scene: Detections, vocabulary: Vocabulary, seed: int) -> AnnotatedImage:
    """Write a made-up photo, in which its first person does something with its first thing."""
    random = np.random.default_rng(seed)
    squares = random.integers(0, 256, (HEIGHT // GRAIN, WIDTH // GRAIN, 3), np.uint8)
    Image.fromarray(squares).resize((WIDTH, HEIGHT)).save(path)
    human = np.flatnonzero(scene.labels == vocabulary.person)[:1]
    thing = np.flatnonzero(scene.labels != vocabulary.person)[:1]
    objects = scene.labels[thing]
    verbs = vocabulary.valid[objects].argmax(axis=1)
    boxes = scene.boxes[human], scene.boxes[thing]
    return annotated_image(vocabulary, path.name, scene.image_size, *boxes, objects, verbs)


def _now(device: torch.device) -> float:
    """Seconds, once the device has done what it was asked for."""
    if device.type == 'cuda':
        torch.cuda.synchronize(device)
    return time.perf_counter()


def _name(device: torch.device) -> str:
    if device.type == 'cuda':
        return torch.cuda.get_device_name(device)
    return f'{device.type}, {torch.get_num_threads()} threads'


def _print(figures: dict[str, Any]) -> None:
    print(
        f'{figures["configuration"]} on {figures["device"]}: batches of '
        f'{figures["images_a_batch"]} images with {figures["pairs"]} pairs each, '
        f'{figures["precision"]}, {figures["workers"]} workers'
    )
    print(f'a cache is built at {figures["building_images_a_second"]:.1f} images/s')
    for kind in KINDS:
        print(
            f'{kind:7}'
            + ''.join(
                f'  {part}: {figures[kind][f"{part}_steps_a_second"]:8.2f} steps/s'
                f' {figures[kind][f"{part}_images_a_second"]:9.1f} images/s'
                for part in ('step', 'run')
            )
        )
    paper = ', '.join(f'{name} {rate}' for name, rate in PAPER.items())
    print(f'paper, on one of four RTX 4090: {paper} images/s')


if __name__ == '__main__':
    main()
