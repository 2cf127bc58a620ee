"""One question to a server that speaks OpenAI's chat completions: retried, and bounded in time."""

from __future__ import annotations

import http.client
import json
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from email.message import Message
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from urllib.request import HTTPHandler, HTTPSHandler, OpenerDirector, ProxyHandler, Request

ENDPOINT = '/chat/completions'
LONGEST_WAIT = 120.0  # seconds between two attempts, whatever the server asks for
_MOST_BYTES = 8 << 20  # of a reply
_HOPELESS = {401: 'the key', 402: 'the account', 404: 'the address or the model'}
_PASSING = {408, 409, 425, 429}  # and every 5xx


class NoAnswer(Exception):
    """One question has no answer: it was refused, or every attempt failed."""


class _AttemptFailed(Exception):
    """It may go better the next time, after `wait` seconds at the earliest."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


@dataclass(frozen=True)
class ChatClient:
    """A model behind a URL; may be used by many threads.

    It talks to this address only (through the proxy that the environment names, if any), and
    follows no redirection, which would carry the key elsewhere. The key stands in no message.

    Attributes:
        url: 'https://host/v1', or the whole address of the endpoint.
        model: its name on the server.
        key: sent as a bearer token; None for a server that wants none.
        request: more fields of the request, e.g. {'temperature': 0}; none by default, for which
            ones are allowed depends on the model.
        timeout: seconds that an attempt may wait for each sign of the server until the reply's
            headers are there, and then for the whole content.
        retries: attempts after the first one.
        first_wait: seconds before the second attempt; doubled each time, up to `LONGEST_WAIT`.

    Raises:
        ValueError: the URL or the key cannot be one.
    """

    url: str
    model: str
    key: str | None = field(default=None, repr=False)
    request: Mapping[str, Any] = field(default_factory=dict)
    timeout: float = 300.0
    retries: int = 5
    first_wait: float = 1.0

    def __post_init__(self) -> None:
        # What is wrong is not repeated: it may hold a key.
        if not _is_address(self.url):
            raise ValueError('the URL is no address of a server, expected e.g. https://host/v1')
        parts = urlsplit(self.url)
        if parts.username is not None or parts.password is not None:
            raise ValueError('the URL holds a user or password: give a key by the environment')
        if self.key is not None and not (self.key.isascii() and self.key.isprintable()):
            raise ValueError('the key holds characters that no key has')

    def ask(self, content: Sequence[Mapping[str, Any]]) -> str:
        """The model's answer to a user's message, '' if it says nothing.

        Args:
            content: the parts of the message, {'type': 'text', 'text': ...} and so on.

        Raises:
            NoAnswer: there is none.
            ConnectionError: no other question will be answered either: a wrong key, address or
                model, or a redirection.
        """
        message = {'role': 'user', 'content': list(content)}
        body = json.dumps({'model': self.model, 'messages': [message], **self.request}).encode()
        attempts = 0
        while True:
            try:
                return self._attempt(body)
            except _AttemptFailed as failed:
                attempts += 1
                if attempts > self.retries:
                    raise NoAnswer(f'{failed}, {attempts} times') from None
                usual = self.first_wait * 2 ** (attempts - 1) * random.uniform(1.0, 1.5)
                time.sleep(min(max(usual, failed.wait), LONGEST_WAIT))

    def _attempt(self, body: bytes) -> str:
        status, headers, content = self._send(body)
        if status == 200:
            return self._text(content)
        said = f'HTTP {status}{self._reason(content)}'
        if 300 <= status < 400:
            raise ConnectionError(f'{self._address()} sends us elsewhere ({said}): name that URL')
        if status in _HOPELESS:
            raise ConnectionError(f'{self._address()} refuses {_HOPELESS[status]}: {said}')
        if status in _PASSING or status >= 500:
            raise _AttemptFailed(said, _asked_wait(headers))
        raise NoAnswer(f'the request was refused: {said}')

    def _send(self, body: bytes) -> tuple[int, Message, bytes]:
        """Status, headers and content of a reply."""
        headers = {'Content-Type': 'application/json', 'User-Agent': 'link_hoi'}
        if self.key is not None:
            headers['Authorization'] = f'Bearer {self.key}'
        request = Request(self._endpoint(), body, headers)
        content = bytearray()
        try:
            with _opener().open(request, timeout=self.timeout) as reply:
                deadline = time.monotonic() + self.timeout
                while chunk := reply.read1(1 << 16):
                    content += chunk
                    if time.monotonic() > deadline:  # one that drips never makes the socket wait
                        raise TimeoutError('timed out')
                    if len(content) > _MOST_BYTES:
                        raise NoAnswer(f'the reply has more than {_MOST_BYTES >> 20} MiB')
                return reply.status, reply.headers, bytes(content)
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, 'reason', None) or error
            raise _AttemptFailed(
                f'{self._address()}: {str(reason) or type(reason).__name__}'
            ) from None

    def _endpoint(self) -> str:
        parts = urlsplit(self.url)
        path = parts.path.rstrip('/')
        if not path.endswith(ENDPOINT):
            path = (path or '/v1') + ENDPOINT
        return urlunsplit(parts._replace(path=path, fragment=''))

    def _address(self) -> str:
        """The URL without its query, in which some services have a key."""
        return urlunsplit(urlsplit(self._endpoint())._replace(query=''))

    def _text(self, content: bytes) -> str:
        """The text of a chat completion; '' of a refusal, or an answer without text."""
        try:
            said = json.loads(content)['choices'][0]['message'].get('content')
        except (ValueError, RecursionError, LookupError, TypeError, AttributeError):
            reason = self._reason(content)
            raise _AttemptFailed(f'the reply is no chat completion{reason}') from None
        if isinstance(said, list):  # of parts
            said = ''.join(str(part.get('text') or '') for part in said if isinstance(part, dict))
        return self._without_key(said) if isinstance(said, str) else ''

    def _reason(self, content: bytes) -> str:
        """What the server says of an error, on one line: ' (...)', or nothing."""
        try:
            error = json.loads(content)['error']
            text = str(error['message'] if isinstance(error, dict) else error)
        except (ValueError, RecursionError, LookupError, TypeError):
            text = content.decode(errors='replace')
        text = ''.join(c if c.isprintable() else ' ' for c in self._without_key(text))
        text = ' '.join(text.split())[:200]
        return f' ({text})' if text else ''

    def _without_key(self, text: str) -> str:
        """What a server says, should it repeat the key; a short one is none ('EMPTY', '0')."""
        secret = self.key is not None and len(self.key) >= 8
        return text.replace(self.key, '[key]') if secret else text


def _is_address(url: str) -> bool:
    """Whether a request can be sent there."""
    if not url.isascii() or not url.isprintable() or ' ' in url:
        return False
    try:
        parts = urlsplit(url)
        return parts.scheme in ('http', 'https') and bool(parts.hostname) and parts.port != 0
    except ValueError:  # of the host or the port
        return False


def _opener() -> OpenerDirector:
    """Opens http and https, gives replies of any status, and follows no redirection."""
    opener = OpenerDirector()
    for handler in (ProxyHandler(), HTTPHandler(), HTTPSHandler()):
        opener.add_handler(handler)
    return opener


def _asked_wait(headers: Message) -> float:
    """Seconds of Retry-After, which is a number or a date; 0 without."""
    value = headers.get('Retry-After', '')
    try:
        return float(value)
    except ValueError:
        pass
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return 0.0
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    return (moment - datetime.now(timezone.utc)).total_seconds()
