"""The engine keeps the contract of engines, on a tiny model in 32 bits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from reference_model import next_log_probabilities
from vllm_models import small_arguments

from qrag_tasks.testing.engines import EngineConformance


class TestVllm(EngineConformance):
    name = "vllm"
    # vLLM takes its memory when it starts: no batch is too large for it.
    test_memory_runs_out = None  # type: ignore[assignment]
    test_memory_runs_out_with_a_single_request = None  # type: ignore[assignment]

    @pytest.fixture
    def arguments(self, vllm_model: Path) -> Mapping[str, Any]:
        return small_arguments(vllm_model)

    @pytest.fixture
    def reference(self, vllm_model: Path) -> Callable[[Sequence[int]], Sequence[float]]:
        return next_log_probabilities(vllm_model)
