"""4-bit and 8-bit loading under transformers 5, and the check that it is what it claims."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the hf extra is not installed")
from bitsandbytes.nn import Linear4bit, Linear8bitLt  # noqa: E402
from lm_eval.models.huggingface import HFLM  # noqa: E402

from qrag_tasks.errors import ModelError  # noqa: E402


def load(model: Path, **arguments: Any) -> Any:
    return HFLM(pretrained=str(model), device="cpu", **arguments).model


def layers(model: Any, kind: type) -> list[Any]:
    return [module for module in model.modules() if isinstance(module, kind)]


def test_load_in_4bit_means_nf4(tiny_model: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", logger="lm_eval"):
        model = load(tiny_model, load_in_4bit=True)
    found = layers(model, Linear4bit)
    assert len(found) == 14  # 2 layers of 7 projections
    assert {layer.weight.quant_type for layer in found} == {"nf4"}
    assert {layer.compute_dtype for layer in found} == {torch.bfloat16}
    assert "14 linear layers in 4 bits NF4, computing in torch.bfloat16" in caplog.text
    assert "kept in full: lm_head" in caplog.text


def test_other_choices_are_honoured(tiny_model: Path) -> None:
    model = load(
        tiny_model,
        load_in_4bit=True,
        bnb_4bit_quant_type="fp4",
        bnb_4bit_compute_dtype="float32",
    )
    (kind,) = {layer.weight.quant_type for layer in layers(model, Linear4bit)}
    (dtype,) = {layer.compute_dtype for layer in layers(model, Linear4bit)}
    assert (kind, dtype) == ("fp4", torch.float32)


def test_load_in_8bit(tiny_model: Path) -> None:
    assert len(layers(load(tiny_model, load_in_8bit=True), Linear8bitLt)) == 14


@pytest.mark.parametrize("arguments", [{}, {"load_in_4bit": False}])
def test_not_asked_for(tiny_model: Path, arguments: dict[str, Any]) -> None:
    assert layers(load(tiny_model, **arguments), Linear4bit) == []


def test_an_arm_without_4_bit_layers_is_an_error(tiny_model: Path) -> None:
    everything = ["model", "lm_head"]
    with pytest.raises(ModelError, match="none of the model's 15 linear layers is in 4 bits"):
        load(tiny_model, load_in_4bit=True, llm_int8_skip_modules=everything)


def test_refused_arguments_are_named(tiny_model: Path) -> None:
    with pytest.raises(ModelError, match=r"bnb_4bit_compute_dtype=.*were refused"):
        load(tiny_model, load_in_4bit=True, bnb_4bit_compute_dtype="float17")
    with pytest.raises(ModelError, match=r"bnb_4bit_quant_storage=.*were refused"):
        load(tiny_model, load_in_4bit=True, bnb_4bit_quant_storage="float17")


def test_a_quantized_checkpoint_is_not_quantized_again(tiny_model: Path, tmp_path: Path) -> None:
    load(tiny_model, load_in_4bit=True).save_pretrained(tmp_path / "nf4")
    HFLM(pretrained=str(tiny_model), device="cpu").tokenizer.save_pretrained(tmp_path / "nf4")
    with pytest.raises(ModelError, match="is quantized already"):
        load(tmp_path / "nf4", load_in_4bit=True)


def test_float16_checkpoints_compute_in_bfloat16_on_a_cpu(
    tiny_model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plain = HFLM(pretrained=str(tiny_model), device="cpu")
    plain.model.to(torch.float16).save_pretrained(tmp_path / "fp16")
    plain.tokenizer.save_pretrained(tmp_path / "fp16")
    model = load(tmp_path / "fp16", load_in_4bit=True)
    assert {layer.compute_dtype for layer in layers(model, Linear4bit)} == {torch.bfloat16}
    assert "this float16 checkpoint computes in bfloat16" in caplog.text
    model = load(tmp_path / "fp16", load_in_4bit=True, dtype="float16")
    assert {layer.compute_dtype for layer in layers(model, Linear4bit)} == {torch.float16}
