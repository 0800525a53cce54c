"""A kernel that computes something else than its weights say does not go unnoticed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from quantized_files import (
    auto_round_folder,
    awq_config,
    awq_tensors,
    change_config,
    dequantized,
    gptq_config,
    gptq_tensors,
    load_packed,
    packed_rows,
    quantized_folder,
    read_tensors,
    round_to_nearest,
)

torch = pytest.importorskip("torch", reason="the hf extra is not installed")
import transformers  # noqa: E402
from lm_eval.models.huggingface import HFLM  # noqa: E402

from qrag_tasks.arms.checkpoints import read_checkpoint  # noqa: E402
from qrag_tasks.arms.formats.awq import awq_weight  # noqa: E402
from qrag_tasks.arms.formats.bitsandbytes import weight_of  # noqa: E402
from qrag_tasks.arms.formats.gptq import gptq_weight  # noqa: E402
from qrag_tasks.arms.precisions import formats  # noqa: E402
from qrag_tasks.arms.smoke import smoke_check  # noqa: E402
from qrag_tasks.errors import ModelError  # noqa: E402
from qrag_tasks.harness.model import QragLM  # noqa: E402

FIRST = "model.layers.0.self_attn.q_proj"
NF4 = {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}
FP4 = {"load_in_4bit": True, "bnb_4bit_quant_type": "fp4"}
NESTED = {**NF4, "bnb_4bit_use_double_quant": True}
INT8 = {"load_in_8bit": True}


def load(folder: Path, dtype: str = "bfloat16", **config: Any) -> Any:
    more = {"quantization_config": transformers.BitsAndBytesConfig(**config)} if config else {}
    return transformers.AutoModelForCausalLM.from_pretrained(
        folder, device_map={"": "cpu"}, dtype=dtype, **more
    )


def stored_weight(folder: Path, name: str) -> Any:
    checkpoint = read_checkpoint(str(folder))
    form = formats()[checkpoint.declared.method]
    return form.dequantized(None, name, checkpoint.declared, checkpoint.folder)


def first_layer(model: Any) -> Any:
    return model.get_submodule(FIRST)


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
@pytest.mark.parametrize("config", [NF4, FP4, NESTED, INT8])
def test_bitsandbytes_kernels_are_whole(
    tiny_model: Path, config: dict[str, Any], dtype: str
) -> None:
    model = load(tiny_model, dtype, **config)
    result = smoke_check(model)
    assert result.layer == FIRST
    assert 0 <= result.error < result.tolerance
    assert set(result.as_dict()) == {"layer", "kernel", "error", "tolerance"}
    assert smoke_check(model).error == pytest.approx(result.error, abs=3e-3)  # packed again by now


@pytest.mark.parametrize("config", [NF4, NESTED, INT8])
def test_biases_are_taken_in(tmp_path: Path, config: dict[str, Any]) -> None:
    gpt = transformers.GPT2Config(vocab_size=100, n_embd=64, n_layer=1, n_head=2)
    model = transformers.GPT2LMHeadModel(gpt)
    torch.nn.init.normal_(model.transformer.h[0].attn.c_proj.bias)
    model.save_pretrained(tmp_path)
    assert smoke_check(load(tmp_path, **config)).layer == "transformer.h.0.attn.c_proj"


@pytest.mark.parametrize("config", [NF4, FP4, NESTED])
def test_the_4_bit_formula_is_that_of_bitsandbytes(
    tiny_model: Path, config: dict[str, Any]
) -> None:
    from bitsandbytes.functional import dequantize_4bit

    layer = first_layer(load(tiny_model, "float32", **config))
    theirs = dequantize_4bit(layer.weight.data, layer.weight.quant_state)
    torch.testing.assert_close(weight_of(layer), theirs)
    plain = read_tensors(tiny_model)[f"{FIRST}.weight"].float()
    assert (theirs - plain).norm() / plain.norm() < 0.15


def test_4_bits_compute_in_the_dtype_of_their_arm(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As packed for AVX512-BF16, they would in bfloat16, which is off by a thousandth and more."""
    monkeypatch.setattr("bitsandbytes.nn.modules.has_avx512bf16", lambda: True)
    arm = QragLM(str(tiny_model), precision="int4-nf4", device="cpu", dtype="float32")
    hf = HFLM(str(tiny_model), device="cpu", dtype="float32", **NF4)
    for model in (arm.engine.model, hf.model):
        layer = first_layer(model)
        weight = weight_of(layer)
        inputs = torch.randn(3, layer.in_features, generator=torch.Generator().manual_seed(0))
        torch.testing.assert_close(layer(inputs), inputs @ weight.T)


def test_the_8_bit_formula(tiny_model: Path) -> None:
    layer = first_layer(load(tiny_model, **INT8))
    plain = read_tensors(tiny_model)[f"{FIRST}.weight"].float()
    assert (weight_of(layer) - plain).norm() / plain.norm() < 0.01


@pytest.mark.parametrize("config", [NF4, INT8])
def test_a_kernel_that_returns_something_else(tiny_model: Path, config: dict[str, Any]) -> None:
    for broken in (torch.zeros_like, lambda out: out * float("nan"), lambda out: out * 1.05):
        model = load(tiny_model, **config)
        first_layer(model).register_forward_hook(lambda _, __, out, f=broken: f(out))
        with pytest.raises(ModelError, match=rf"{FIRST} .*computes something else.*relative err"):
            smoke_check(model)


def test_a_kernel_that_fails(tiny_model: Path) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("no kernel image is available")

    model = load(tiny_model, **NF4)
    first_layer(model).register_forward_hook(fail)
    with pytest.raises(ModelError, match=r"q_proj .*fails on cpu: RuntimeError: no kernel image"):
        smoke_check(model)


def test_a_model_without_quantized_layers(tiny_model: Path) -> None:
    with pytest.raises(ModelError, match="no layer of the model is quantized"):
        smoke_check(load(tiny_model))


# ---------------------------------------------------------------------- formats
MATRIX = torch.randn(32, 64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize("version", [1, 2])
def test_the_gptq_formula(version: int, bits: int) -> None:
    parts = gptq_tensors(MATRIX, 32, bits, version)
    weight = gptq_weight(parts, bits, zeros_less_one=version == 1)
    torch.testing.assert_close(weight, dequantized(*round_to_nearest(MATRIX, 32, bits)))
    assert (weight - MATRIX).abs().max() < 0.4 * 15 / (2**bits - 1)
    del parts["g_idx"]
    torch.testing.assert_close(gptq_weight(parts, bits, zeros_less_one=version == 1), weight)
    wrong = gptq_weight(parts, bits, zeros_less_one=version == 2)
    assert not torch.allclose(wrong, weight)


def test_gptq_with_inputs_out_of_order() -> None:
    order = torch.randperm(64, generator=torch.Generator().manual_seed(1))
    parts = gptq_tensors(MATRIX[:, order], 32)
    codes, zeros, scales = round_to_nearest(MATRIX[:, order], 32, 4)
    expected = torch.empty_like(MATRIX)
    expected[:, order] = dequantized(codes, zeros, scales)
    back = order.argsort()
    parts |= {"qweight": packed_rows(codes[back], 4), "g_idx": parts["g_idx"][back]}
    torch.testing.assert_close(gptq_weight(parts, 4, zeros_less_one=True), expected)


def test_the_awq_formula() -> None:
    weight = awq_weight(awq_tensors(MATRIX, 32), 4)
    torch.testing.assert_close(weight, dequantized(*round_to_nearest(MATRIX, 32, 4)))


@pytest.mark.parametrize("config", [gptq_config(32), awq_config(32)])
def test_layers_are_found_in_files(
    tiny_model: Path, tmp_path: Path, config: dict[str, Any]
) -> None:
    folder = quantized_folder(tiny_model, tmp_path / "model", config)
    plain = read_tensors(tiny_model)[f"{FIRST}.weight"]
    expected = dequantized(*round_to_nearest(plain, 32, 4))
    weight = stored_weight(folder, FIRST)
    torch.testing.assert_close(weight, expected)
    with pytest.raises(ModelError, match=r"holds no .*q_projector\.qweight"):
        stored_weight(folder, f"{FIRST}ector")


# ---------------------------------------------------------------------- GPT-QModel's kernels
@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
@pytest.mark.parametrize(
    "config",
    [
        gptq_config(32),
        gptq_config(32, checkpoint_format="gptq_v2"),
        gptq_config(64, desc_act=True),
        gptq_config(32, 8),
        gptq_config(32, 3),
        gptq_config(32, 2),
        awq_config(32),
        awq_config(-1),
    ],
)
def test_gptq_and_awq_kernels_are_whole(
    tiny_model: Path, tmp_path: Path, config: dict[str, Any], dtype: str
) -> None:
    folder = quantized_folder(tiny_model, tmp_path / "model", config)
    model = load_packed(folder, dtype)
    result = smoke_check(model, read_checkpoint(str(folder)))
    assert result.layer.startswith("model.layers.0.self_attn.")
    assert 0 <= result.error < result.tolerance
    with pytest.raises(ModelError, match="without the folder of its checkpoint"):
        smoke_check(model)


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # GPT-QModel's own temporary folders
@pytest.mark.parametrize(
    ("packing", "bits", "precision"),
    [
        ("auto_round:auto_gptq", 4, "int4-gptq"),
        ("auto_round:auto_gptq", 2, "int2-gptq"),
        ("auto_round", 4, "int4-gptq"),
        ("auto_round:auto_awq", 4, "int4-awq"),
    ],
)
def test_what_auto_round_wrote_is_read(
    tiny_model: Path, tmp_path: Path, packing: str, bits: int, precision: str
) -> None:
    pytest.importorskip("gptqmodel", reason="the gptq extra is not installed")
    folder = auto_round_folder(tiny_model, tmp_path / "model", packing, bits)
    lm = QragLM(str(folder), precision=precision, device="cpu")
    assert lm.smoke["error"] < lm.smoke["tolerance"]
    weight = stored_weight(folder, FIRST)
    plain = read_tensors(tiny_model)[f"{FIRST}.weight"].float()
    assert (weight - plain).norm() / plain.norm() < (0.15 if bits == 4 else 0.7)


@pytest.mark.parametrize("config", [gptq_config(32), awq_config(32)])
@pytest.mark.parametrize("part", ["scales", "qzeros", "qweight"])
def test_a_kernel_with_something_swapped(
    tiny_model: Path, tmp_path: Path, config: dict[str, Any], part: str
) -> None:
    folder = quantized_folder(tiny_model, tmp_path / "model", config)
    model = load_packed(folder)
    for module in model.modules():
        if hasattr(module, "qweight"):
            tensor = getattr(module, part)
            tensor.copy_(tensor.flip(0))
    with pytest.raises(ModelError, match="computes something else"):
        smoke_check(model, read_checkpoint(str(folder)))


def test_zeros_read_by_the_wrong_version(tiny_model: Path, tmp_path: Path) -> None:
    folder = quantized_folder(tiny_model, tmp_path / "model", gptq_config(32))
    model = load_packed(folder)
    change_config(folder, quantization_config=gptq_config(32, checkpoint_format="gptq_v2"))
    with pytest.raises(ModelError, match="computes something else"):
        smoke_check(model, read_checkpoint(str(folder)))


def test_a_kernel_that_does_not_have_the_group_size(tiny_model: Path, tmp_path: Path) -> None:
    folder = quantized_folder(tiny_model, tmp_path / "model", gptq_config(16))
    model = load_packed(folder)
    if type(first_layer(model)).__name__ != "TorchAtenLinear":
        pytest.skip("another kernel was chosen here")
    with pytest.raises(ModelError, match=r"groups of 16\) fails on cpu: .*Quantize otherwise"):
        smoke_check(model, read_checkpoint(str(folder)))


def test_a_kernel_that_is_broken_as_released(tiny_model: Path, tmp_path: Path) -> None:
    """GPT-QModel 7.6.0 on a CPU, one group a row: it takes every zero for 8."""
    from importlib.metadata import version

    folder = quantized_folder(tiny_model, tmp_path / "model", gptq_config(-1))
    model = load_packed(folder)
    if version("gptqmodel") != "7.6.0" or type(first_layer(model)).__name__ != "TorchFusedLinear":
        pytest.skip("another kernel or another version was chosen here")
    with pytest.raises(ModelError, match=r"computes something else .*relative error 0\.[34]"):
        smoke_check(model, read_checkpoint(str(folder)))
