"""How a model reads the texts of requests: one at a time, and all at once."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("transformers", reason="the hf extra is not installed")
from transformers import AutoTokenizer

from qrag_tasks.prompting.model_text import ModelText

TEXTS = ["a kettle", "", "<s> a kettle", "a kettle", "tea ☕ and\nmore tea " * 40, "<s>"]


@pytest.mark.parametrize("add_bos_token", [None, True, False])
@pytest.mark.parametrize("begins", [None, "<s>"])
def test_all_at_once_is_as_one_at_a_time(
    tiny_model: Path, begins: str | None, add_bos_token: bool | None
) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    tokenizer.bos_token = begins
    text = ModelText(tokenizer, 1024, add_bos_token)
    assert text.encode_all(TEXTS) == [text.encode(each) for each in TEXTS]
    assert text.encode_all([]) == []


def test_many_at_once_are_in_their_order(tiny_model: Path) -> None:
    """More than one thread encodes them, after a call that has left padding in the tokenizer."""
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    tokenizer(["a", "a kettle"], padding=True, truncation=True, max_length=1)
    text = ModelText(tokenizer, 1024)
    many = [f"review {number % 150} of a kettle" * (1 + number % 7) for number in range(400)]
    assert text.encode_all(many) == [text.encode(each) for each in many]
