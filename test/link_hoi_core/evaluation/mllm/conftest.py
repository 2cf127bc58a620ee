"""A server of chat completions on this machine, and boxes to ask about."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest

from link_hoi_core.structures import Detections


@dataclass
class Reply:
    """What the server says: a completion with `text`, unless `body` is given."""

    text: Any = ''
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    drip: float = 0.0  # seconds between its bytes
    after: float = 0.0  # seconds before it says anything


@dataclass
class Server:
    """Attributes: `requests`, (path, headers, JSON) of each; `reply`, told the number and JSON."""

    url: str
    requests: list[tuple[str, dict[str, str], dict[str, Any]]]
    reply: Callable[[int, dict[str, Any]], Reply]
    times: list[float]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv('no_proxy', '127.0.0.1,localhost')
    state = Server('', [], lambda number, request: Reply(), [])
    closing, counting = threading.Event(), threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers['Content-Length'])))
            with counting:
                state.times.append(time.monotonic())
                state.requests.append((self.path, dict(self.headers), request))
                number = len(state.requests)
            reply = state.reply(number, request)
            closing.wait(reply.after)
            body = reply.body
            if body is None:
                choice = {'message': {'role': 'assistant', 'content': reply.text}}
                body = json.dumps({'choices': [choice]}).encode()
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header('Content-Length', str(len(body)))
            self.end_headers()
            size = 1 if reply.drip else max(len(body), 1)
            for start in range(0, len(body), size):
                self.wfile.write(body[start : start + size])
                closing.wait(reply.drip)

        def log_message(self, *_: object) -> None:
            pass

    http = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    http.daemon_threads = True
    http.handle_error = lambda *_: None  # of clients that have left
    state.url = f'http://127.0.0.1:{http.server_port}/v1'
    threading.Thread(target=http.serve_forever, args=(0.02,), daemon=True).start()
    yield state
    closing.set()
    http.shutdown()
    http.server_close()


@pytest.fixture
def reply() -> type[Reply]:
    """What the server's `reply` gives."""
    return Reply


@pytest.fixture
def boxes() -> Detections:
    """Two persons, a bicycle, and a dog."""
    rows = np.array(
        [[10, 20, 110, 220], [300, 30, 380, 230], [0, 100, 150, 300], [400, 300, 500, 400]]
    )
    return Detections(rows, np.ones(4), np.array([0, 0, 1, 16]), (480, 640))
