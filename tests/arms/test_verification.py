"""A loaded model is what its precision says, or an error."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from quantized_files import awq_config, gptq_config, load_packed, quantized_folder

torch = pytest.importorskip("torch", reason="the hf extra is not installed")
import transformers  # noqa: E402

from qrag_tasks.arms.checkpoints import read_checkpoint  # noqa: E402
from qrag_tasks.arms.precisions import precision as precision_named  # noqa: E402
from qrag_tasks.arms.verification import VerifiedArm, verify  # noqa: E402
from qrag_tasks.errors import ModelError  # noqa: E402

NF4 = {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_compute_dtype": "bfloat16"}
FP4 = {"load_in_4bit": True, "bnb_4bit_quant_type": "fp4"}
INT8 = {"load_in_8bit": True}


def load(folder: Path, **config: Any) -> Any:
    more = {"quantization_config": transformers.BitsAndBytesConfig(**config)} if config else {}
    return transformers.AutoModelForCausalLM.from_pretrained(folder, device_map={"": "cpu"}, **more)


def check(model: Any, precision: str, **arguments: Any) -> VerifiedArm:
    return verify(model, precision_named(precision), **arguments)


@pytest.mark.parametrize(
    ("precision", "config", "group_size"),
    [("int4-nf4", NF4, 64), ("int4-fp4", FP4, 64), ("int8", INT8, None)],
)
def test_quantized_on_loading(
    tiny_model: Path, precision: str, config: dict[str, Any], group_size: int | None
) -> None:
    model = load(tiny_model, **config)
    arm = check(model, precision, group_size=group_size)
    assert arm.precision == precision
    assert [count for _, count in arm.layers] == [14, 1]
    assert arm.unquantized == ("model.embed_tokens", "lm_head")
    for other in {"int4-nf4", "int4-fp4", "int8", "int4-gptq"} - {precision}:
        with pytest.raises(ModelError, match=rf"precision={other} was .* 14 of 14 .*q_proj \("):
            check(model, other)
    with pytest.raises(ModelError, match=r"precision=bf16 was asked for, but 14 of 15 .*quantized"):
        check(model, "bf16")
    with pytest.raises(ModelError, match=r"in groups of 128 was asked for, but 14 of 14"):
        check(model, precision, group_size=128)


def test_what_results_and_log_say(tiny_model: Path) -> None:
    arm = check(load(tiny_model, **NF4), "int4-nf4")
    written = json.loads(json.dumps(arm.as_dict()))
    assert written["layers"][0] == {
        "kernel": "Linear4bit",
        "method": "bitsandbytes",
        "bits": 4,
        "quant_type": "nf4",
        "group_size": 64,
        "dtype": "bfloat16",
        "details": None,
        "count": 14,
    }
    assert written["unquantized"] == ["model.embed_tokens", "lm_head"]
    assert written["weights"]["bytes"] == arm.weights.total
    assert 4.5 < written["linear_bits_per_weight"] < 5 < written["bits_per_weight"] < 16
    line = arm.summary()
    assert "14 x Linear4bit, nf4, 4 bits, groups of 64, computing in bfloat16" in line
    assert "not quantized: model.embed_tokens, lm_head" in line
    assert f"{written['linear_bits_per_weight']:.2f} bits a weight in these layers" in line
    assert "\n" not in line


@pytest.mark.parametrize(("precision", "dtype"), [("fp32", "float32"), ("bf16", "bfloat16")])
def test_plain_arms(tiny_model: Path, precision: str, dtype: str) -> None:
    model = load(tiny_model).to(getattr(torch, dtype))
    arm = check(model, precision)
    assert arm.unquantized == ()
    assert [(kind.kernel, kind.dtype, n) for kind, n in arm.layers] == [("Linear", dtype, 15)]
    for quantized in ("int4-nf4", "int8", "int4-gptq"):
        with pytest.raises(ModelError, match=r"14 of 14 linear layers .*q_proj \(Linear"):
            check(model, quantized)


def test_another_dtype(tiny_model: Path) -> None:
    model = load(tiny_model)
    with pytest.raises(ModelError, match=r"21 of 21 weights are of another dtype: model\.embed"):
        check(model, "fp16")
    model.model.layers[1].mlp.up_proj.float()
    with pytest.raises(ModelError, match=r"1 of 21 .*layers\.1\.mlp\.up_proj\.weight \(float32\)"):
        check(model, "bf16")


def test_norms_may_stay_in_float32(tiny_model: Path) -> None:
    model = load(tiny_model)
    model.model.norm.float()
    model.model.layers[0].input_layernorm.float()
    check(model, "bf16")
    model.model.norm.half()
    with pytest.raises(ModelError, match=r"model\.norm\.weight \(float16\)"):
        check(model, "bf16")


def test_what_the_architecture_keeps_in_float32(tiny_model: Path) -> None:
    model = load(tiny_model)
    model.model.layers[0].mlp.up_proj.float()
    model._keep_in_fp32_modules = ["up_proj"]
    check(model, "bf16")


def test_half_quantized_on_loading(tiny_model: Path) -> None:
    model = load(tiny_model, **NF4, llm_int8_skip_modules=["mlp.down_proj", "lm_head"])
    with pytest.raises(ModelError, match=r"but 2 of 14 .*layers\.0\.mlp\.down_proj \(Linear, bfl"):
        check(model, "int4-nf4")


def test_what_a_checkpoint_declares_is_listed(tiny_model: Path, tmp_path: Path) -> None:
    skipped = ["mlp.down_proj", "lm_head"]
    load(tiny_model, **NF4, llm_int8_skip_modules=skipped).save_pretrained(tmp_path)
    declared = read_checkpoint(str(tmp_path)).declared.unquantized
    arm = check(load(tmp_path), "int4-nf4", declared=declared)
    assert arm.unquantized == (
        "model.embed_tokens",
        *(f"model.layers.{i}.mlp.down_proj" for i in range(2)),
        "lm_head",
    )


def test_an_arm_without_a_quantized_layer(tiny_model: Path) -> None:
    model = load(tiny_model, **NF4, llm_int8_skip_modules=["model", "lm_head"])
    with pytest.raises(ModelError, match="14 of 14 linear layers"):
        check(model, "int4-nf4", declared=["model", "lm_head"])


def test_a_declared_layer_of_another_kind(tiny_model: Path) -> None:
    """What is declared may be left as it is, not quantized otherwise."""
    model = load(tiny_model, **NF4)
    other = load(tiny_model, **FP4)
    model.model.layers[0].mlp.down_proj = other.model.layers[0].mlp.down_proj
    with pytest.raises(ModelError, match=r"1 of 14 .*down_proj \(Linear4bit, 4 bits, fp4"):
        check(model, "int4-nf4", declared=["down_proj"])


def test_experts_that_nobody_quantized(tmp_path: Path) -> None:
    config = transformers.MixtralConfig(
        vocab_size=100,
        hidden_size=64,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        num_local_experts=2,
    )
    transformers.MixtralForCausalLM(config).save_pretrained(tmp_path)
    model = load(tmp_path, **NF4)
    if not any(name.endswith("gate_up_proj") for name, _ in model.named_parameters()):
        pytest.skip("this transformers has a module for each expert")
    with pytest.raises(ModelError, match=r"2 of 6 .*experts\.gate_up_proj \(MixtralExperts"):
        check(model, "int4-nf4")


def test_a_quantized_head_of_another_kind(tiny_model: Path) -> None:
    model = load(tiny_model, **NF4)
    model.lm_head = load(tiny_model, **INT8).model.layers[0].mlp.down_proj
    with pytest.raises(ModelError, match=r"lm_head \(Linear8bitLt, 8 bits\)"):
        check(model, "int4-nf4")


@pytest.fixture
def packed(tiny_model: Path, tmp_path: Path) -> Callable[..., Any]:
    def make(config: dict[str, Any], **arguments: Any) -> Any:
        folder = quantized_folder(tiny_model, tmp_path / "packed", config, **arguments)
        return load_packed(folder), read_checkpoint(str(folder)).declared.unquantized

    return make


@pytest.mark.parametrize(
    ("precision", "config", "other"),
    [
        ("int4-gptq", gptq_config(32), "int4-awq"),
        ("int4-awq", awq_config(32), "int4-gptq"),
    ],
)
def test_gptq_and_awq(
    packed: Callable[..., Any], precision: str, config: dict[str, Any], other: str
) -> None:
    model, declared = packed(config)
    arm = check(model, precision, group_size=32, declared=declared)
    assert [count for _, count in arm.layers] == [14, 1]
    assert arm.layers[0][0].group_size == 32
    assert arm.unquantized == ("model.embed_tokens", "lm_head")
    with pytest.raises(
        ModelError, match=r"groups of 64 was asked for, but 14 of 14 .*groups of 32"
    ):
        check(model, precision, group_size=64)
    for wrong in (other, "int4-nf4"):
        with pytest.raises(ModelError, match="14 of 14"):
            check(model, wrong)


def test_one_group_a_row(packed: Callable[..., Any]) -> None:
    model, declared = packed(gptq_config(-1))
    check(model, "int4-gptq", group_size=-1, declared=declared)
    with pytest.raises(ModelError, match="14 of 14"):
        check(model, "int4-gptq", group_size=32, declared=declared)


def test_declared_by_the_layers_that_are_quantized(packed: Callable[..., Any]) -> None:
    only = [["self_attn.q_proj", "mlp.up_proj"]]
    model, declared = packed(
        gptq_config(32, modules_in_block_to_quantize=only),
        keep=lambda name: "q_proj" not in name and "up_proj" not in name,
    )
    assert len(check(model, "int4-gptq", declared=declared).unquantized) == 1 + 10 + 1
    with pytest.raises(ModelError, match="10 of 14"):
        check(model, "int4-gptq")
