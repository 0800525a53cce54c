"""No argument of engine=llama_cpp is dropped, and one that cannot be says what to give."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("llama_cpp", reason="the llama-cpp extra is not installed")
from gguf_models import write_gguf

from qrag_tasks.arms.engine_choice import check_engine, check_model
from qrag_tasks.errors import ModelError, QragError, SettingsError
from qrag_tasks.registry import ENGINES

REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"no_such_argument": 1}, "no_such_argument=1: unknown to engine=llama_cpp"),
    ({"n_treads": 2}, "Did you mean 'n_threads'"),
    ({"n_ctx": 64}, "n_ctx=64: its name here is max_length"),
    ({"model_path": "a.gguf"}, "its name here is pretrained"),
    ({"n_batch": 64}, "n_batch=64: a prompt runs n_ubatch= tokens at a time"),
    ({"dtype": "float16"}, "dtype=float16: llama.cpp computes as"),
    ({"gguf_file": "a.gguf"}, "name the file itself"),
    ({"batch_size": 8}, "batch_size=8: engine=llama_cpp answers one prompt at a time"),
    ({"n_threads": 0}, "n_threads=0: give a whole number above 0"),
    ({"n_ubatch": "many"}, "n_ubatch=many: give a whole number"),
    ({"n_threads": True}, "n_threads=True: give a whole number"),
    ({"n_gpu_layers": -2}, "n_gpu_layers=-2: give a whole number, 0 or above, or -1"),
    ({"flash_attn": "yes"}, "flash_attn=yes: give True or False"),
    ({"deterministic": 1}, "deterministic=1: give True or False"),
    ({"type_k": "q4_k_m"}, "type_k=q4_k_m: give one of f32, f16"),
    ({"type_v": "q8_0"}, "type_v=q8_0: llama.cpp quantizes the values of the cache with flash_at"),
    ({"max_length": 2048}, "was trained to take 1024 tokens; give at most that many"),
    ({"precision": "gguf-q8_0"}, "says that it is gguf-f32: leave precision out"),
    ({"precision": "int4-nf4"}, "precision=int4-nf4: engine=llama_cpp cannot load it"),
]


@pytest.mark.parametrize(("arguments", "told"), REFUSED, ids=lambda value: str(value)[:40])
def test_what_cannot_be(tiny_gguf: Path, arguments: dict[str, Any], told: str) -> None:
    given = {"pretrained": str(tiny_gguf), "engine": "llama_cpp", **arguments}
    with pytest.raises(QragError) as caught:
        check_model("qrag", given)
    assert told in str(caught.value)


def test_what_is_run(tiny_gguf: Path, tiny_model: Path) -> None:
    check = ENGINES.get("llama_cpp").value.check
    check({"pretrained": str(tiny_gguf), "batch_size": 1, "dtype": "auto", "max_length": 64})
    check({"pretrained": str(tiny_gguf), "type_v": "q8_0", "flash_attn": True, "device": None})
    with pytest.raises(SettingsError, match="needs pretrained=, a GGUF file"):
        check({})
    with pytest.raises(SettingsError, match=r"runs GGUF files: name one that ends with \.gguf"):
        check({"pretrained": str(tiny_model)})


def test_a_file_without_the_engine(tiny_gguf: Path) -> None:
    with pytest.raises(ModelError, match=r"is a GGUF file: give --model qrag .*engine=llama_cpp"):
        check_engine({"pretrained": str(tiny_gguf)})
    with pytest.raises(SettingsError, match="precision=gguf-q8_0: transformers cannot load it; gi"):
        check_model("qrag", {"pretrained": "any", "precision": "gguf-q8_0"})


def test_a_file_without_a_window(tiny_model: Path, tmp_path: Path) -> None:
    file = write_gguf(tiny_model, tmp_path / "a.gguf", metadata={"context_length": None})
    check = ENGINES.get("llama_cpp").value.check
    with pytest.raises(ModelError, match=r"llama\.context_length is missing\): give max_length="):
        check({"pretrained": str(file)})
    check({"pretrained": str(file), "max_length": 128})
