"""A server that runs the tiny model, and the engine that asks it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="the hf extra is not installed")
from model_server import ModelServer

from qrag_tasks.arms.devices import checked_device
from qrag_tasks.engines.server import connection
from qrag_tasks.engines.server.engine import ServerEngine
from qrag_tasks.metering.meter import Meter
from qrag_tasks.registry import ENGINES

Load = Callable[..., ServerEngine]


@pytest.fixture
def server(tiny_model: Path) -> Iterator[ModelServer]:
    with ModelServer(tiny_model) as server:
        yield server


@pytest.fixture
def load(server: ModelServer, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Load the engine, with further model arguments; it does not wait long."""
    monkeypatch.setattr(connection, "FIRST_WAIT", 0.02)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)

    def load(**arguments: Any) -> ServerEngine:
        given = {
            "base_url": server.url,
            "tokenizer": str(tiny_model),
            "precision": "fp32",
            "max_length": 1024,
            **arguments,
        }
        factory = ENGINES.get("server").value
        engine = factory.load(given, Meter(checked_device("cpu")))
        assert isinstance(engine, ServerEngine)
        return engine

    return load
