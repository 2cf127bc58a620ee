"""Failures are told once, and do not end anything."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

pytest.importorskip('rclpy', reason='needs ROS 2')

from link_hoi_ros.guard import MAX_WARNINGS, Guard


class Log(list):
    """What a node logs."""

    warning = list.append


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def guard(log: Log) -> Guard:
    context = SimpleNamespace(ok=lambda: True)
    return Guard(SimpleNamespace(get_logger=lambda: log, context=context))


def test_a_sentence_is_told_once_whatever_its_numbers(guard, log):
    for number in range(5):
        guard.warn_once(f'box {number} is not finite')
    guard.warn_once('a score is not finite')
    assert len(log) == 2


def test_a_stream_of_new_sentences_does_not_fill_the_log(guard, log):
    words = (chr(97 + i % 26) * (1 + i // 26) for i in range(5 * MAX_WARNINGS))
    for word in words:
        guard.warn_once(f'class {word!r} is unknown')
    assert len(log) == MAX_WARNINGS


def test_a_failure_is_told_however_much_was_left_out(guard, log):
    for i in range(2 * MAX_WARNINGS):
        guard.warn_once(f'class {chr(0x4E00 + i)} is unknown')

    def fail() -> None:
        raise ValueError('the model has no weights')

    guard.survives(fail)
    assert 'the model has no weights' in log[-1]


def test_what_a_step_raises_is_kept_in_one_line_and_survived(guard, log):
    def fail() -> None:
        raise RuntimeError('no\nmore')

    assert guard.survives(lambda: None)
    assert guard.last_error == ''
    assert not guard.survives(fail)
    assert guard.last_error == 'RuntimeError: no'
    assert 'Traceback' in log[0]
    with pytest.raises(KeyboardInterrupt):
        guard.survives(lambda: (_ for _ in ()).throw(KeyboardInterrupt))
