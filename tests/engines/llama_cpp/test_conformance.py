"""llama.cpp keeps the contract of an engine, on a Llama that computes in 32 bits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the hf extra is not installed")
llama_cpp = pytest.importorskip("llama_cpp", reason="the llama-cpp extra is not installed")
from reference_model import next_log_probabilities  # noqa: E402

from qrag_tasks.engines.base import Engine  # noqa: E402
from qrag_tasks.testing.engines import EngineConformance  # noqa: E402


class TestLlamaCpp(EngineConformance):
    name = "llama_cpp"
    test_memory_runs_out = None  # type: ignore[assignment] # it has no batches that could be split

    @pytest.fixture
    def arguments(self, tiny_gguf: Path) -> Mapping[str, Any]:
        return {"pretrained": str(tiny_gguf), "precision": "gguf-f32", "device": "cpu"}

    @pytest.fixture
    def reference(self, tiny_model: Path) -> Callable[[Sequence[int]], Sequence[float]]:
        return next_log_probabilities(tiny_model)

    @pytest.fixture
    def short_of_memory(self, monkeypatch: pytest.MonkeyPatch) -> Any:
        @contextmanager
        def limited(engine: Engine, tokens: int) -> Iterator[None]:
            decode = llama_cpp.llama_decode

            def checked(context: Any, batch: Any) -> int:
                too_many = batch.pos[0] + batch.n_tokens > tokens
                return -2 if too_many else decode(context, batch)

            with monkeypatch.context() as patch:
                patch.setattr(llama_cpp, "llama_decode", checked)
                yield

        return limited


class TestDeterministic(TestLlamaCpp):
    @pytest.fixture
    def arguments(self, tiny_gguf: Path) -> Mapping[str, Any]:
        return {"pretrained": str(tiny_gguf), "deterministic": True, "n_ubatch": 8}
