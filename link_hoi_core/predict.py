"""Triplets of pictures: `python -m link_hoi_core.predict IMAGE... --detector NAME --output DIR`.

Of each picture it writes the detections and triplets as JSON, and the picture with the best of
them drawn in. Those of no interaction, which is one of HICO-DET's verbs, are not drawn.
"""

from __future__ import annotations

import argparse
import io
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from link_hoi_core.data.json_files import write_json, write_whole
from link_hoi_core.detectors import Detector, find_row, load_detector
from link_hoi_core.device import pick_device
from link_hoi_core.drawing import draw_interactions
from link_hoi_core.images import list_pictures, read_image
from link_hoi_core.model.scoring import VerbFilter
from link_hoi_core.models import ZERO_SHOT, Predictor, load_predictor
from link_hoi_core.optional import require
from link_hoi_core.structures import Detections, Interactions
from link_hoi_core.vocabulary import NO_INTERACTION, Vocabulary

MOST_NAMES = 10  # of unknown objects, in the last line


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Returns:
        0; 1 if a picture was left out, after one sentence on each; 2 if nothing could be done,
        after one sentence.
    """
    options = _parser().parse_args(arguments)
    try:
        return _run(options)
    except (ValueError, OSError, ImportError) as error:
        print(f'predict: {error}', file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog='python -m link_hoi_core.predict', description=__doc__)
    parser.add_argument('images', nargs='+', type=Path, metavar='IMAGE', help='picture or folder')
    parser.add_argument(
        '--detector', required=True, help='name, or onnx:FILE, recorded:FILE ... (see README)'
    )
    parser.add_argument('--detector-weights', metavar='PATH', help='default: the published ones')
    parser.add_argument(
        '--detector-threshold', type=float, metavar='SCORE', help="default: the detector's own"
    )
    parser.add_argument(
        '--drop-unknown', action='store_true', help='leave out objects outside the vocabulary'
    )
    parser.add_argument(
        '--model',
        default='boxes',
        help='checkpoint folder, hub repository or embedded name (default: boxes); or '
        'clip_zero_shot[:BACKBONE][+CHECKPOINT], which needs no checkpoint',
    )
    parser.add_argument('--backbone-weights', metavar='PATH', help='default: the published ones')
    parser.add_argument(
        '--verbs', type=_words, metavar='"RIDE, HOLD"', help="any words, in place of the model's"
    )
    parser.add_argument(
        '--objects',
        type=_words,
        metavar='"CUP, ROBOT ARM"',
        help='any words, likewise; a detector of any words looks for these, and people',
    )
    parser.add_argument(
        '--zero-shot-filter',
        action='store_true',
        help="keep each pair's best verbs, as in the paper's zero-shot setting",
    )
    parser.add_argument('--score-threshold', type=float, default=0.2, help='default: 0.2')
    parser.add_argument('--device', default='auto', help='auto, cpu, cuda, cuda:1 ...')
    parser.add_argument('--output', type=Path, required=True, metavar='DIR', help='is made')
    return parser


def _run(options: argparse.Namespace) -> int:
    pictures = name_results(list_pictures(options.images))
    _check(options, pictures)
    predictor = _load_predictor(options)
    detector = _load_detector(options, predictor.vocabulary)
    predictor.score_exponent = detector.score_exponent
    options.output.mkdir(parents=True, exist_ok=True)
    left_out = 0
    for path, name in pictures.items():
        try:
            image = read_image(path)
            (detections,) = detector.detect([image], [str(path)])
            triplets = predictor.predict(image, detections)
        except (ValueError, OSError) as error:
            print(f'predict: {path.name} left out: {error}', file=sys.stderr)
            left_out += 1
            continue
        suffix = '.jpg' if path.suffix.lower() in ('.jpg', '.jpeg') else '.png'
        vocabulary = predictor.vocabulary
        drawn = draw_interactions(image, detections, _doing(triplets, vocabulary), vocabulary)
        write_picture(options.output / f'{name}{suffix}', drawn)
        result = describe(path.name, detections, triplets, vocabulary)
        result |= {'model': predictor.model_name, 'detector': detector.name}
        write_json(options.output / f'{name}.json', result, indent=2)
        print(_account(path.name, result), flush=True)
    print(_summary(len(pictures) - left_out, options.output, detector.unknown))
    return 1 if left_out else 0


def _check(options: argparse.Namespace, pictures: Iterable[Path]) -> None:
    """What can be known to be wrong before anything is loaded."""
    output = options.output
    if file := next((path for path in (output, *output.parents) if path.is_file()), None):
        raise ValueError(f'--output is {output}, but {file} is a file: choose another folder')
    if any(path.parent.resolve() == output.resolve() for path in pictures):
        raise ValueError(f'{output} holds the pictures themselves: choose another folder')
    for name in ('score_threshold', 'detector_threshold'):
        value = getattr(options, name)
        if value is not None and not 0 <= value <= 1:
            raise ValueError(f'--{name.replace("_", "-")} is {value}, expected 0 to 1')
    if options.zero_shot_filter and ZERO_SHOT.fullmatch(options.model):
        raise ValueError(f'--zero-shot-filter is for checkpoints: leave it out for {options.model}')
    find_row(options.detector)


def _load_predictor(options: argparse.Namespace) -> Predictor:
    chosen: dict[str, Any] = {'score_threshold': options.score_threshold}
    if options.zero_shot_filter:
        chosen['verb_filter'] = VerbFilter()
    predictor = load_predictor(options.model, options.device, options.backbone_weights, **chosen)
    if options.verbs is not None:
        predictor.set_verbs(options.verbs)
    if options.objects is not None:
        predictor.set_objects(options.objects)
    return predictor


def _load_detector(options: argparse.Namespace, vocabulary: Vocabulary) -> Detector:
    chosen: dict[str, Any] = {
        'device': pick_device(options.device),
        'score_threshold': options.detector_threshold,
        'keep_unknown': not options.drop_unknown,
    }
    if options.detector_weights is not None:
        chosen['weights'] = options.detector_weights
    return load_detector(options.detector, vocabulary, **chosen)


def name_results(pictures: Sequence[Path]) -> dict[Path, str]:
    """What each picture's results are called: its stem, or 'stem_2' where that is taken."""
    by_name: dict[str, Path] = {}
    for path in pictures:
        name, count = path.stem, 1
        while name in by_name:
            count += 1
            name = f'{path.stem}_{count}'
        by_name[name] = path
    return {path: name for name, path in by_name.items()}


def describe(
    file_name: str, detections: Detections, triplets: Interactions, vocabulary: Vocabulary
) -> dict[str, Any]:
    """What was found in a picture, in plain names and numbers; boxes are xyxy in pixels."""
    height, width = detections.image_size
    names = [
        vocabulary.objects[label] if label >= 0 else detections.names[i]
        for i, label in enumerate(detections.labels)
    ]
    return {
        'file_name': file_name,
        'width': width,
        'height': height,
        'detections': [
            {'name': name, 'score': round(score, 4), 'box': [round(x, 2) for x in box]}
            for name, score, box in zip(
                names, detections.scores.tolist(), detections.boxes.tolist()
            )
        ],
        'triplets': [
            {
                'human': human,
                'object': object_,
                'verb': vocabulary.verbs[verb],
                'object_name': names[object_],
                'score': round(score, 4),
                'verb_score': round(verb_score, 4),
            }
            for human, object_, verb, score, verb_score in zip(
                triplets.human.tolist(),
                triplets.object.tolist(),
                triplets.verb.tolist(),
                triplets.score.tolist(),
                triplets.verb_score.tolist(),
            )
        ],
    }


def write_picture(path: Path, image: np.ndarray) -> None:
    """Write (H, W, 3) uint8 RGB as .jpg or .png, never half."""
    pil = require('PIL.Image', 'pip install pillow', 'writing pictures')
    content = io.BytesIO()
    kind = {'.jpg': 'JPEG', '.png': 'PNG'}[path.suffix]
    pil.fromarray(image).save(content, kind, quality=95)
    write_whole(path, content.getvalue())


def _doing(triplets: Interactions, vocabulary: Vocabulary) -> Interactions:
    """The triplets in which something is done."""
    is_verb = np.array(vocabulary.verb_phrases) != NO_INTERACTION
    return triplets.take(is_verb[triplets.verb])


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(',')]


def _account(name: str, result: dict[str, Any]) -> str:
    """One picture's line."""
    found = f'{name}: detections {len(result["detections"])}, triplets {len(result["triplets"])}'
    if not result['triplets']:
        return found
    best = result['triplets'][0]
    return f'{found}, best {best["verb"]} {best["object_name"]} {best["score"]:.2f}'


def _summary(written: int, output: Path, unknown: Counter[str]) -> str:
    """The last line."""
    lines = f'Pictures with their triplets in {output}: {written}'
    if unknown:
        names = [f'{name} ({count})' for name, count in unknown.most_common(MOST_NAMES)]
        names += ['...'] * (len(unknown) > MOST_NAMES)
        lines += f'\nObjects outside the vocabulary, which take no part: {", ".join(names)}'
    return lines


if __name__ == '__main__':
    sys.exit(main())
