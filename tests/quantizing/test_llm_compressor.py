"""Checkpoints of compressed-tensors that llm-compressor makes, and what is refused."""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="the hf extra is not installed")
import torch
from compressed_files import compressed_config, compressed_folder
from dying import dies_over
from quantized_files import read_tensors, write_tensors
from random_models import save_random_model

from qrag_tasks.arms.checkpoints import read_checkpoint
from qrag_tasks.arms.formats.compressed_tensors import CompressedTensors
from qrag_tasks.arms.precisions import precision
from qrag_tasks.errors import ModelError, SettingsError
from qrag_tasks.harness.model import QragLM
from qrag_tasks.quantizing.calibration import Wanted
from qrag_tasks.quantizing.llmcompressor_runs import RECIPES
from qrag_tasks.quantizing.quantize import PROVENANCE, quantize

FEW = Wanted(samples=4, max_tokens=400)
needs_llm_compressor = pytest.mark.skipif(
    importlib.util.find_spec("llmcompressor") is None,
    reason="the llm-compressor extra is not installed",
)


def make(model: Path, name: str, out: Path, **options: Any) -> dict[str, Any]:
    if RECIPES[name].fitted:
        options = {"calibration": FEW, **options}
    if precision(name).has_groups:
        options = {"group_size": 32, **options}
    return quantize(str(model), name, out, device="cpu", **options)


def test_the_recipes_are_those_that_the_format_announces() -> None:
    rows = CompressedTensors.precisions
    assert {row.name for row in rows if CompressedTensors().is_made_here(row)} == set(RECIPES)


@needs_llm_compressor
@pytest.mark.parametrize("name", ["w4a16", "w8a8-int8", "w8a8-fp8", "w2a16", "mxfp4a16"])
def test_what_is_made(tiny_model: Path, tmp_path: Path, name: str) -> None:
    out, row = tmp_path / "out", precision(name)
    made = make(tiny_model, name, out)
    assert made == json.loads((out / PROVENANCE).read_text(encoding="utf-8"))
    assert made["options"]["scheme"] == RECIPES[name].preset
    assert (made["calibration"] is not None) == RECIPES[name].fitted
    assert {"llmcompressor", "compressed_tensors"} < set(made["versions"])
    checkpoint = read_checkpoint(str(out))
    assert checkpoint.precision == row
    assert checkpoint.declared.group_size == (32 if row.has_groups else None)
    for file in ("tokenizer.json", "tokenizer_config.json"):
        assert (out / file).read_bytes() == (tiny_model / file).read_bytes()
    lm = QragLM(str(out), device="cpu")
    layers = lm.get_model_info()["qrag"]["arm"]["layers"]
    assert (layers[0]["count"], layers[0]["bits"], layers[0]["quant_type"]) == (14, row.bits, name)


@needs_llm_compressor
def test_codes_of_four_bits_take_four(tiny_model: Path, tmp_path: Path) -> None:
    """llm-compressor itself would give each a byte; its groups of 128 want wider layers."""
    wide = save_random_model(
        *("Llama", tiny_model, tmp_path / "wide"),
        seed=0,
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        dtype=torch.bfloat16,
    )
    make(wide, "w4a8-int8", tmp_path / "out")
    assert "model.layers.0.self_attn.q_proj.weight_packed" in read_tensors(tmp_path / "out")
    arm = QragLM(str(tmp_path / "out"), device="cpu").get_model_info()["qrag"]["arm"]
    assert (arm["layers"][0]["count"], arm["layers"][0]["quant_type"]) == (14, "w4a8-int8")
    assert arm["linear_bits_per_weight"] == 4.125


@needs_llm_compressor
def test_gptq_is_nearer_than_rounding(tiny_model: Path, tmp_path: Path) -> None:
    """Measured by the logits of the whole model, on other text than it was fitted to."""
    from transformers import AutoModelForCausalLM

    def logits(folder: Path) -> Any:
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        with torch.inference_mode():
            return model(input_ids=torch.arange(5, 300)[None] % 900).logits

    make(tiny_model, "w2a16", tmp_path / "gptq", calibration=Wanted(samples=16, max_tokens=400))
    config = compressed_config("w2a16", 32)
    compressed_folder(tiny_model, tmp_path / "rounded", config)
    plain = logits(tiny_model)
    fitted, rounded = ((logits(tmp_path / name) - plain).norm() for name in ("gptq", "rounded"))
    assert 0 < fitted < rounded


@needs_llm_compressor
def test_equal_runs_write_equal_weights(tiny_model: Path, tmp_path: Path) -> None:
    one, other = (tmp_path / name for name in ("one", "other"))
    made = [make(tiny_model, "w4a16", out) for out in (one, other)]
    assert made[0]["calibration"]["texts_sha256"] == made[1]["calibration"]["texts_sha256"]
    assert (one / "model.safetensors").read_bytes() == (other / "model.safetensors").read_bytes()


@needs_llm_compressor
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no such signal here")
def test_a_killed_run_leaves_nothing_at_its_place(
    tiny_model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out, here = tmp_path / "out", tmp_path / "here"
    here.mkdir()
    command = [sys.executable, "-m", "qrag_tasks.cli", "quantize", str(tiny_model), "--out"]
    killed = subprocess.run(
        [*command, str(out), "--precision", "w8a8-fp8", "--device", "cpu"],
        env={
            **os.environ,
            "QRAG_CACHE": str(tmp_path / "cache"),
            # The last file that is written.
            **dies_over(PROVENANCE, tmp_path),
        },
        cwd=here,
        capture_output=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    (written,) = tmp_path.glob(".out.quantizing-*/model.safetensors")
    assert not out.exists()
    assert not list(here.iterdir())
    with caplog.at_level(logging.WARNING):
        make(tiny_model, "w8a8-fp8", out)
    assert str(written.parent) in caplog.text
    assert out.exists()


@needs_llm_compressor
def test_an_error_of_the_library_leaves_nothing(tiny_model: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_model, tmp_path / "broken")
    tensors = read_tensors(tmp_path / "broken")
    tensors["model.layers.0.mlp.gate_proj.weight"][0, 0] = float("nan")
    write_tensors(tmp_path / "broken", tensors)
    with pytest.raises(ModelError):
        make(tmp_path / "broken", "w4a16", tmp_path / "out")
    assert [each.name for each in tmp_path.iterdir()] == ["broken"]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("w8a8-int8", {"group_size": 64}, r"--group-size 64: .*w8a8-int8.* has no groups"),
        ("w4a16", {"group_size": 48}, r"--group-size 48: not every kernel has it; give one of 32"),
        ("w8a8-fp8", {"calibration": FEW}, r"w8a8-fp8 takes no calibration"),
    ],
)
def test_impossible_choices_are_refused(
    tiny_model: Path, tmp_path: Path, name: str, options: Any, message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        quantize(str(tiny_model), name, tmp_path / "out", device="cpu", **options)
    assert not list(tmp_path.iterdir())


def test_nothing_here_makes_it(tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"nvfp4: .*nothing here makes.*known: .*w4a16.*w8a8-i"):
        quantize(str(tiny_model), "nvfp4", tmp_path / "out", device="cpu")


@needs_llm_compressor
def test_groups_that_divide_no_layer(tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(
        SettingsError, match=r"groups of 128 do not divide the 64 .*--group-size 64"
    ):
        quantize(str(tiny_model), "w4a16", tmp_path / "out", device="cpu")


@pytest.mark.skipif(
    importlib.util.find_spec("llmcompressor") is not None, reason="llm-compressor is installed"
)
def test_the_extra_is_named_where_it_is_missing(tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"made by llm-compressor: pip install 'qrag-tasks\[llm-"):
        quantize(str(tiny_model), "w8a8-fp8", tmp_path / "out", device="cpu")
