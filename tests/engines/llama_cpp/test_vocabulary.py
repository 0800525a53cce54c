"""The tokenizer is the file's: out of it, or one that has the same tokens."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

pytest.importorskip("llama_cpp", reason="the llama-cpp extra is not installed")
from gguf_models import load_gguf, write_gguf
from transformers import AutoTokenizer

from qrag_tasks.arms.gguf_files import UNUSED, read_gguf
from qrag_tasks.engines.llama_cpp.vocabulary import check_vocabulary, tokenizer_of
from qrag_tasks.engines.tokenizers import model_text
from qrag_tasks.errors import ModelError
from qrag_tasks.locations import mini_root


def mini_texts() -> list[str]:
    found = []
    for path in sorted(mini_root().rglob("dev_questions.json")):
        found += [sample["input"] for sample in json.loads(path.read_text(encoding="utf-8"))[:20]]
    return found


def test_the_one_in_the_file_reads_text_as_the_models_own(
    tiny_model: Path, tiny_gguf: Path
) -> None:
    own, out = AutoTokenizer.from_pretrained(tiny_model), tokenizer_of({"pretrained": tiny_gguf})
    texts = [*mini_texts(), "<|user|>1 <|end|>\n\n  12,345 naïve ✓ <|endoftext|>"]
    assert len(texts) > 100
    assert [out(text)["input_ids"] for text in texts] == [own(text)["input_ids"] for text in texts]
    assert len(out) == len(own)
    assert (out.eos_token_id, out.pad_token_id) == (own.eos_token_id, own.pad_token_id)
    messages = [{"role": "user", "content": "Hello"}]
    shown = out.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert shown == "<|user|>Hello<|end|><|assistant|>"


def test_tasks_know_it_before_the_model_is_loaded(tiny_gguf: Path, tiny_model: Path) -> None:
    text = model_text({"pretrained": str(tiny_gguf)})
    assert text is not None
    assert text.window == 1024
    assert text.count("Hello there") == len(AutoTokenizer.from_pretrained(tiny_model)("Hello there")
                                            ["input_ids"])  # fmt: skip
    shorter = model_text({"pretrained": str(tiny_gguf), "max_length": 100})
    assert shorter is not None
    assert shorter.window == 100


def test_another_tokenizer_names_the_first_token_that_differs(
    tiny_model: Path, tiny_gguf: Path, tmp_path: Path
) -> None:
    other = shutil.copytree(tiny_model, tmp_path / "other")
    whole = json.loads((other / "tokenizer.json").read_text(encoding="utf-8"))
    vocabulary = whole["model"]["vocab"]
    by_number = {number: piece for piece, number in vocabulary.items()}
    vocabulary[by_number[300]], vocabulary[by_number[700]] = 700, 300
    (other / "tokenizer.json").write_text(json.dumps(whole), encoding="utf-8")
    message = rf"its token 300 is {by_number[700]!r}, and that of .* is {by_number[300]!r}"
    with pytest.raises(ModelError, match=message):
        load_gguf(tiny_gguf, tokenizer=str(other))
    assert load_gguf(tiny_gguf, tokenizer=str(tiny_model)).tokenizer.name_or_path == str(tiny_model)


def test_one_token_more_or_less(tiny_model: Path, tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    pieces = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    for name, kind in (("padded", UNUSED), ("more", 1)):
        changed = {
            "tokenizer.ggml.tokens": [*pieces, "[PAD1024]"],
            "tokenizer.ggml.token_type": [*[1] * len(pieces), kind],
        }
        file = read_gguf(str(write_gguf(tiny_model, tmp_path / f"{name}.gguf", metadata=changed)))
        if kind == UNUSED:
            check_vocabulary(tokenizer, file, "its own")
        else:
            with pytest.raises(ModelError, match=r"its token 1024 is None, .* is '\[PAD1024\]'"):
                check_vocabulary(tokenizer, file, "its own")
    tokenizer.add_tokens(["one more"])
    file = read_gguf(str(write_gguf(tiny_model, tmp_path / "less.gguf")))
    with pytest.raises(ModelError, match=r"its token 1024 is 'one more', and that of .* is None"):
        check_vocabulary(tokenizer, file, "another")


def test_a_rule_that_transformers_does_not_know(tiny_model: Path, tmp_path: Path) -> None:
    # It parts numbers into single digits, of which transformers knows nothing.
    rule = {"tokenizer.ggml.pre": "deepseek-llm"}
    file = write_gguf(tiny_model, tmp_path / "a.gguf", metadata=rule)
    with pytest.raises(ModelError, match=r"its rule: deepseek-llm\).*Give tokenizer="):
        load_gguf(file)
    assert load_gguf(file, tokenizer=str(tiny_model)).window == 1024


def test_a_tokenizer_that_cannot_be_had(tiny_model: Path, tiny_gguf: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"tokenizer=.*nowhere: it cannot be loaded"):
        load_gguf(tiny_gguf, tokenizer=str(tmp_path / "nowhere"))
    file = write_gguf(tiny_model, tmp_path / "a.gguf", metadata={"tokenizer.ggml.model": "rwkv"})
    with pytest.raises(ModelError, match="transformers cannot read the tokenizer in the file; giv"):
        load_gguf(file)
