"""All questions to a server, several at a time; what is answered is kept in a file."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from link_hoi_core.data.annotated_image import named
from link_hoi_core.data.image_folder import ImageFolder
from link_hoi_core.data.journal import Journal
from link_hoi_core.evaluation.mllm.client import ChatClient, NoAnswer
from link_hoi_core.evaluation.mllm.protocol import Question
from link_hoi_core.progress import progress

_ENTRY = {'file_name', 'answer'}  # keys of a recorded answer


def ask_all(
    client: ChatClient,
    questions: Sequence[Question],
    folder: ImageFolder,
    journal: Journal,
    at_once: int,
    most_failures: int,
) -> dict[str, str]:
    """Ask, and enter each answer in the journal as it comes.

    Args:
        questions: without those that the journal has an answer to.
        folder: the pictures.
        at_once: questions that are under way at the same time.
        most_failures: so many may stay without an answer.

    Returns:
        why there is no answer, by file name.

    Raises:
        ValueError: there were too many failures; what was answered is kept.
        FileNotFoundError: a picture is not there; nothing was asked then.
        ConnectionError: the server refuses every question.
    """
    for question in questions:
        folder.path(question.file_name)
    failures: dict[str, str] = {}

    def ask(question: Question) -> str:
        try:
            content = question.content(folder.read(question.file_name))
        except ValueError as error:  # a broken picture, or one of another size than its boxes say
            raise NoAnswer(str(error)) from error
        return client.ask(content)

    side_by_side = closing(_side_by_side(ask, questions, at_once))
    with progress('asking', len(questions)) as show, side_by_side as answers:
        for through, (question, answer) in enumerate(answers, start=1):
            name = question.file_name
            if isinstance(answer, NoAnswer):
                failures[name] = str(answer)
            elif isinstance(answer, Exception):
                raise answer
            else:
                entry = {'file_name': name, 'prompt': question.prompt, 'answer': answer}
                journal.append([entry])
            if len(failures) > most_failures:
                raise ValueError(
                    f'{len(failures)} images have no answer, more than --most-failures '
                    f'{most_failures} ({name}: {answer}); the same command goes on from there'
                )
            show(through)
    return failures


def read_answer_file(path: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Settings and entries of recorded answers: a journal's file, or one made by other means.

    Each line is a JSON object with 'file_name' and 'answer', the text that a model gave; a first
    line without them holds the settings.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a line is something else.
    """
    if not path.is_file():
        raise FileNotFoundError(f'{path}: no such file')
    settings: dict[str, Any] = {}
    entries = []
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        with named(f'{path}: line {number}'):
            entry = json.loads(line)
            if number == 1 and isinstance(entry, dict) and not entry.keys() & _ENTRY:
                settings = entry
                continue
            kinds = {type(entry['file_name']), type(entry['answer'])}
            if kinds != {str}:
                raise ValueError("'file_name' and 'answer' should be texts")
            entries.append(entry)
    return settings, entries


def answers_of(
    entries: Iterable[Mapping[str, Any]], questions: Sequence[Question], where: Path
) -> dict[str, str]:
    """The answers by file name.

    Args:
        entries: with 'file_name' and 'answer', and perhaps 'prompt', the digest of the question.
        where: the file that they come from, for messages.

    Raises:
        ValueError: an image is answered twice, is none that is asked about, or was asked about
            with another prompt, that is, with other boxes or by another version.
    """
    prompts = {question.file_name: question.prompt for question in questions}
    answers: dict[str, str] = {}
    for entry in entries:
        name = entry['file_name']
        if name not in prompts:
            raise ValueError(f'{where}: {name!r} is no image with boxes to ask about')
        if name in answers:
            raise ValueError(f'{where}: {name!r} is answered twice')
        if entry.get('prompt', prompts[name]) != prompts[name]:
            raise ValueError(f'{where}: {name!r} was asked about with other boxes or words')
        answers[name] = entry['answer']
    return answers


def _side_by_side(
    ask: Callable[[Question], str], questions: Sequence[Question], at_once: int
) -> Generator[tuple[Question, str | Exception], None, None]:
    """Each question with its answer, or what went wrong, in the order in which they come.

    After anything but a missing answer nothing more is asked. The threads are daemons: whoever
    stops the program need not wait for a slow server.
    """
    todo: queue.SimpleQueue[Question] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[Question, str | Exception]] = queue.SimpleQueue()
    stopped = threading.Event()
    for question in questions:
        todo.put(question)

    def work() -> None:
        while not stopped.is_set():
            try:
                question = todo.get_nowait()
            except queue.Empty:
                return
            try:
                done.put((question, ask(question)))
            except NoAnswer as error:
                done.put((question, error))
            except Exception as error:  # passed on to who waits, who would wait for ever otherwise
                stopped.set()
                done.put((question, error))

    for _ in range(at_once):
        threading.Thread(target=work, daemon=True).start()
    try:
        for _ in questions:
            yield done.get()
    finally:
        stopped.set()
