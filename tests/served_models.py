"""Servers of other projects, started as their users start them, and stopped."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import requests

from qrag_tasks.engines.base import GenerationRequest
from qrag_tasks.engines.server.engine import ServerEngine

TEXTS = ("the kettle and the pot", "a review of the kettle", "It cost 12.50!", "Zoë — très bon")
_PATIENCE = 300.0


@contextmanager
def served(
    command: Callable[[int], Sequence[str]], folder: Path, environment: Mapping[str, str]
) -> Iterator[str]:
    """Start a server, and give its ``base_url`` once it lists its models.

    :param command: port -> arguments of Python.
    :param folder: for its log.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = folder / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, *command(port)],
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    url = f"http://127.0.0.1:{port}/v1"
    try:
        _wait_for(url, process, log)
        yield url
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end and process.poll() is None:
        try:
            if requests.get(f"{url}/models", timeout=5).ok:
                return
        except requests.ConnectionError:
            pass
        time.sleep(0.5)
    raise AssertionError(f"it did not start: {log.read_text(errors='replace')[-3000:]}")


def texts_of(engine: ServerEngine, longest: int = 6) -> list[str]:
    """Return the answers to some texts, as text, however they came."""
    asked = [
        GenerationRequest(text, engine.tokenizer(text)["input_ids"], longest) for text in TEXTS
    ]
    answers: dict[int, str] = {}
    for place, each in _answers(engine, asked).items():
        text = each if isinstance(each, str) else engine.tokenizer.decode(each)
        answers[place] = str(text)
    return [answers[place] for place in range(len(asked))]


def _answers(engine: ServerEngine, asked: Sequence[GenerationRequest]) -> dict[int, object]:
    answers: dict[int, object] = {}
    engine.generate(asked, lambda batch, _cost: answers.update(batch))
    return answers
