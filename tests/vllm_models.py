"""What the tests of ``engine=vllm`` share; a module that imports it is skipped without vLLM."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the hf extra is not installed")
if importlib.util.find_spec("vllm") is None:
    pytest.skip("vllm is not installed", allow_module_level=True)

from qrag_tasks.arms.devices import checked_device  # noqa: E402
from qrag_tasks.engines.base import Engine  # noqa: E402
from qrag_tasks.metering.meter import Meter  # noqa: E402
from qrag_tasks.registry import ENGINES  # noqa: E402

DEVICE = os.environ.get("QRAG_TEST_DEVICE", "cpu")
"""Where these tests run the models: ``cpu``, or ``cuda`` on a machine that has a GPU."""

# It warns of what is not the fastest on a CPU, and compiles there for half a minute.
os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
os.environ.setdefault("TORCH_COMPILE_DISABLE", "1")


def small_arguments(folder: Path, **changes: Any) -> Mapping[str, Any]:
    """Return model arguments with which vLLM starts at once, in little memory."""
    return {
        "pretrained": str(folder),
        "precision": "fp32",
        "device": DEVICE,
        "enforce_eager": True,
        "kv_cache_memory_bytes": 32 << 20,
        # Of a card that others may be using; on a CPU it is a share of something else.
        **({"gpu_memory_utilization": 0.02} if DEVICE == "cuda" else {}),
        **changes,
    }


def load(folder: Path, **changes: Any) -> tuple[Engine, Meter]:
    """Load a model with :func:`small_arguments`."""
    meter = Meter(checked_device(DEVICE))
    return ENGINES.get("vllm").value.load(small_arguments(folder, **changes), meter), meter
