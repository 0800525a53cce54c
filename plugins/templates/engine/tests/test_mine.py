"""``mine``: the contract of an engine, on the small model that is part of qrag-tasks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from qrag_tasks.errors import SettingsError
from qrag_tasks.locations import embedded_model
from qrag_tasks.registry import ENGINES
from qrag_tasks.testing.engines import EngineConformance


class TestConformance(EngineConformance):
    name = "mine"
    # Take this line out for an engine that runs batches, and override `short_of_memory`.
    test_memory_runs_out = test_memory_runs_out_with_a_single_request = None

    @pytest.fixture
    def arguments(self) -> Mapping[str, Any]:
        return {"pretrained": str(embedded_model()), "precision": "fp32", "device": "cpu"}

    # What likelihoods and tokens are compared with: best something that computes the same by
    # other means.
    @pytest.fixture
    def reference(self, load: Callable[[], Any]) -> Callable[[Sequence[int]], Sequence[float]]:
        engine, _ = load()
        return lambda tokens: engine.logprobs(tokens)[-1].tolist()


def test_a_misspelt_argument_is_told_with_those_that_are_known() -> None:
    with pytest.raises(SettingsError, match=r"precison=fp32: unknown .*known: engine, pretrained"):
        ENGINES.get("mine").value.check({"precison": "fp32"})
