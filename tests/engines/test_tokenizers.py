"""What an engine needs of a checkpoint that it does not load through transformers."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="the hf extra is not installed")

from qrag_tasks.engines.tokenizers import load_tokenizer, model_text
from qrag_tasks.errors import ModelError


@pytest.mark.parametrize(
    ("tokens", "pad"),
    [
        ({"pad_token": "<|pad|>", "eos_token": "<|end|>"}, "<|pad|>"),
        ({"unk_token": "<|system|>", "eos_token": "<|end|>"}, "<|system|>"),
        ({"eos_token": "<|end|>"}, "<|end|>"),
        ({}, "<|pad|>"),
    ],
)
def test_the_pad_token_is_that_of_lm_eval(
    tokens: dict[str, str], pad: str, tiny_model: Path, tmp_path: Path
) -> None:
    from lm_eval.models.utils import configure_pad_token
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    folder = tmp_path / "model"
    shutil.copytree(tiny_model, folder)
    backend = AutoTokenizer.from_pretrained(tiny_model).backend_tokenizer
    PreTrainedTokenizerFast(tokenizer_object=backend, **tokens).save_pretrained(folder)
    ours, _, _ = load_tokenizer({"pretrained": str(folder)})
    theirs = configure_pad_token(AutoTokenizer.from_pretrained(folder))
    assert (ours.pad_token, ours.pad_token_id) == (pad, theirs.pad_token_id)


def test_it_is_the_callers_own(tiny_model: Path) -> None:
    arguments = {"pretrained": str(tiny_model)}
    tokenizer, config, generation = load_tokenizer(arguments)
    tokenizer.pad_token = "<|user|>"
    text: Any = model_text(arguments)
    assert text.tokenizer.pad_token == "<|pad|>"
    assert config.model_type == "llama"
    assert generation.eos_token_id == tokenizer.eos_token_id


def test_a_model_without_one(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="its tokenizer cannot be loaded"):
        load_tokenizer({"pretrained": str(tmp_path)})
