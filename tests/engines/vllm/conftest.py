"""A tiny model that vLLM's kernels take, on a CPU and on a GPU."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from random_models import save_random_model
from warm_python import WarmPython


@pytest.fixture(scope="session", autouse=True)
def no_garbage_is_collected_as_python_ends() -> Iterator[None]:
    """As Python ends, vLLM closes every engine that there was, and collects garbage for each."""
    yield
    if (state := sys.modules.get("vllm.distributed.parallel_state")) is not None:
        state.gc = SimpleNamespace(collect=int, unfreeze=int)


@pytest.fixture(scope="session")
def vllm_model(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model in sizes that all kernels of vLLM have; window 1024."""
    import torch

    return save_random_model(
        "Llama",
        tiny_model,
        tmp_path_factory.mktemp("models") / "tiny-llama-of-64",
        seed=0,
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        dtype=torch.bfloat16,
    )


IMPORTED = (
    *("torch", "transformers.models.auto.modeling_auto", "vllm.entrypoints.llm"),
    *("vllm.v1.engine.llm_engine", "vllm.v1.executor.multiproc_executor"),
    *("vllm.v1.worker.cpu_worker", "vllm.model_executor.models.llama"),
    "qrag_tasks.engines.vllm.loading",
)
"""What a process that runs vLLM finds imported, which takes eight seconds or so."""


@pytest.fixture(scope="session")
def warm_vllm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WarmPython]:
    """Runs commands of Python in processes that have imported vLLM already; on a CPU alone."""
    from vllm_models import DEVICE

    from qrag_tasks.engines.vllm import environment

    assert DEVICE == "cpu"
    environment.prepare(invariant=False)
    warm = WarmPython(tmp_path_factory.mktemp("warm"), IMPORTED)
    yield warm
    warm.close()


@pytest.fixture
def run_python(
    request: pytest.FixtureRequest,
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run code of Python, which uses vLLM, in a process of its own.

    On a GPU it imports vLLM itself: what holds for a process is then set before.
    """
    from vllm_models import DEVICE

    def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, **environment}
        if DEVICE == "cpu":
            warm: WarmPython = request.getfixturevalue("warm_vllm")
            return warm.run(["-c", code], env)
        return subprocess.run(
            [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False
        )

    return run


@pytest.fixture
def warm_replicas(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Replicas are processes that have imported vLLM already; on a CPU alone."""
    from vllm_models import DEVICE

    from qrag_tasks.engines.vllm import replicas

    if DEVICE == "cpu":
        warm = SimpleNamespace(**vars(subprocess))
        warm.Popen = request.getfixturevalue("warm_vllm").popen
        monkeypatch.setattr(replicas, "subprocess", warm)
