"""One question to a real server on this machine: retries, limits, and what is kept secret."""

from __future__ import annotations

import json
import socket
import time
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any

import pytest

from link_hoi_core.evaluation.mllm.client import ChatClient, NoAnswer

KEY = 'sk-secret-of-the-user'
HELLO = [{'type': 'text', 'text': 'Hello?'}]


def client(server: Any, **options: Any) -> ChatClient:
    given = {'key': KEY, 'timeout': 10.0, 'retries': 3, 'first_wait': 0.01} | options
    return ChatClient(given.pop('url', server.url), 'some-model', **given)


def replies(reply_type: type, *fields: dict[str, Any]) -> Any:
    """The replies in turn, the last one from then on."""
    return lambda number, _: reply_type(**fields[min(number, len(fields)) - 1])


def test_request(server: Any, reply: type) -> None:
    server.reply = replies(reply, {'text': 'Hello.'})
    assert client(server, request={'temperature': 0}).ask(HELLO) == 'Hello.'
    ((path, headers, request),) = server.requests
    assert path == '/v1/chat/completions'
    assert headers['Authorization'] == f'Bearer {KEY}'
    assert request == {
        'model': 'some-model',
        'messages': [{'role': 'user', 'content': HELLO}],
        'temperature': 0,
    }
    assert client(server, key=None).ask(HELLO) == 'Hello.'
    assert 'Authorization' not in server.requests[1][1]


@pytest.mark.parametrize(
    ('url', 'path'),
    [
        ('{root}', '/v1/chat/completions'),
        ('{root}/', '/v1/chat/completions'),
        ('{root}/openai/v1/', '/openai/v1/chat/completions'),
        ('{root}/v1/chat/completions', '/v1/chat/completions'),
        ('{root}/d/m?api-version=7', '/d/m/chat/completions?api-version=7'),
    ],
)
def test_address(server: Any, url: str, path: str) -> None:
    client(server, url=url.format(root=server.url.removesuffix('/v1'))).ask(HELLO)
    assert server.requests[0][0] == path


@pytest.mark.parametrize(
    ('said', 'text'),
    [
        ('Yes.', 'Yes.'),
        (None, ''),
        (
            [{'type': 'text', 'text': 'Y'}, {'type': 'image'}, {'type': 'text', 'text': 'es.'}],
            'Yes.',
        ),
        (f'You sent {KEY}.', 'You sent [key].'),
    ],
)
def test_text_of_an_answer(server: Any, reply: type, said: Any, text: str) -> None:
    server.reply = replies(reply, {'text': said})
    assert client(server).ask(HELLO) == text


@pytest.mark.parametrize('status', [408, 429, 500, 502, 503, 529])
def test_passing_faults_are_tried_again(server: Any, reply: type, status: int) -> None:
    fault = {'status': status, 'body': b'{"error": {"message": "slow\\u001b\\n \\ud800down"}}'}
    server.reply = replies(reply, fault, fault, {'text': 'At last.'})
    assert client(server).ask(HELLO) == 'At last.'
    server.reply = replies(reply, fault)
    with pytest.raises(NoAnswer, match=rf'HTTP {status} \(slow down\), 4 times'):
        client(server).ask(HELLO)
    assert len(server.requests) == 3 + 4


@pytest.mark.parametrize('status', [429, 500])
@pytest.mark.parametrize('as_date', [False, True])
def test_the_server_says_how_long_to_wait(
    server: Any, reply: type, status: int, as_date: bool
) -> None:
    def answer(number: int, _: dict[str, Any]) -> Any:
        if number > 1:
            return reply('Yes.')
        soon = datetime.now(timezone.utc) + timedelta(seconds=3)  # a date has whole seconds only
        wait = format_datetime(soon, usegmt=True) if as_date else '1'
        return reply(status=status, headers={'Retry-After': wait})

    server.reply = answer
    assert client(server).ask(HELLO) == 'Yes.'
    assert server.times[1] - server.times[0] >= 1.0


@pytest.mark.parametrize(
    'wait', ['soon', '', 'nan', '-5', '1e999', 'Mon, 01 Jan 99999999999 00:00:00 GMT']
)
def test_nonsense_about_waiting_is_bounded(
    server: Any, reply: type, wait: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr('link_hoi_core.evaluation.mllm.client.LONGEST_WAIT', 0.1)
    server.reply = replies(reply, {'status': 429, 'headers': {'Retry-After': wait}}, {'text': 'Y'})
    assert client(server).ask(HELLO) == 'Y'


@pytest.mark.parametrize(
    'body',
    [
        b'',
        b'<html>proxy</html>',
        b'{"choices": []}',
        b'{"choices": null}',
        b'[1]',
        b'{"error": {"message": "no GPU"}}',
        b'[' * 100_000,
    ],
)
def test_replies_that_are_no_completion_are_tried_again(
    server: Any, reply: type, body: bytes
) -> None:
    server.reply = replies(reply, {'body': body}, {'text': 'Yes.'})
    assert client(server).ask(HELLO) == 'Yes.'
    server.reply = replies(reply, {'body': body})
    with pytest.raises(NoAnswer, match='no chat completion.*1 times'):
        client(server, retries=0).ask(HELLO)


def test_a_hanging_request_ends(server: Any, reply: type) -> None:
    server.reply = replies(reply, {'after': 30.0})
    start = time.monotonic()
    with pytest.raises(NoAnswer, match='timed out, 2 times'):
        client(server, timeout=0.2, retries=1).ask(HELLO)
    assert time.monotonic() - start < 10


def test_a_dripping_reply_ends(server: Any, reply: type) -> None:
    server.reply = replies(reply, {'text': 'x' * 1000, 'drip': 0.05})
    start = time.monotonic()
    with pytest.raises(NoAnswer, match='timed out'):
        client(server, timeout=0.5, retries=0).ask(HELLO)
    assert time.monotonic() - start < 10


def test_a_reply_without_end_ends(
    server: Any, reply: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr('link_hoi_core.evaluation.mllm.client._MOST_BYTES', 1 << 20)
    server.reply = replies(reply, {'text': 'x' * (2 << 20)})
    with pytest.raises(NoAnswer, match='more than 1 MiB'):
        client(server).ask(HELLO)
    assert len(server.requests) == 1


def test_nobody_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('no_proxy', '127.0.0.1,localhost')
    with socket.socket() as unused:
        unused.bind(('127.0.0.1', 0))  # and does not listen
        url = f'http://127.0.0.1:{unused.getsockname()[1]}/v1?key=abc'
        with pytest.raises(NoAnswer, match='refused, 2 times') as failed:
            ChatClient(url, 'some-model', retries=1, first_wait=0.01).ask(HELLO)
    assert 'abc' not in str(failed.value)


@pytest.mark.parametrize(
    ('status', 'error'),
    [
        *((status, NoAnswer) for status in (400, 403, 413)),
        *((status, ConnectionError) for status in (401, 402, 404)),
    ],
)
def test_refusals_are_not_tried_again_and_hide_the_key(
    server: Any, reply: type, status: int, error: type
) -> None:
    message = 'x' * 190 + KEY  # what is cut off must not leave half of it
    body = json.dumps({'error': {'message': message}}).replace('-', '\\u002d').encode()
    server.reply = replies(reply, {'status': status, 'body': body})
    with pytest.raises(error, match=f'HTTP {status}') as failed:
        client(server).ask(HELLO)
    assert len(server.requests) == 1
    assert 'sk-' not in str(failed.value)


@pytest.mark.parametrize('status', [301, 302, 307, 308])
def test_no_redirection_is_followed(server: Any, reply: type, status: int) -> None:
    server.reply = replies(
        reply, {'status': status, 'headers': {'Location': f'{server.url}/elsewhere'}}
    )
    with pytest.raises(ConnectionError, match='sends us elsewhere'):
        client(server).ask(HELLO)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    'url',
    [
        *('localhost:8000/v1', 'file:///etc/passwd', 'ftp://host/v1', 'https://', ''),
        *('http://a b/v1', 'http://host/v1\n', 'http://höst/v1', 'http://host/v1\x7f'),
        *('http://host:port/v1', 'http://host:70000/v1', 'http://[::1/v1'),
    ],
)
def test_other_addresses_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match='no address of a server'):
        ChatClient(url, 'some-model')


def test_secrets_stand_nowhere() -> None:
    assert KEY not in repr(ChatClient('https://host/v1', 'some-model', KEY))
    with pytest.raises(ValueError, match='user or password') as failed:
        ChatClient('https://me:sesame@host/v1', 'some-model')
    assert 'sesame' not in str(failed.value)
    with pytest.raises(ValueError, match='no key has') as failed:
        ChatClient('https://host/v1', 'some-model', f'{KEY}\r\nX: y')
    assert KEY not in str(failed.value)
