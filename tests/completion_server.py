"""A server on this machine that answers as OpenAI's completions do, and keeps what it was sent."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@contextmanager
def completion_server() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Give the address, and the requests that came: ``prompt``, ``max_tokens`` and so on."""
    received: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(404)

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if "prompt" not in asked and "messages" not in asked:
                self.send_error(404)
                return
            received.append(asked)
            answer = {"index": 0, "text": "4", "message": {"content": "4"}}
            body = json.dumps({"choices": [answer]}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None: ...  # noqa: A002

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1/completions", received
    finally:
        server.shutdown()
        server.server_close()
