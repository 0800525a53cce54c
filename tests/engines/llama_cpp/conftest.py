"""Small models as GGUF files, and what loads them."""

from __future__ import annotations

from pathlib import Path

import pytest
from gguf_models import write_gguf


@pytest.fixture(scope="session")
def tiny_gguf(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model in float32; its rows have 64 and 128 numbers."""
    return write_gguf(tiny_model, tmp_path_factory.mktemp("gguf") / "tiny.gguf")


@pytest.fixture(scope="session")
def wide_model(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama whose rows can be parted into blocks of 256, with grouped queries; window 1024."""
    import torch
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny_model)
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=256,
        intermediate_size=512,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=1024,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = transformers.LlamaForCausalLM(config)
    folder = tmp_path_factory.mktemp("models") / "wide-llama"
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def wide_gguf(wide_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That model in float32, of which llama.cpp makes mixtures."""
    return write_gguf(wide_model, tmp_path_factory.mktemp("gguf") / "wide.gguf")


@pytest.fixture(scope="session")
def qwen_model(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Qwen2, whose attention has biases and turns halves of a head; window 1024."""
    import torch
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny_model)
    config = transformers.Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        model = transformers.Qwen2ForCausalLM(config)
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                torch.nn.init.normal_(parameter, std=0.1)
    folder = tmp_path_factory.mktemp("models") / "tiny-qwen"
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
