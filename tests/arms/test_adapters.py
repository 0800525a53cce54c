"""An adapter is kept in its own dtype, beside an arm that is what it claims, and told apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from quantized_files import awq_config, gptq_config, quantized_folder

torch = pytest.importorskip("torch", reason="the hf extra is not installed")
from transformers import AutoModelForCausalLM  # noqa: E402

from qrag_tasks.arms.precisions import precision as precision_named  # noqa: E402
from qrag_tasks.arms.verification import verify  # noqa: E402
from qrag_tasks.errors import ModelError  # noqa: E402
from qrag_tasks.harness.model import QragLM  # noqa: E402

HIDDEN, RANK, BLOCKS = 64, 4, 2
PARAMETERS = 2 * RANK * HIDDEN * BLOCKS


class Tuned(torch.nn.Module):
    """A layer with an adapter beside it, as PEFT's are."""

    adapter_layer_names = ("side", "modules_to_save")

    def __init__(self, base: Any) -> None:
        super().__init__()
        self.base_layer = base
        down, up = torch.nn.Linear(HIDDEN, RANK, bias=False), torch.nn.Linear(RANK, HIDDEN)
        up.bias = None
        self.side = torch.nn.ModuleDict({"down": down, "up": up})


def tuned(folder: Path) -> Any:
    model = AutoModelForCausalLM.from_pretrained(folder)
    for block in model.model.layers:
        block.self_attn.q_proj = Tuned(block.self_attn.q_proj)
    return model


def test_only_the_adapter_may_be_of_another_dtype(tiny_model: Path) -> None:
    model = tuned(tiny_model)
    arm = verify(model, precision_named("bf16"))
    assert arm.adapter == {"float32": PARAMETERS}
    assert arm.weights.adapter == 4 * PARAMETERS
    assert [(kind.dtype, count) for kind, count in arm.layers] == [("bfloat16", 15)]
    plain = verify(AutoModelForCausalLM.from_pretrained(tiny_model), precision_named("bf16"))
    assert plain.adapter == {}
    assert arm.weights.total - plain.weights.total == 4 * PARAMETERS
    assert plain.weights.full_precision == arm.weights.full_precision
    assert f"an adapter's {PARAMETERS:,} parameters in float32" in arm.summary()
    assert "adapter" not in plain.summary()

    model.model.layers[0].self_attn.q_proj.base_layer.float()
    with pytest.raises(ModelError, match=r"but 1 of 21 weights .*q_proj\.base_layer\.weight"):
        verify(model, precision_named("bf16"))


def test_what_an_adapter_brings_in_place_of_a_layer_is_no_exception(tiny_model: Path) -> None:
    model = tuned(tiny_model)
    model.model.layers[0].self_attn.q_proj.modules_to_save = torch.nn.Linear(HIDDEN, HIDDEN)
    with pytest.raises(ModelError, match=r"but 2 of 23 weights .*modules_to_save"):
        verify(model, precision_named("bf16"))


@pytest.mark.filterwarnings("ignore:Implicitly cleaning up:ResourceWarning")  # GPT-QModel's
@pytest.mark.parametrize("precision", ["bf16", "fp16", "int4-nf4", "int8", "int4-gptq", "int4-awq"])
def test_a_lora_of_pefts_has_every_arm(tiny_model: Path, tmp_path: Path, precision: str) -> None:
    peft = pytest.importorskip("peft", reason="peft is not installed")
    folder = tiny_model
    if not precision_named(precision).made_on_loading:
        pytest.importorskip("gptqmodel", reason="the gptq extra is not installed")
        config = gptq_config(32) if precision == "int4-gptq" else awq_config(32)
        folder = quantized_folder(tiny_model, tmp_path / precision, config)
    base = AutoModelForCausalLM.from_pretrained(tiny_model)
    lora = peft.LoraConfig(
        task_type="CAUSAL_LM", r=RANK, target_modules=["q_proj"], init_lora_weights=False
    )
    peft.get_peft_model(base, lora).save_pretrained(tmp_path / "adapter")
    plain, adapted = (
        QragLM(str(folder), precision=precision, device="cpu", **more).get_model_info()["qrag"]
        for more in ({}, {"peft": str(tmp_path / "adapter")})
    )
    assert plain["identity"] != adapted["identity"]
    assert plain["arm"]["adapter"] == {}
    assert adapted["arm"]["adapter"] == {"float32": PARAMETERS}
    for key in ("layers", "unquantized"):
        assert plain["arm"][key] == adapted["arm"][key]
    for key in ("quantized", "full_precision", "head", "embeddings"):
        assert plain["arm"]["weights"][key] == adapted["arm"]["weights"][key]
