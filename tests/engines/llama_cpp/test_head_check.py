"""A kernel that computes something else than the file's weights is found before any answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("llama_cpp", reason="the llama-cpp extra is not installed")
from gguf_models import load_gguf, quantize_gguf, write_gguf

from qrag_tasks.arms.gguf_files import read_gguf
from qrag_tasks.engines.llama_cpp.head_check import check_head
from qrag_tasks.errors import ModelError
from qrag_tasks.testing.engine_requests import generate, sample_requests


@pytest.mark.parametrize(
    ("file_type", "kind", "most"),
    [
        ("f32", "F32", 1e-5),
        ("f16", "F16", 2e-3),
        ("bf16", "BF16", 1e-2),
        ("q8_0", "Q8_0", 1.5e-2),
        ("q4_0", "Q4_0", 1.5e-2),
    ],
)
def test_the_kernel_of_a_written_file(
    tiny_model: Path, tmp_path: Path, file_type: str, kind: str, most: float
) -> None:
    engine = load_gguf(write_gguf(tiny_model, tmp_path / "a.gguf", file_type))
    result = engine.smoke()
    assert result is not None
    assert result["layer"] == "output.weight"
    assert result["kernel"] == f"llama.cpp, {kind}"
    assert result["error"] <= most


@pytest.mark.parametrize("file_type", ["q4_k_m", "q2_k", "iq4_xs", "q6_k"])
def test_the_kernel_of_a_mixture(wide_gguf: Path, tmp_path: Path, file_type: str) -> None:
    engine = load_gguf(quantize_gguf(wide_gguf, tmp_path / "a.gguf", file_type))
    before = generate(engine, sample_requests(engine))
    result = engine.smoke()
    assert result is not None
    assert result["kernel"] == "llama.cpp, Q6_K"
    assert 1e-4 < result["error"] <= 2e-2
    assert generate(engine, sample_requests(engine)) == before


def test_one_matrix_for_embeddings_and_head(qwen_model: Path, tmp_path: Path) -> None:
    result = load_gguf(write_gguf(qwen_model, tmp_path / "a.gguf", "q8_0")).smoke()
    assert result is not None
    assert result["layer"] == "token_embd.weight"


def test_other_weights_than_the_files(tiny_model: Path, tiny_gguf: Path, tmp_path: Path) -> None:
    def changed(name: str, array: Any) -> Any:
        return array * 1.05 if name == "output.weight" else array

    engine: Any = load_gguf(tiny_gguf)
    other = write_gguf(tiny_model, tmp_path / "other.gguf", change=changed)
    with pytest.raises(ModelError, match=r"kernel of output\.weight \(F32\) computes something el"):
        check_head(engine._native, read_gguf(str(other)))


def test_logits_that_are_changed_afterwards_are_not_compared(
    tiny_model: Path, tmp_path: Path
) -> None:
    scaled = {"logit_scale": 0.5}
    assert load_gguf(write_gguf(tiny_model, tmp_path / "a.gguf", metadata=scaled)).smoke() is None
