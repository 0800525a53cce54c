"""The engine keeps the contract of engines, against a server that runs a real model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the hf extra is not installed")
from model_server import ModelServer  # noqa: E402
from server_kit import ServerConformance  # noqa: E402


@pytest.fixture(scope="module")
def server(tiny_model: Path) -> Iterator[ModelServer]:
    with ModelServer(tiny_model) as server:
        yield server


class TestServer(ServerConformance):
    @pytest.fixture
    def arguments(self, server: ModelServer, tiny_model: Path) -> Mapping[str, Any]:
        return {
            "base_url": server.url,
            "tokenizer": str(tiny_model),
            "precision": "fp32",
            "max_length": 1024,
        }

    @pytest.fixture
    def reference(self, server: ModelServer) -> Callable[[Sequence[int]], Sequence[float]]:
        def logprobs(tokens: Sequence[int]) -> list[float]:
            with torch.inference_mode():
                logits = server.model(input_ids=torch.tensor([list(tokens)])).logits[0, -1]
            values: list[float] = torch.log_softmax(logits, dim=-1).tolist()
            return values

        return logprobs
