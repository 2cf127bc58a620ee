"""The command `evaluate mllm` against a real server on this machine."""

from __future__ import annotations

import base64
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from link_hoi_core.data.annotated_image import AnnotatedImage
from link_hoi_core.data.hico_det import ground_truth_detections, read_hico_det
from link_hoi_core.data.recorded import RecordedImage, write_recorded
from link_hoi_core.evaluate import main
from link_hoi_core.evaluation.boxes import ground_truth_boxes
from link_hoi_core.evaluation.mllm.fault import Fault
from link_hoi_core.evaluation.mllm.protocol import Question, judge, make_questions
from link_hoi_core.geometry import box_iou
from link_hoi_core.structures import Detections
from link_hoi_core.vocabulary import load_vocabulary

KEY = 'sk-secret-of-the-user'
ROOT = Path(__file__).parents[4]
VOCABULARY = load_vocabulary('hico-det')


def true_answer(image: AnnotatedImage, boxes: Detections) -> dict[str, Any]:
    """What is annotated, among boxes that the annotated ones were merged into."""

    def row(box: np.ndarray, label: int, other: int = -1) -> int:
        overlap = np.where(boxes.labels == label, box_iou(box[None], boxes.boxes)[0], -1)
        overlap[other] = -1 if other >= 0 else overlap[other]
        return int(overlap.argmax())

    interactions = []
    for box_h, box_o, label, verb in zip(image.boxes_h, image.boxes_o, image.object, image.verb):
        human = row(box_h, 0)
        object_ = row(box_o, label, human if label == 0 else -1)
        entry = {'human_idx': human, 'object_idx': object_, 'verb': int(verb)}
        interactions += [] if entry in interactions else [entry]
    shown = boxes.boxes.round().astype(int).tolist()
    return {'boxes': shown, 'classes': boxes.labels.tolist(), 'interactions': interactions}


@dataclass
class Task:
    """Twenty images, sixteen of which have pairs; the picture of image i has the grey 10 i."""

    annotations: Path
    pictures: Path
    images: list[AnnotatedImage]
    questions: dict[int, Question]

    def asked(self, request: dict[str, Any]) -> int:
        """The number of the image that is asked about: its picture and its boxes agree."""
        before, picture, after = request['messages'][0]['content']
        kind, _, data = picture['image_url']['url'].partition(',')
        assert kind == 'data:image/jpeg;base64'
        pillow = pytest.importorskip('PIL.Image')
        with pillow.open(io.BytesIO(base64.b64decode(data))) as seen:
            number = round(np.array(seen).mean() / 10)
        assert (before['text'], after['text']) == self.questions[number].texts
        return number

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        number = self.asked(request)
        return true_answer(self.images[number], self.questions[number].detections)


@pytest.fixture
def task(tmp_path: Path, write_annotations: Callable[..., Path]) -> Task:
    pillow = pytest.importorskip('PIL.Image')
    annotations = write_annotations(tmp_path / 'annotations.json', 20)
    images = read_hico_det(annotations)
    pictures = tmp_path / 'pictures'
    pictures.mkdir()
    for index, image in enumerate(images):
        grey = np.full((480, 640, 3), 10 * index, np.uint8)
        pillow.fromarray(grey).save(pictures / image.file_name)
    questions = make_questions(images, ground_truth_boxes(images), VOCABULARY, False)
    return Task(annotations, pictures, images, {q.image: q for q in questions})


def command(task: Task, output: Path, *more: object, boxes: object = 'ground-truth') -> list[str]:
    parts = ['mllm', '--annotations', task.annotations, '--boxes', boxes, '--output', output, *more]
    return [str(part) for part in parts]


def asking(task: Task, server: Any, *more: object) -> list[object]:
    return ['--images', task.pictures, '--url', server.url, '--llm', 'some-model', *more]


def figures(output: Path) -> dict[str, Any]:
    return json.loads((output / 'figures.json').read_text())


def test_true_answers_give_all_that_is_there(
    task: Task,
    server: Any,
    reply: type,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv('LINK_HOI_LLM_KEY', KEY)
    server.reply = lambda _, request: reply(json.dumps(task.answer(request)))
    output = tmp_path / 'out'
    assert main(command(task, output, *asking(task, server, '--request', '{"seed": 3}'))) == 0
    found = figures(output)
    classes = len({int(hoi) for image in task.images for hoi in image.hoi})
    assert found['mf1'] == found['mprec'] == found['mrec'] == pytest.approx(classes / 600)
    rare = {int(hoi) for image in task.images for hoi in image.hoi if VOCABULARY.rare[hoi]}
    assert found['mf1_rare'] == pytest.approx(len(rare) / VOCABULARY.rare.sum())
    assert (found['questions'], found['answers'], found['flawless']) == (16, 16, 16)
    assert found['faults'] == {}
    assert found['request'] == {'seed': 3}
    asked = Counter(task.asked(request) for _, _, request in server.requests)
    assert asked == Counter(list(task.questions))
    assert {headers['Authorization'] for _, headers, _ in server.requests} == {f'Bearer {KEY}'}

    said = capsys.readouterr()
    assert f'{found["mf1"]:.4f}' in said.out
    assert KEY not in said.out + said.err
    assert not any(KEY.encode() in path.read_bytes() for path in output.iterdir())

    # The predictions are an ordinary file, which scores the same at any threshold below 1.
    again = ['--predictions', output / 'predictions.json.gz', '--json', tmp_path / 'again.json']
    arguments = ['hico-det', '--annotations', task.annotations, *again, '--f1-threshold', 0.5]
    assert main([str(part) for part in arguments]) == 0
    assert json.loads((tmp_path / 'again.json').read_text())['mf1'] == pytest.approx(found['mf1'])

    # So do the recorded answers, without a server.
    other = tmp_path / 'other'
    assert main(command(task, other, '--answers', output / 'answers.jsonl')) == 0
    assert figures(other) == found
    assert len(server.requests) == 16


def test_faults_are_counted_and_said(
    task: Task, server: Any, reply: type, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def answer(number: int, request: dict[str, Any]) -> Any:
        true = task.answer(request)
        if number == 1:
            return reply('I am not able to look at people.')
        if number <= 4:
            return reply(f'```json\n{json.dumps(true)}\n```')
        true['interactions'] += [{'human_idx': 99, 'object_idx': 0, 'verb': 0}] * 2
        return reply(json.dumps(true))

    server.reply = answer
    assert main(command(task, tmp_path / 'out', *asking(task, server, '--at-once', 1))) == 0
    assert figures(tmp_path / 'out')['faults'] == {
        Fault.OUT_OF_RANGE: {'answers': 12, 'times': 24, 'left_out': True},
        Fault.CODE_FENCE: {'answers': 3, 'times': 3, 'left_out': False},
        Fault.NO_RESULT: {'answers': 1, 'times': 1, 'left_out': True},
    }
    said = capsys.readouterr().out
    assert '12 answers: index out of range (24 times)' in said
    assert '0 answers are as asked for' in said


@pytest.mark.slow
@pytest.mark.parametrize('number', [signal.SIGKILL, signal.SIGINT])
@pytest.mark.timeout(300)
def test_a_stopped_run_asks_only_what_is_missing(
    task: Task, server: Any, reply: type, tmp_path: Path, number: int
) -> None:
    hanging = True

    def answer(count: int, request: dict[str, Any]) -> Any:
        return reply(json.dumps(task.answer(request)), after=60.0 * (hanging and count > 6))

    server.reply = answer
    output = tmp_path / 'out'
    arguments = command(task, output, *asking(task, server, '--at-once', 3))
    journal = output / 'answers.jsonl'

    def six_are_answered() -> bool:
        lines = journal.read_bytes().count(b'\n') if journal.is_file() else 0
        return (len(server.requests), lines) == (9, 7)  # the first line has the settings

    run = subprocess.Popen(
        [sys.executable, '-m', 'link_hoi_core.evaluate', *arguments],
        env={**os.environ, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1'},
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        until = time.monotonic() + 200
        while not six_are_answered() and run.poll() is None and time.monotonic() < until:
            time.sleep(0.05)
        assert six_are_answered()
        run.send_signal(number)
        _, said = run.communicate(timeout=30)
    finally:
        run.kill()
    if number == signal.SIGINT:
        assert run.returncode == 130
        assert said == (
            'evaluate: stopped, 6 of 16 questions are answered: the same command goes on\n'
        )
    with journal.open('ab') as file:
        file.write(b'{"file_name": "cut in the mid')
    done = {task.asked(request) for _, _, request in server.requests[:6]}
    server.requests.clear()
    hanging = False
    assert main(arguments) == 0
    asked = [task.asked(request) for _, _, request in server.requests]
    assert sorted(asked) == sorted(set(task.questions) - done)
    assert figures(output)['flawless'] == 16


def test_images_without_an_answer(
    task: Task, server: Any, reply: type, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refused = {1, 2, 3}

    def answer(_: int, request: dict[str, Any]) -> Any:
        if task.asked(request) in refused:
            return reply(status=400, body=b'{"error": {"message": "not allowed"}}')
        return reply(json.dumps(task.answer(request)))

    server.reply = answer
    output = tmp_path / 'out'
    arguments = command(task, output, *asking(task, server))
    assert main([*arguments, '--most-failures', '2']) == 2
    said = capsys.readouterr().err
    assert '3 images have no answer, more than --most-failures 2' in said and 'not allowed' in said
    assert not (output / 'figures.json').exists()
    assert main([*arguments, '--most-failures', '3']) == 0
    said = capsys.readouterr().err
    assert said.startswith('evaluate: images without an answer, counted as empty')
    assert 'not allowed' in said
    assert (figures(output)['answers'], figures(output)['mrec']) == (13, pytest.approx(0, abs=0.01))
    with_three_missing = figures(output)['mrec']
    refused.clear()
    server.requests.clear()
    assert main(arguments) == 0
    assert len(server.requests) == 3
    assert figures(output)['answers'] == 16
    assert figures(output)['mrec'] > with_three_missing


def test_a_wrong_key_stops_at_once(
    task: Task, server: Any, reply: type, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.reply = lambda *_: reply(status=401, body=b'{"error": {"message": "no such key"}}')
    assert main(command(task, tmp_path / 'out', *asking(task, server, '--at-once', 1))) == 2
    assert 'refuses the key: HTTP 401 (no such key)' in capsys.readouterr().err
    assert len(server.requests) == 1


def test_recorded_boxes_are_selected_as_for_link(
    task: Task, tmp_path: Path, server: Any, reply: type
) -> None:
    """A second box of the same thing and objects outside the vocabulary are not told of."""
    classes = [*VOCABULARY.objects, 'robot']
    recorded = []
    for image in task.images[:10]:
        if len(image.hoi):
            found = ground_truth_detections(image)
            doubled = Detections(
                np.concatenate([found.boxes, found.boxes + 1, found.boxes]),
                np.concatenate([found.scores * 0.9, found.scores * 0.8, found.scores]),
                np.concatenate([found.labels, found.labels, np.full(len(found), 80)]),
                found.image_size,
            )
            recorded.append(RecordedImage(image.file_name, doubled))
    path = tmp_path / 'detections.json'
    write_recorded(path, recorded, classes)
    server.reply = lambda *_: reply('{"boxes": [], "classes": [], "interactions": []}')
    output = tmp_path / 'out'
    assert main(command(task, output, *asking(task, server), boxes=path)) == 0
    assert figures(output)['boxes'] == 'detections.json'
    assert figures(output)['questions'] == len(recorded) == len(server.requests)
    told = sum(
        line.partition(': ')[0].isdecimal()
        for _, _, request in server.requests
        for line in request['messages'][0]['content'][-1]['text'].splitlines()
    )
    assert told == sum(len(image.detections) // 3 for image in recorded)


def test_recorded_answers_tell_their_model_but_not_which_boxes_are_used(
    task: Task, tmp_path: Path
) -> None:
    path = tmp_path / 'answers.jsonl'
    path.write_text('{"llm": "theirs", "boxes": "other.json", "request": {"seed": 3}}\n')
    assert main(command(task, tmp_path / 'out', '--answers', path)) == 0
    found = figures(tmp_path / 'out')
    assert (found['llm'], found['boxes'], found['request']) == (
        'theirs',
        'ground-truth',
        {'seed': 3},
    )


def test_bad_input_is_one_sentence(
    task: Task, server: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    full = asking(task, server)
    question = next(iter(task.questions.values()))
    line = {'file_name': question.file_name, 'answer': ''}
    no_pairs = {'file_name': task.images[0].file_name, 'answer': ''}
    lines = {
        'twice': [line, line],
        'prompt': [{**line, 'prompt': 'of other boxes'}],
        'image': [no_pairs],
        'key': [line, {'file_name': 'a.jpg'}],
        'first': [{'answer': ''}, line],
        'text': [{**line, 'answer': None}],
        'json': ['no json'],
    }
    for name, content in lines.items():
        texts = (entry if isinstance(entry, str) else json.dumps(entry) for entry in content)
        (tmp_path / name).write_text('\n'.join(texts))
    nowhere = tmp_path / 'nowhere'
    cases: list[tuple[Sequence[object], str]] = [
        (full[2:], '--images is missing'),
        (full[:2] + full[4:], '--url is missing'),
        (full[:4], '--llm is missing'),
        ([*full, '--at-once', 0], '--at-once is 0, expected 1 or more'),
        ([*full, '--timeout', 0], '--timeout is 0'),
        ([*full, '--key-variable', 'NO_SUCH_VARIABLE'], 'no NO_SUCH_VARIABLE'),
        (['--images', nowhere, *full[2:]], 'nowhere: no such folder'),
        (['--images', tmp_path, *full[2:]], 'no such picture'),
        ([*full, '--url', 'ftp://host/v1'], 'no address of a server'),
        (['--answers', nowhere], 'nowhere: no such file'),
        (['--answers', tmp_path / 'twice'], 'is answered twice'),
        (['--answers', tmp_path / 'prompt'], 'asked about with other boxes or words'),
        (['--answers', tmp_path / 'image'], 'is no image with boxes to ask about'),
        (['--answers', tmp_path / 'key'], "key: line 2: 'answer' is missing"),
        (['--answers', tmp_path / 'first'], "first: line 1: 'file_name' is missing"),
        (['--answers', tmp_path / 'text'], 'should be texts'),
        (['--answers', tmp_path / 'json'], 'json: line 1'),
    ]
    for more, message in cases:
        assert main(command(task, tmp_path / 'out', *more)) == 2, more
        said = capsys.readouterr().err
        assert message in said and said.count('\n') == 1, said
    for request in ('no json', '[]', '{"stream": true}'):
        with pytest.raises(SystemExit):
            main(command(task, tmp_path / 'out', *full, '--request', request))
    assert not server.requests
    assert not (tmp_path / 'out' / 'answers.jsonl').exists()


def test_another_model_does_not_go_on_with_the_answers_of_the_first(
    task: Task, server: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = command(task, tmp_path / 'out', *asking(task, server))
    assert main(arguments) == 0
    asked = len(server.requests)
    assert main([*arguments, '--llm', 'another-model']) == 2
    assert "was begun with llm 'some-model', not 'another-model'" in capsys.readouterr().err
    assert len(server.requests) == asked


def test_answers_to_another_prompt_are_not_gone_on_with(
    task: Task, server: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nor are those of the same images with other boxes."""
    arguments = command(task, tmp_path / 'out', *asking(task, server))
    assert main(arguments) == 0
    content = json.loads(task.annotations.read_text())
    content['annotation'][1]['boxes_h'][0][2] += 40
    task.annotations.write_text(json.dumps(content))
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert f"answers.jsonl: '{task.images[1].file_name}' was asked about with other boxes" in said
    assert len(server.requests) == 16


def test_a_picture_of_another_size_has_no_answer(
    task: Task, server: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pillow = pytest.importorskip('PIL.Image')
    pillow.new('RGB', (64, 48)).save(task.pictures / task.images[2].file_name)
    (task.pictures / task.images[3].file_name).write_bytes(b'no picture')
    assert main(command(task, tmp_path / 'out', *asking(task, server))) == 0
    said = capsys.readouterr().err
    assert '64 x 48' in said and 'no readable picture' in said
    assert figures(tmp_path / 'out')['answers'] == len(server.requests) == 14


@pytest.mark.slow
def test_what_true_answers_reach_on_the_real_test_set(shared: Path) -> None:
    """Nearly everything: merging the annotated boxes costs under half a percent."""
    images = read_hico_det(shared / 'data/hicodet/instances_test2015.coco80.json.gz')
    boxes = ground_truth_boxes(images)
    questions = make_questions(images, boxes, VOCABULARY, select=False)
    assert (len(images), len(questions)) == (9658, 9505)
    answers = {
        q.file_name: json.dumps(true_answer(images[q.image], q.detections)) for q in questions
    }
    verdict = judge(images, questions, answers, VOCABULARY)
    assert verdict.flawless == len(questions)
    assert 0.995 < verdict.figures['mf1'] < 1
    assert 0.995 < verdict.figures['mf1_rare'] < 1
    assert verdict.figures['mprec'] > 0.999
