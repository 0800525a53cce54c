"""Engines keep their contract: the one that is built in, and one of a third party."""

from __future__ import annotations

import functools
import gc
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the hf extra is not installed")
import ngram_engine  # noqa: E402
from plugin_files import InstallPlugin  # noqa: E402
from reference_model import next_log_probabilities  # noqa: E402

from qrag_tasks.engines.base import Engine  # noqa: E402
from qrag_tasks.testing.engines import EngineConformance, Load  # noqa: E402

CODE = Path(ngram_engine.__file__).read_text(encoding="utf-8")


class TestTransformers(EngineConformance):
    name = "transformers"

    @pytest.fixture
    def arguments(self, tiny_model: Path) -> Mapping[str, Any]:
        return {"pretrained": str(tiny_model), "precision": "fp32", "device": "cpu"}

    @pytest.fixture
    def reference(self, tiny_model: Path) -> Callable[[Sequence[int]], Sequence[float]]:
        return next_log_probabilities(tiny_model)

    @pytest.fixture
    def short_of_memory(self, monkeypatch: pytest.MonkeyPatch) -> Any:
        @contextmanager
        def limited(engine: Engine, tokens: int) -> Iterator[None]:
            model = engine.model  # type: ignore[attr-defined]
            generate = model.generate

            def checked(*args: Any, **kwargs: Any) -> Any:
                if kwargs["input_ids"].numel() > tokens:
                    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
                return generate(*args, **kwargs)

            with monkeypatch.context() as patch:
                patch.setattr(model, "generate", checked)
                yield

        return limited


class TestTransformersWithACacheOf4Bits(TestTransformers):
    # What it computes is not what the model does; tests/engines/transformers/test_kv_cache.py has
    # how near it is.
    test_the_tokens_go_in_as_they_are = test_likelihoods_are_the_references = None
    test_readings_are_the_references = None

    @pytest.fixture
    def arguments(self, tiny_model: Path) -> Mapping[str, Any]:
        model = {"pretrained": str(tiny_model), "precision": "fp32", "device": "cpu"}
        return {**model, "kv_cache": "int4"}


class TestTransformersContinuously(TestTransformers):
    @pytest.fixture
    def arguments(self, tiny_model: Path) -> Mapping[str, Any]:
        model = {"pretrained": str(tiny_model), "precision": "fp32", "device": "cpu"}
        return {**model, "batching": "continuous"}

    @pytest.fixture(autouse=True)
    def little_garbage(self) -> Iterator[None]:
        """Transformers has all garbage collected twice a call: of all that torch has imported."""
        gc.freeze()
        yield
        gc.unfreeze()

    @pytest.fixture
    def short_of_memory(self, monkeypatch: pytest.MonkeyPatch) -> Any:
        @contextmanager
        def limited(engine: Engine, tokens: int) -> Iterator[None]:
            model = engine.model  # type: ignore[attr-defined]
            forward = model.forward

            @functools.wraps(forward)
            def checked(*args: Any, **kwargs: Any) -> Any:
                if kwargs["input_ids"].numel() > tokens:
                    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
                return forward(*args, **kwargs)

            with monkeypatch.context() as patch:
                patch.setattr(model, "forward", checked)
                yield

        return limited


class TestNgram(EngineConformance):
    name = "ngram"
    # It has no batches, and no memory to run out of.
    test_memory_runs_out = None  # type: ignore[assignment]
    test_memory_runs_out_with_a_single_request = None  # type: ignore[assignment]

    @pytest.fixture(autouse=True)
    def plugin(self, install: InstallPlugin) -> None:
        install("qrag_ngram", CODE)

    @pytest.fixture
    def arguments(self, tiny_model: Path) -> Mapping[str, Any]:
        return {"tokenizer": str(tiny_model), "device": "cpu"}

    @pytest.fixture
    def reference(self, load: Load) -> Callable[[Sequence[int]], Sequence[float]]:
        engine, _ = load()
        size, prior = len(engine.tokenizer), 0.5

        def logprobs(tokens: Sequence[int]) -> list[float]:
            after = [b for a, b in pairwise(tokens) if a == tokens[-1]]
            shares = [(after.count(token) + prior) for token in range(size)]
            return [math.log(share / sum(shares)) for share in shares]

        return logprobs
