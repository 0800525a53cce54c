"""Checkpoints of compressed-tensors in vLLM: what its kernels are, what they compute, and lies."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from compressed_files import (
    compressed_config,
    compressed_folder,
    compressed_tensors,
    dequantized,
    weights_of,
)
from quantized_files import is_block_layer, read_tensors, write_tensors
from vllm_models import DEVICE, load, torch

from qrag_tasks.arms.precisions import precision
from qrag_tasks.engines.base import LikelihoodRequest
from qrag_tasks.engines.vllm.evidence import verify
from qrag_tasks.engines.vllm.layers import read
from qrag_tasks.errors import ModelError
from qrag_tasks.testing.engine_requests import sample_requests, score

GROUP = 64
ON_CPU = DEVICE == "cpu"
TOKENS = range(3, 60)
UP = "model.layers.1.mlp.up_proj"
Write = Callable[..., Path]


@pytest.fixture
def write(vllm_model: Path, tmp_path: Path) -> Write:
    def make(scheme: str, keep: str = "", ignore: tuple[str, ...] = (), **weights: Any) -> Path:
        config = compressed_config(scheme, GROUP)
        weights_of(config).update(weights)
        config["ignore"] = [*ignore, "lm_head"]
        return compressed_folder(
            vllm_model, tmp_path / scheme, config, keep=lambda n: bool(keep) and keep in n
        )

    return make


def unpacked(model: Path, folder: Path, scheme: str) -> Path:
    """The plain model of the weights that a checkpoint in a scheme stands for."""
    shutil.copytree(model, folder)
    tensors, config = read_tensors(folder), compressed_config(scheme, GROUP)
    for name, weight in tensors.items():
        if is_block_layer(name):
            parts = compressed_tensors(weight, config)
            tensors[name] = dequantized(parts, config).to(weight.dtype)
    write_tensors(folder, tensors)
    return folder


def likelihoods(engine: Any) -> Any:
    continuations = tuple([token] for token in TOKENS)
    requests = [
        LikelihoodRequest(each.name, each.prompt, continuations) for each in sample_requests(engine)
    ]
    return torch.tensor([[value for value, _ in each] for each in score(engine, requests)])


def expected(engine: Any, folder: Path) -> Any:
    from transformers import AutoModelForCausalLM

    model, rows = AutoModelForCausalLM.from_pretrained(folder, dtype="float32").eval(), []
    for request in sample_requests(engine):
        with torch.inference_mode():
            logits = model(input_ids=torch.tensor([list(request.prompt)])).logits[0, -1]
        rows.append(torch.log_softmax(logits, dim=-1)[list(TOKENS)])
    return torch.stack(rows)


def loaded_by(engine: Any) -> Any:
    return engine._llm.apply_model(read)


@pytest.mark.parametrize("scheme", ["w4a16", "w8a8-int8", "w8a8-fp8"])
def test_a_checkpoint_is_read_and_computed(
    scheme: str, vllm_model: Path, write: Write, tmp_path: Path
) -> None:
    row = precision(scheme)
    engine, _ = load(write(scheme), precision=scheme, dtype="bfloat16")
    (kind,) = engine.arm["layers"]
    assert (kind["method"], kind["bits"], kind["count"]) == ("compressed-tensors", row.bits, 14)
    assert (kind["quant_type"], kind["dtype"]) == (scheme, "bfloat16")
    assert kind["kernel"].startswith("CompressedTensorsLinearMethod with ")
    assert ("activations" in kind["details"]) == ("a8" in scheme)
    bits = engine.arm["linear_bits_per_weight"]
    assert row.bits < bits < row.bits + 1
    measured, plain = likelihoods(engine), expected(engine, vllm_model)
    rounded = expected(engine, unpacked(vllm_model, tmp_path / "plain", scheme))
    away = (measured - rounded).abs().mean()
    # Activations in 8 bits, and sums in 16, move it by less than weights in 4 bits do.
    assert away < (measured - plain).abs().mean() * (0.5 if scheme == "w4a16" else 1.2)
    assert away < 0.02
    loaded = loaded_by(engine)
    for other in {"w4a16", "w8a8-int8", "w8a8-fp8", "fp8-channel", "int4-gptq"} - {scheme}:
        with pytest.raises(ModelError, match=rf"precision={other} was .* 14 of 14 .*q_proj \("):
            verify(loaded, precision(other))
    with pytest.raises(ModelError, match=r"precision=bf16 was asked for, but \d+ of"):
        verify(loaded, precision("bf16"))


def test_groups_zero_points_and_what_is_left_out(write: Write) -> None:
    folder = write(
        "w4a16", keep=".layers.1.mlp.", ignore=("re:.*layers\\.1\\.mlp.*",), symmetric=False
    )
    engine, _ = load(folder, precision="w4a16", dtype="bfloat16", group_size=GROUP)
    quantized = next(each for each in engine.arm["layers"] if each["bits"] == 4)
    assert (quantized["count"], quantized["group_size"]) == (11, GROUP)
    assert quantized["details"] == "a scale a group, zero points"
    assert UP in engine.arm["unquantized"]
    with pytest.raises(ModelError, match="groups of 32 was asked for, but 14 of 14"):
        verify(loaded_by(engine), precision("w4a16"), group_size=32)


def test_a_layer_that_nobody_declared_is_named(write: Write) -> None:
    with pytest.raises(ModelError, match=rf"1 of 14 .*{UP} \(BF16, not quantized\)"):
        load(write("w8a8-fp8", keep=UP), precision="w8a8-fp8", dtype="bfloat16")


def test_layers_that_are_planted_show(write: Write) -> None:
    """Codes of other bits, a weight of other numbers, a kernel that rounds no activations."""
    engine, _ = load(write("w8a8-fp8"), precision="w8a8-fp8", dtype="bfloat16")

    def plant(model: Any) -> None:
        for name, dtype in (("down_proj", torch.int8), ("gate_up_proj", torch.bfloat16)):
            module = model.get_submodule(f"model.layers.0.mlp.{name}")
            weight = torch.zeros_like(module.weight.data, dtype=dtype)
            module.weight = torch.nn.Parameter(weight, requires_grad=False)
        scheme = model.get_submodule("model.layers.1.mlp.down_proj").scheme
        scheme.fp8_linear = type("MarlinFP8ScaledMMLinearKernel", (), {})()

    engine._llm.apply_model(plant)
    with pytest.raises(ModelError) as caught:
        verify(loaded_by(engine), precision("w8a8-fp8"))
    assert "4 of 14" in str(caught.value)  # gate and up are one of vLLM's
    assert "model.layers.0.mlp.gate_proj" in str(caught.value)


def test_activations_that_a_kernel_rounds_unasked_show(write: Write) -> None:
    """vLLM does so by default on CPUs with AMX, and no configuration says it."""
    engine, _ = load(write("w4a16"), precision="w4a16", dtype="bfloat16")

    def plant(model: Any) -> None:
        model.get_submodule("model.layers.0.mlp.down_proj").use_w4a8 = True

    engine._llm.apply_model(plant)
    with pytest.raises(ModelError, match=r"1 of 14 .*down_proj .*activations rounded to 8 bits"):
        verify(loaded_by(engine), precision("w4a16"))


def test_the_identity_of_weights_that_a_kernel_has_taken(write: Write, tmp_path: Path) -> None:
    folder = write("w8a8-int8")
    engine, _ = load(folder, precision="w8a8-int8", dtype="bfloat16")

    def is_taken(model: Any) -> bool:
        """On CPUs with AMX vLLM packs the weight where it was; on others oneDNN takes it."""
        return model.get_submodule("model.layers.0.mlp.down_proj").weight is None

    (taken,) = engine._llm.apply_model(is_taken)
    assert ON_CPU or not taken
    assert ("stored" if taken else "loaded") in engine.identity["weights"]
    copied = tmp_path / "copied"
    shutil.copytree(folder, copied)
    tensors = read_tensors(copied)
    tensors[f"{UP}.weight"][0, 0] ^= 1
    write_tensors(copied, tensors)
    changed, _ = load(copied, precision="w8a8-int8", dtype="bfloat16")
    assert changed.identity["weights"] != engine.identity["weights"]


def test_8_bit_floats_that_are_made_on_loading(vllm_model: Path) -> None:
    engine, _ = load(vllm_model, precision="fp8-channel", dtype="bfloat16")
    (kind,) = engine.arm["layers"]
    assert (kind["bits"], kind["quant_type"], kind["count"]) == (8, "channel", 14)
    assert (likelihoods(engine) - expected(engine, vllm_model)).abs().mean() < 0.02
    with pytest.raises(ModelError, match=r"precision=fp8 was asked for, but 14 of 14"):
        verify(loaded_by(engine), precision("fp8"))


@pytest.mark.skipif(not ON_CPU, reason="a GPU has them")
def test_kernels_that_this_device_lacks_are_refused_with_the_reason(write: Write) -> None:
    with pytest.raises(ModelError, match=r"precision=w8a16: vLLM cannot load it: .*kernel"):
        load(write("w8a16"), precision="w8a16", dtype="bfloat16")
