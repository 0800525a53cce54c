"""A tiny model that vLLM's kernels take, on a CPU and on a GPU."""

from __future__ import annotations

from pathlib import Path

import pytest
from random_models import save_random_model


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
