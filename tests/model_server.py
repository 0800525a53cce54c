"""A web server on this machine that has a real model complete prompts, as OpenAI's does.

It speaks as vLLM does, as a server that takes text alone does, or lies as a test tells it to.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any

VLLM = {"owned_by": "vllm", "root": "/models/tiny", "max_model_len": 1024}


@dataclass(frozen=True)
class Fault:
    """What befalls one request in place of an answer.

    :ivar status: of HTTP; 0 to hang up without a word.
    :ivar sent: how many bytes of a true answer are sent, before it hangs up.
    :ivar pause: seconds before it does so.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""
    sent: int | None = None
    pause: float = 0.0


@cache
def _loaded(folder: Path) -> tuple[Any, Any]:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    return model, AutoTokenizer.from_pretrained(folder)


class ModelServer(ThreadingHTTPServer):
    """Completes prompts.

    :param folder: of a model of transformers, which computes in 32 bits.
    :param port: any that is free by default.
    :ivar entry: of the model list, beside the model's name; ``None`` for a server without a list.
    :ivar pages: path -> the JSON that is there, what makes it, or what befalls those who ask.
    :ivar takes_ids: whether a prompt may be token ids.
    :ivar gives_ids: whether it knows ``return_token_ids`` and ``stop_token_ids``.
    :ivar strict: whether a field that OpenAI's interface does not have is an error.
    :ivar faults: of the next completions, one each, ``None`` for an answer.
    :ivar lie: (answer, request) -> what is sent in place of the answer.
    :ivar read: text -> token ids; the tokenizer's own way by default.
    :ivar asked: the requests for completions that came, in order.
    :ivar keys: the ``Authorization`` of each request of any kind.
    :ivar most: the most requests that were at work at once.
    """

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self, folder: Path, name: str = "tiny", port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.model, self.tokenizer = _loaded(folder)
        self.name = name
        self.entry: Mapping[str, Any] | None = VLLM
        self.pages: dict[str, Any] = {"/version": {"version": "0.24.0"}}
        self.takes_ids = self.gives_ids = True
        self.strict = False
        self.faults: list[Fault | None] = []
        self.lie: Callable[[dict[str, Any], dict[str, Any]], Any] = lambda answer, _: answer
        self.read: Callable[[str], list[int]] = lambda text: self.tokenizer(text)["input_ids"]
        self.slowness = 0.0
        self.asked: list[dict[str, Any]] = []
        self.times: list[float] = []
        self.keys: list[str | None] = []
        self.most = self.working = 0
        self.lock, self.computing = threading.Lock(), threading.Lock()
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def url(self) -> str:
        """Its address, as ``base_url`` has it."""
        return f"http://127.0.0.1:{self.server_port}/v1"

    def __enter__(self) -> ModelServer:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Pass over clients that hang up: they may."""

    # ------------------------------------------------------------------ what it computes
    def complete(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return the answer to a request."""
        prompt = body["prompt"]
        ids = list(prompt) if isinstance(prompt, list) else self.read(prompt)
        ends = {self.tokenizer.eos_token_id, *(body.get("stop_token_ids") or ())}
        with self.computing:
            generated = self._generate(ids, body["max_tokens"], ends, body.get("stop") or [])
        ended = generated[-1] in ends
        text = self.tokenizer.decode(generated, skip_special_tokens=True)
        reason = "stop" if ended else "length"
        for stop in body.get("stop") or []:
            if stop in text:
                text, reason = text.partition(stop)[0], "stop"
        choice = {"index": 0, "text": text, "finish_reason": reason}
        if self.gives_ids and body.get("return_token_ids"):
            choice |= {"token_ids": generated, "prompt_token_ids": ids}
        usage = {"prompt_tokens": len(ids), "completion_tokens": len(generated)}
        return {"model": body.get("model", self.name), "choices": [choice], "usage": usage}

    def _generate(self, ids: list[int], longest: int, ends: set[int], stops: list[str]) -> Any:
        import torch

        generated: list[int] = []
        with torch.inference_mode():
            out = self.model(input_ids=torch.tensor([ids]), use_cache=True)
            while True:
                generated.append(int(out.logits[0, -1].argmax()))
                text = self.tokenizer.decode(generated, skip_special_tokens=True)
                if (
                    len(generated) == longest
                    or generated[-1] in ends
                    or any(stop in text for stop in stops)
                ):
                    return generated
                out = self.model(
                    input_ids=torch.tensor([generated[-1:]]),
                    past_key_values=out.past_key_values,
                    use_cache=True,
                )


_OF_OPENAI = frozenset(
    {
        *("model", "prompt", "max_tokens", "temperature", "stream", "stop", "seed"),
        *("frequency_penalty", "presence_penalty", "logprobs", "top_p", "n"),
    }
)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ModelServer

    def do_GET(self) -> None:
        self.server.keys.append(self.headers.get("Authorization"))
        if self.path == "/v1/models" and self.server.entry is not None:
            self._send(200, {"data": [{"id": self.server.name, **self.server.entry}]})
        elif isinstance(page := self.server.pages.get(self.path), Fault):
            self._send(page.status, page.body, page.headers)
        elif page is not None:
            self._send(200, page() if callable(page) else page)
        else:
            self._send(404, {"detail": "Not Found"})

    def do_POST(self) -> None:
        server = self.server
        server.keys.append(self.headers.get("Authorization"))
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path in server.pages:
            self._send(200, server.pages[self.path])
            return
        if self.path != "/v1/completions":
            self._send(404, {"detail": "Not Found"})
            return
        with server.lock:
            server.asked.append(body)
            server.times.append(time.monotonic())
            fault = server.faults.pop(0) if server.faults else None
            server.working += 1
            server.most = max(server.most, server.working)
        try:
            self._answer(body, fault)
        finally:
            with server.lock:
                server.working -= 1

    def _answer(self, body: dict[str, Any], fault: Fault | None) -> None:
        server = self.server
        time.sleep(server.slowness + (fault.pause if fault else 0.0))
        if fault is not None and (fault.status != 200 or fault.body):
            if fault.status:
                self._send(fault.status, fault.body, fault.headers)
            else:
                self.close_connection = True
            return
        if server.strict and (unknown := body.keys() - _OF_OPENAI):
            message = f"Unrecognized request argument supplied: {min(unknown)}"
            self._send(400, {"error": {"message": message, "type": "invalid_request_error"}})
        elif isinstance(body["prompt"], list) and not server.takes_ids:
            self._send(422, {"detail": [{"msg": "Input should be a valid string"}]})
        elif body.get("model") not in (None, server.name):
            message = f"The model `{body['model']}` does not exist."
            self._send(404, {"error": {"message": message, "code": 404}})
        else:
            answer = server.lie(server.complete(body), body)
            self._send(200, answer, sent=fault.sent if fault else None)

    def _send(
        self,
        status: int,
        body: Any,
        headers: Mapping[str, str] | None = None,
        sent: int | None = None,
    ) -> None:
        data = (body if isinstance(body, str) else json.dumps(body)).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[:sent])
        self.close_connection = self.close_connection or sent is not None

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        """Say nothing."""
