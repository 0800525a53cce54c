"""A web server on this machine that misbehaves as a test tells it to."""

from __future__ import annotations

import re
import socket
import struct
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

NO_LENGTH = -1


@dataclass(frozen=True)
class Answer:
    """What the server does with one request.

    :ivar headers: beside those that follow from the other fields.
    :ivar etag: empty for a server that gives none.
    :ivar ranges: whether it heeds Range.
    :ivar if_range: whether it heeds If-Range, where it heeds Range.
    :ivar content_range: what it says of a part that it sends, if not the truth.
    :ivar announced: the Content-Length that it gives, if not the truth; or ``NO_LENGTH``.
    :ivar send: how many bytes of the body it sends at most, before it does what ``then`` says.
    :ivar then: ``close``, ``reset`` or ``stall``.
    :ivar after: what must happen before the body is sent.
    """

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    etag: str = '"one"'
    ranges: bool = True
    if_range: bool = True
    content_range: str = ""
    announced: int | None = None
    send: int | None = None
    then: str = "close"
    after: threading.Event | None = None


@dataclass(frozen=True)
class Asked:
    """A request that came."""

    method: str
    path: str
    headers: Mapping[str, str]


class BadServer(ThreadingHTTPServer):
    """Answers every path as :meth:`on` was told; others with 404.

    :ivar asked: the requests that came, in order.
    :ivar sizes: path -> what HEAD says of it; for all others, HEAD is refused.
    """

    daemon_threads = False  # joined at the end: no thread outlives its test

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[Asked] = []
        self.sizes: dict[str, int] = {}
        self.ending = threading.Event()
        self._answers: dict[str, list[Answer]] = {}
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.server_port}"

    def on(self, path: str, *answers: Answer) -> None:
        """Answer requests for ``path`` with these, one after the other, the last for ever."""
        self._answers[path] = list(answers)

    def gets(self, path: str = "") -> list[Asked]:
        """Return the GET requests that came, of all paths or of one."""
        return [a for a in self.asked if a.method == "GET" and path in ("", a.path)]

    def ranges(self, path: str) -> list[str | None]:
        """Return the Range header of every GET request for ``path``."""
        return [asked.headers.get("Range") for asked in self.gets(path)]

    def take(self, asked: Asked) -> Answer:
        """Note the request, and return what to do."""
        with self._lock:
            self.asked.append(asked)
            if asked.method == "HEAD":
                size = self.sizes.get(asked.path)
                return Answer(status=405) if size is None else Answer(announced=size)
            answers = self._answers.get(asked.path, [Answer(status=404)])
            return answers.pop(0) if len(answers) > 1 else answers[0]

    def __enter__(self) -> BadServer:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.ending.set()
        self.shutdown()
        self._thread.join()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Pass over clients that hang up: they may."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: BadServer

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def _answer(self) -> None:
        answer = self.server.take(Asked(self.command, self.path, dict(self.headers)))
        status, body, headers = answer.status, answer.body, dict(answer.headers)
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        same = self.headers.get("If-Range") in (None, answer.etag, headers.get("Last-Modified"))
        if status == 200 and asked and answer.ranges and (same or not answer.if_range):
            start, end = int(asked[1]), len(body)
            status = 206 if start < end else 416
            message = f"bytes {start}-{end - 1}/{end}" if start < end else f"bytes */{end}"
            headers["Content-Range"] = answer.content_range or message
            body = body[start:] if start < end else b""
        if answer.etag:
            headers["ETag"] = answer.etag
        if answer.announced != NO_LENGTH:
            length = len(body) if answer.announced is None else answer.announced
            headers["Content-Length"] = str(length)
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command == "HEAD":
            return
        if answer.after:
            answer.after.wait(20)
        self.wfile.write(body[: answer.send])
        if answer.then == "stall":
            self.server.ending.wait(20)
        elif answer.then == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        """Say nothing."""
