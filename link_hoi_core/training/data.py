"""What a run is trained and tested on: annotations, checked images, and detections."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from link_hoi_core import detect
from link_hoi_core.data.annotated_image import AnnotatedImage, unsized, with_needed_sizes
from link_hoi_core.data.annotations import GROUND_TRUTH, read_annotations
from link_hoi_core.data.hico_det import ground_truth_detections
from link_hoi_core.data.image_folder import ImageFolder, check_images, faults_sentence
from link_hoi_core.data.json_files import read_json
from link_hoi_core.data.recorded import find_recorded
from link_hoi_core.data.splits import training_set
from link_hoi_core.data.v_coco import read_coco_sizes
from link_hoi_core.model.scene import count_pairs
from link_hoi_core.ranking import choose_detections
from link_hoi_core.structures import Detections
from link_hoi_core.training.experiment import Experiment
from link_hoi_core.vocabulary import Vocabulary, load_vocabulary

DETECTOR = 'detector:'
DETECTIONS = 'detections.json'


@dataclass(frozen=True)
class TrainingData:
    """The images of one run; every one of `train` and `test` that has a pair has a size.

    Attributes:
        train: those to learn from, each with at least one pair.
        hidden: the same images with pairs that are true, but not to be learnt from, or None.
        test: all of the test file, those without pairs too.
        boxes: clean detections of each image of `train`.
        folder: where the pixels are; None where nothing looks at them.
    """

    train: list[AnnotatedImage]
    hidden: list[AnnotatedImage] | None
    test: list[AnnotatedImage]
    boxes: list[Detections]
    folder: ImageFolder | None


def load_training_data(experiment: Experiment, output: Path, device: str) -> TrainingData:
    """Read, check and cut down what `experiment.data` names.

    Args:
        output: the run's folder, where a detector's detections are kept; of several processes
            that share it, one has to come first.
        device: where a detector runs, as of `device.pick_device`.

    Raises:
        ValueError, OSError, ImportError: something is missing, malformed, or leaves nothing to
            train on; one sentence.
    """
    data, vocabulary = experiment.data, load_vocabulary(experiment.model.vocabulary)
    root = Path(data.root)
    classes = 'verb' if vocabulary.id == 'v-coco' else 'hoi'
    annotated = read_annotations(root / data.train, vocabulary.id, 'train')
    train, hidden = training_set(annotated, experiment.setting, experiment.seed, classes)
    test = read_annotations(root / data.test, vocabulary.id)
    if data.sizes:
        known = {k: v for path in data.sizes for k, v in read_coco_sizes(root / path).items()}
        train, test = (with_needed_sizes(images, known) for images in (train, test))

    folder = _open_folder(experiment, train + test)
    faults = {} if folder is None else _faults(folder, train + test, data.most_faults)
    kept = [bool(len(image.hoi)) and image.file_name not in faults for image in train]
    train = [image for image, keep in zip(train, kept) if keep]
    hidden = hidden and [image for image, keep in zip(hidden, kept) if keep]
    test = [image for image in test if image.file_name not in faults]
    if folder is not None:
        own = folder.sizes(image.file_name for image in unsized(train + test))
        train, test = (with_needed_sizes(images, own) for images in (train, test))

    if not any(len(image.hoi) for image in test):
        raise ValueError(f'{root / data.test} has no image with a human-object pair to test on')
    boxes = _boxes(experiment, train, folder, output, device) if train else []
    if not any(count_pairs(found.labels, vocabulary.person) for found in boxes):
        raise ValueError(
            f'{root / data.train} has no image with a human-object pair to train on '
            f'({experiment.setting}; boxes: {data.boxes})'
        )
    return TrainingData(train, hidden, test, boxes, folder)


def _open_folder(experiment: Experiment, images: Sequence[AnnotatedImage]) -> ImageFolder | None:
    """The folders of images, where something looks at them; a teacher may.

    Raises:
        ValueError: something has to look at images, but there is no folder.
        FileNotFoundError: there is no such folder.
    """
    data, backbone = experiment.data, experiment.model.backbone.name
    reasons = {
        f'model.backbone is {backbone}': backbone != 'none',
        f'data.boxes is {data.boxes}': data.boxes.startswith(DETECTOR),
        'the annotations do not say how large the images are: set it, or data.sizes': bool(
            unsized(images)
        ),
    }
    reason = next((reason for reason, holds in reasons.items() if holds), None)
    if reason is not None and not data.images:
        raise ValueError(f'data.images names no folder of images, but {reason}')
    if reason is None and not (data.images and experiment.distillation.teachers):
        return None
    return ImageFolder(*(Path(data.root) / path for path in data.images))


def _faults(folder: ImageFolder, images: Sequence[AnnotatedImage], limit: int) -> dict[str, str]:
    """What is wrong with the images that have a pair, by name, said once; at most `limit`."""
    sizes = {image.file_name: image.size for image in images if len(image.hoi)}
    faults = check_images(folder, sizes, limit)
    if faults:
        sentence = faults_sentence(folder, faults, len(sizes))
        print(f'train: {sentence}; left out', file=sys.stderr)
    return faults


def _boxes(
    experiment: Experiment,
    images: Sequence[AnnotatedImage],
    folder: ImageFolder | None,
    output: Path,
    device: str,
) -> list[Detections]:
    """The clean detections of each image, from where `data.boxes` says."""
    boxes, vocabulary = experiment.data.boxes, load_vocabulary(experiment.model.vocabulary)
    if boxes == GROUND_TRUTH:
        return [ground_truth_detections(image) for image in images]
    if not boxes.startswith(DETECTOR):
        return _recorded(Path(experiment.data.root) / boxes, images, vocabulary)
    paths = [folder.path(image.file_name) for image in images]
    _detect(boxes.removeprefix(DETECTOR), vocabulary, paths, output / DETECTIONS, device)
    return _recorded(output / DETECTIONS, images, vocabulary)


def _recorded(
    path: Path, images: Sequence[AnnotatedImage], vocabulary: Vocabulary
) -> list[Detections]:
    """The recorded detections of each image that the predictor would choose too.

    Raises:
        ValueError: some images are not among the recorded ones, or were recorded at another size.
    """
    each, _ = find_recorded(path, images, vocabulary)
    missing = [image.file_name for image, boxes in zip(images, each) if boxes is None]
    if missing:
        raise ValueError(
            f'{path} lacks {len(missing)} of {len(images)} training images, the first is '
            f'{missing[0]!r}'
        )
    return [boxes.take(choose_detections(boxes, vocabulary, select=True)) for boxes in each]


def _detect(
    name: str, vocabulary: Vocabulary, pictures: Sequence[Path], output: Path, device: str
) -> None:
    """Record what a detector finds in the pictures, unless that is done; it may be interrupted.

    Raises:
        ValueError: the detector fails, or the recorded detections are another one's.
        SystemExit: SIGINT or SIGTERM came; the same run goes on from there.
    """
    if output.exists():
        made_with = read_json(output).get('detector', {}).get('detector')
        if made_with != name:
            raise ValueError(f'{output} was made with {made_with}, not {name}: delete it')
        return
    options = {
        '--detector': name,
        '--vocabulary': vocabulary.id,
        '--output': output,
        '--device': device,
        '--most-failures': 0,
    }
    arguments = [str(word) for option in options.items() for word in option]
    status = detect.main([*arguments, *map(str, pictures)])
    if status > 2:
        raise SystemExit(status)
    if status:
        raise ValueError(f'{name} did not record the training images (see above)')
