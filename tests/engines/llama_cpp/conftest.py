"""Small models as GGUF files, and what loads them."""

from __future__ import annotations

from pathlib import Path

import pytest
from gguf_models import write_gguf
from random_models import save_random_model


@pytest.fixture(scope="session")
def tiny_gguf(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model in float32; its rows have 64 and 128 numbers."""
    return write_gguf(tiny_model, tmp_path_factory.mktemp("gguf") / "tiny.gguf")


@pytest.fixture(scope="session")
def wide_model(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama whose rows can be parted into blocks of 256, with grouped queries; window 1024."""
    return save_random_model(
        "Llama",
        tiny_model,
        tmp_path_factory.mktemp("models") / "wide-llama",
        seed=1,
        hidden_size=256,
        intermediate_size=512,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
    )


@pytest.fixture(scope="session")
def wide_gguf(wide_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That model in float32, of which llama.cpp makes mixtures."""
    return write_gguf(wide_model, tmp_path_factory.mktemp("gguf") / "wide.gguf")


@pytest.fixture(scope="session")
def qwen_model(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Qwen2, whose attention has biases and turns halves of a head; window 1024."""
    return save_random_model(
        "Qwen2",
        tiny_model,
        tmp_path_factory.mktemp("models") / "tiny-qwen",
        seed=2,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        tie_word_embeddings=True,
    )
