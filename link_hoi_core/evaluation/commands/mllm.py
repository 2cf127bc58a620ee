"""Figures of a multimodal language model on HICO-DET (LINK A.5): `python -m link_hoi_core.evaluate
mllm --annotations FILE --boxes ground-truth --images DIR --url URL --llm NAME --output DIR`.

The model is told the boxes and asked for triplets, by any server of OpenAI's chat completions. A
run that was stopped goes on from there when it is started again; `--answers FILE` scores recorded
answers, without a network.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from link_hoi_core.data.annotations import GROUND_TRUTH, read_annotations
from link_hoi_core.data.image_folder import ImageFolder
from link_hoi_core.data.journal import Journal
from link_hoi_core.data.json_files import write_json
from link_hoi_core.evaluation.boxes import ground_truth_boxes, recorded_boxes
from link_hoi_core.evaluation.mllm.asking import answers_of, ask_all, read_answer_file
from link_hoi_core.evaluation.mllm.client import ChatClient
from link_hoi_core.evaluation.mllm.protocol import Question, Verdict, judge, make_questions
from link_hoi_core.evaluation.prediction_files import write_predictions
from link_hoi_core.evaluation.remarks import Remarks
from link_hoi_core.vocabulary import load_vocabulary

KEY_VARIABLE = 'LINK_HOI_LLM_KEY'
ANSWERS = 'answers.jsonl'
OURS = {'model', 'messages', 'stream'}  # fields of a request that --request may not set
GROUPS = {'Full': '', 'Rare': '_rare', 'Non-rare': '_non_rare'}
FIGURES = {'mF1': 'mf1', 'mPrec': 'mprec', 'mRec': 'mrec'}


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command to those of `evaluate`."""
    parser = commands.add_parser(
        'mllm', help='mF1 of a multimodal language model', description=__doc__
    )
    parser.set_defaults(run=run)
    parser.add_argument(
        '--annotations', type=Path, required=True, help='.json, .json.gz, or anno_bbox.mat'
    )
    parser.add_argument(
        '--boxes',
        required=True,
        metavar=f'{GROUND_TRUTH}|FILE',
        help='the boxes that the model is told: the annotated ones, or recorded detections',
    )
    parser.add_argument('--output', type=Path, required=True, metavar='DIR')
    parser.add_argument(
        '--answers', type=Path, metavar='FILE', help='score these answers, ask no server'
    )
    parser.add_argument('--images', nargs='+', default=[], metavar='DIR', help='the pictures')
    parser.add_argument('--url', help='https://host/v1')
    parser.add_argument('--llm', metavar='NAME', help="the model's name on the server")
    parser.add_argument(
        '--key-variable',
        metavar='NAME',
        help=f'environment variable with the key (default: {KEY_VARIABLE}, where it is set)',
    )
    parser.add_argument(
        '--request',
        type=_request,
        default={},
        metavar='JSON',
        help='more fields of each request: \'{"temperature": 0}\'',
    )
    parser.add_argument('--at-once', type=int, default=4, help='questions under way (default: 4)')
    parser.add_argument(
        '--timeout', type=float, default=300.0, metavar='SECONDS', help='default: 300'
    )
    parser.add_argument('--retries', type=int, default=5, help='default: 5')
    parser.add_argument(
        '--most-failures', type=int, default=10, help='images without an answer before it stops'
    )


def run(options: argparse.Namespace) -> None:
    """Ask, print the figures, and write them with the answers and the predictions."""
    _check(options)
    images = read_annotations(options.annotations, 'hico-det')
    vocabulary = load_vocabulary('hico-det')
    remarks = Remarks()
    annotated = options.boxes == GROUND_TRUTH
    if annotated:
        boxes = ground_truth_boxes(images)
    else:
        boxes = recorded_boxes(options.boxes, images, vocabulary, remarks)
    questions = make_questions(images, boxes, vocabulary, select=not annotated)
    source = _recorded if options.answers else _asked
    settings, answers = source(options, questions, remarks)
    verdict = judge(images, questions, answers, vocabulary)
    facts = {
        'benchmark': 'hico-det',
        'protocol': 'multimodal language model',
        'annotations': options.annotations.name,
        'images': len(images),
        'questions': len(questions),
        'answers': len(answers),
        'interactions': len(verdict.predictions),
    }
    options.output.mkdir(parents=True, exist_ok=True)
    predictions = options.output / 'predictions.json.gz'
    write_predictions(predictions, 'hico-det', images, verdict.predictions)
    content = settings | facts | verdict.figures | _faults(verdict)
    write_json(options.output / 'figures.json', content, indent=2)
    print(_table(settings, facts, verdict))
    for sentence in remarks.sentences():
        print(f'evaluate: {sentence}', file=sys.stderr)


def _check(options: argparse.Namespace) -> None:
    """What can be known to be wrong before anything is read."""
    if options.answers is None:
        for name in ('images', 'url', 'llm'):
            if not getattr(options, name):
                raise ValueError(f'--{name} is missing: a model is asked unless --answers is given')
    for name, least in {'at_once': 1, 'retries': 0, 'most_failures': 0}.items():
        if getattr(options, name) < least:
            given = getattr(options, name)
            raise ValueError(f'--{name.replace("_", "-")} is {given}, expected {least} or more')
    if not 0 < options.timeout < 1e6:
        raise ValueError(
            f'--timeout is {options.timeout:g}, expected seconds, above 0 and below a million'
        )


def _asked(
    options: argparse.Namespace, questions: Sequence[Question], remarks: Remarks
) -> tuple[dict[str, Any], dict[str, str]]:
    """Settings and answers by file name, of a server."""
    variable = options.key_variable or KEY_VARIABLE
    key = os.environ.get(variable, '').strip() or None
    if key is None and options.key_variable:
        raise ValueError(f'the environment has no {variable}, which --key-variable names')
    client = ChatClient(
        options.url, options.llm, key, options.request, options.timeout, options.retries
    )
    folder = ImageFolder(*options.images)
    options.output.mkdir(parents=True, exist_ok=True)
    path = options.output / ANSWERS
    boxes = Path(options.boxes).name
    settings = {'llm': options.llm, 'boxes': boxes, 'request': options.request}
    journal = Journal(path, settings)
    answered = answers_of(journal.entries, questions, path)
    left = [question for question in questions if question.file_name not in answered]
    try:
        failures = ask_all(client, left, folder, journal, options.at_once, options.most_failures)
    except KeyboardInterrupt:
        done = f'{len(journal.entries)} of {len(questions)} questions are answered'
        print(f'evaluate: stopped, {done}: the same command goes on', file=sys.stderr)
        raise SystemExit(130) from None
    for name, reason in failures.items():
        what = 'images without an answer, counted as empty; the same command asks about them again'
        remarks.note(what, f'{name}: {reason}')
    return settings, answers_of(journal.entries, questions, path)


def _recorded(
    options: argparse.Namespace, questions: Sequence[Question], remarks: Remarks
) -> tuple[dict[str, Any], dict[str, str]]:
    """The same of a file."""
    settings, entries = read_answer_file(options.answers)
    answers = answers_of(entries, questions, options.answers)
    for question in questions:
        if question.file_name not in answers:
            remarks.note('images without an answer, counted as empty', question.file_name)
    boxes = Path(options.boxes).name  # not the file's word: these were used
    return {'llm': options.llm} | settings | {'boxes': boxes}, answers


def _faults(verdict: Verdict) -> dict[str, Any]:
    kinds = {
        fault.value: {
            'answers': count,
            'times': verdict.times[fault],
            'left_out': fault.loses,
        }
        for fault, count in verdict.faulty.most_common()
    }
    return {'flawless': verdict.flawless, 'faults': kinds}


def _table(settings: dict[str, Any], facts: dict[str, Any], verdict: Verdict) -> str:
    lines = [
        f'HICO-DET by {settings["llm"] or "recorded answers"}, told the boxes: {settings["boxes"]}',
        f'{facts["images"]} images, {facts["questions"]} with pairs to ask about, '
        f'{facts["answers"]} answers, {facts["interactions"]} interactions',
        f'{"":6}' + ''.join(f'{group:>10}' for group in GROUPS),
    ]
    for name, key in FIGURES.items():
        cells = (f'{verdict.figures[key + group]:>10.4f}' for group in GROUPS.values())
        lines.append(f'{name:6}' + ''.join(cells))
    lines.append(f'{verdict.flawless} answers are as asked for')
    for title, loses in {'Read all the same': False, 'Left out': True}.items():
        faults = [
            f'{count:>8} answers: {fault.value} ({verdict.times[fault]} times)'
            for fault, count in verdict.faulty.most_common()
            if fault.loses is loses
        ]
        lines += [f'{title}:', *faults] if faults else []
    return '\n'.join(lines)


def _request(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f'{text!r} is not JSON ({error})') from None
    if not isinstance(value, dict) or OURS & value.keys():
        raise argparse.ArgumentTypeError(
            f'{text!r} is no JSON object without {", ".join(sorted(OURS))}'
        )
    return value
