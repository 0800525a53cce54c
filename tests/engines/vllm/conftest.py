"""A tiny model that vLLM's kernels take, on a CPU and on a GPU."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

# Its warnings of what a CPU is not the fastest at.
os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")

DEVICE = os.environ.get("QRAG_TEST_DEVICE", "cpu")
"""Where these tests run the models: ``cpu``, or ``cuda`` on a machine that has a GPU."""


@pytest.fixture(scope="session")
def vllm_model(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model in sizes that all kernels of vLLM have; window 1024."""
    import torch
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny_model)
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=1024,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
    )
    folder = tmp_path_factory.mktemp("models") / "tiny-llama-of-64"
    transformers.LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def vllm_arguments(vllm_model: Path) -> Mapping[str, Any]:
    """Model arguments with which it starts at once, in little memory."""
    return {
        "pretrained": str(vllm_model),
        "precision": "fp32",
        "device": DEVICE,
        "enforce_eager": True,
        "kv_cache_memory_bytes": 32 << 20,
    }
