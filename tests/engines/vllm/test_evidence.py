"""What vLLM has loaded is read, and an arm that is not what it claims is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from quantized_files import (
    auto_round_folder,
    awq_config,
    dequantized,
    gptq_config,
    is_block_layer,
    quantized_folder,
    read_tensors,
    round_to_nearest,
    write_tensors,
)
from vllm_models import DEVICE, load, torch

from qrag_tasks.arms.components import canonical, plain
from qrag_tasks.arms.precisions import precision
from qrag_tasks.engines.base import LikelihoodRequest
from qrag_tasks.engines.vllm.evidence import verify
from qrag_tasks.engines.vllm.layers import read
from qrag_tasks.errors import ModelError
from qrag_tasks.testing.engine_requests import generate, sample_requests, score

GROUP = 64
ON_CPU = DEVICE == "cpu"


def plain_transformers(folder: Path, dtype: str = "float32") -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval()


@pytest.fixture(scope="module")
def awq(vllm_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return quantized_folder(vllm_model, tmp_path_factory.mktemp("awq") / "m", awq_config(GROUP))


@pytest.fixture(scope="module")
def gptq(vllm_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = gptq_config(GROUP, sym=True)
    return quantized_folder(vllm_model, tmp_path_factory.mktemp("gptq") / "m", config)


def unpacked(model: Path, folder: Path, *, symmetric: bool) -> Path:
    """The plain model of the weights that a packed one stands for."""
    shutil.copytree(model, folder)
    tensors = read_tensors(folder)
    for name, weight in tensors.items():
        if is_block_layer(name):
            rounded = round_to_nearest(weight, GROUP, 4, symmetric)
            tensors[name] = dequantized(*rounded).contiguous().to(weight.dtype)
    write_tensors(folder, tensors)
    return folder


# ---------------------------------------------------------------------- plain weights
@pytest.mark.parametrize("name", ["fp32", "bf16", "fp16"])
def test_plain_layers_are_those_of_transformers(vllm_model: Path, name: str) -> None:
    from qrag_tasks.arms.verification import verify as verify_transformers

    engine, _ = load(vllm_model, precision=name)
    row = precision(name)
    expected = verify_transformers(plain_transformers(vllm_model, row.dtype or ""), row).as_dict()
    count = sum(each["count"] for each in engine.arm["layers"])
    # Transformers' head is a linear layer, vLLM's an embedding.
    assert count == sum(each["count"] for each in expected["layers"]) - 1
    assert {each["dtype"] for each in engine.arm["layers"]} == {row.dtype}
    for part in ("full_precision", "head", "embeddings"):
        assert engine.arm["weights"][part] == expected["weights"][part]
    for part in ("parameters", "linear_weights", "linear_bytes"):
        assert engine.arm["weights"][part] == expected["weights"][part]
    assert engine.arm["linear_bits_per_weight"] == row.bits


def test_the_layers_have_the_names_of_transformers(vllm_model: Path) -> None:
    model = plain_transformers(vllm_model)
    linear = [name for name, each in model.named_modules() if isinstance(each, torch.nn.Linear)]
    engine, _ = load(vllm_model)
    (loaded,) = engine._llm.apply_model(read)  # type: ignore[attr-defined]
    names = [layer.name for layer in loaded.layers]
    assert sorted(names) == sorted(name for name in linear if name != "lm_head")
    shapes = {layer.name: (layer.out_features, layer.in_features) for layer in loaded.layers}
    for name in names:
        assert shapes[name] == tuple(model.get_submodule(name).weight.shape)


def test_another_dtype_than_claimed_is_refused(vllm_model: Path) -> None:
    engine, _ = load(vllm_model, precision="bf16")
    loaded = engine._llm.apply_model(read)  # type: ignore[attr-defined]
    with pytest.raises(ModelError, match=r"precision=fp32 .* another kind.*q_proj.*bfloat16"):
        verify(loaded, precision("fp32"))


@pytest.mark.parametrize("name", ["fp8", "int4-awq", "int4-gptq", "int4-nf4"])
def test_plain_layers_are_no_quantized_arm(vllm_model: Path, name: str) -> None:
    engine, _ = load(vllm_model, precision="bf16")
    loaded = engine._llm.apply_model(read)  # type: ignore[attr-defined]
    with pytest.raises(ModelError, match=rf"precision={name} .*14 of 14 linear layers"):
        verify(loaded, precision(name))


def test_a_layer_that_is_planted_shows(vllm_model: Path) -> None:
    """One merged layer of 8 bits among those of 16 is not taken for what it is called."""
    engine, _ = load(vllm_model, precision="bf16")

    def plant(model: Any) -> None:
        module = model.get_submodule("model.layers.1.mlp.gate_up_proj")
        size = (module.output_size_per_partition, module.input_size_per_partition)
        weight = torch.zeros(size, dtype=torch.int8, device=DEVICE)
        module.weight = torch.nn.Parameter(weight, requires_grad=False)

    engine._llm.apply_model(plant)  # type: ignore[attr-defined]
    loaded = engine._llm.apply_model(read)  # type: ignore[attr-defined]
    with pytest.raises(ModelError, match=r"model\.layers\.1\.mlp\.gate_proj"):
        verify(loaded, precision("bf16"))


# ---------------------------------------------------------------------- quantized weights
@pytest.mark.parametrize(
    ("packing", "method"), [("auto_round:auto_gptq", "gptq"), ("auto_round:auto_awq", "awq")]
)
def test_what_auto_round_wrote_is_known_by_its_packing(
    vllm_model: Path, tmp_path: Path, packing: str, method: str
) -> None:
    folder = auto_round_folder(vllm_model, tmp_path / "m", packing)
    engine, _ = load(folder, precision=f"int4-{method}", dtype="float16")
    (kind,) = engine.arm["layers"]
    assert (kind["method"], kind["bits"], kind["group_size"], kind["count"]) == (method, 4, 32, 14)


@pytest.mark.parametrize("name", ["awq", "gptq"])
def test_a_packed_checkpoint_is_read_and_computed(
    name: str,
    vllm_model: Path,
    request: pytest.FixtureRequest,
    tmp_path: Path,
) -> None:
    packed = request.getfixturevalue(name)
    engine, _ = load(packed, precision=f"int4-{name}", dtype="float16", group_size=GROUP)
    (kind,) = engine.arm["layers"]
    assert (kind["method"], kind["bits"], kind["group_size"], kind["count"]) == (name, 4, GROUP, 14)
    assert "Linear" in kind["kernel"]
    assert engine.arm["weights"]["quantized"] < engine.arm["weights"]["parameters"]
    # Scales of 16 bits and zeros of 4 for a group of 32 weights; and what kernels add.
    assert 4 + 16 / GROUP <= engine.arm["linear_bits_per_weight"] < 6
    requests = [
        LikelihoodRequest(each.name, each.prompt, tuple([token] for token in range(100)))
        for each in sample_requests(engine)
    ]
    measured = [[value for value, _ in each] for each in score(engine, requests)]

    def away_from(folder: Path) -> float:
        model, largest = plain_transformers(folder), 0.0
        for request, values in zip(requests, measured, strict=True):
            with torch.inference_mode():
                logits = model(input_ids=torch.tensor([list(request.tokens)])).logits[0, -1]
            expected = torch.log_softmax(logits, dim=-1)[:100]
            largest = max(largest, float((expected - torch.tensor(values)).abs().max()))
        return largest

    rounded = unpacked(vllm_model, tmp_path / "m", symmetric=name == "gptq")
    assert away_from(rounded) < away_from(vllm_model) / 5


@pytest.mark.parametrize("name", ["awq", "gptq"])
def test_activations_that_a_kernel_rounds_unasked_show(
    request: pytest.FixtureRequest, name: str
) -> None:
    """vLLM does so by default on CPUs with AMX, and no configuration says it."""
    engine, _ = load(request.getfixturevalue(name), precision=f"int4-{name}", dtype="bfloat16")

    def plant(model: Any) -> None:
        model.get_submodule("model.layers.0.mlp.down_proj").use_w4a8 = True

    engine._llm.apply_model(plant)  # type: ignore[attr-defined]
    loaded = engine._llm.apply_model(read)  # type: ignore[attr-defined]
    with pytest.raises(ModelError, match=r"1 of 14 .*down_proj .*activations rounded to 8 bits"):
        verify(loaded, precision(f"int4-{name}"))


def test_another_group_size_is_refused(awq: Path) -> None:
    with pytest.raises(ModelError, match="group size"):
        load(awq, precision="int4-awq", dtype="float16", group_size=128)
    engine, _ = load(awq, precision="int4-awq", dtype="float16")
    loaded = engine._llm.apply_model(read)  # type: ignore[attr-defined]
    with pytest.raises(ModelError, match="groups of 32 was asked for, but 14 of 14"):
        verify(loaded, precision("int4-awq"), group_size=32)


def test_what_a_checkpoint_leaves_out_may_stay(vllm_model: Path, tmp_path: Path) -> None:
    """It is declared by the names of the checkpoint, of layers that vLLM has merged."""
    config = awq_config(GROUP, modules_to_not_convert=["model.layers.1.mlp"])
    folder = quantized_folder(
        vllm_model, tmp_path / "m", config, keep=lambda name: ".layers.1.mlp." in name
    )
    engine, _ = load(folder, precision="int4-awq", dtype="float16")
    assert sorted(each["count"] for each in engine.arm["layers"]) == [3, 11]
    assert "model.layers.1.mlp.up_proj" in engine.arm["unquantized"]


@pytest.mark.skipif(not ON_CPU, reason="a GPU makes it")
def test_what_this_device_cannot_do_is_refused_with_its_reason(vllm_model: Path) -> None:
    with pytest.raises(ModelError, match=r"precision=fp8: vLLM cannot load it: .*a GPU"):
        load(vllm_model, precision="fp8", dtype="bfloat16")


@pytest.mark.skipif(ON_CPU, reason="needs a GPU")
@pytest.mark.parametrize("name", ["fp8", "int4-nf4"])
def test_weights_that_are_made_on_loading(vllm_model: Path, name: str) -> None:
    engine, _ = load(vllm_model, precision=name, dtype="bfloat16")
    (kind,) = engine.arm["layers"]
    assert (kind["bits"], kind["count"]) == (precision(name).bits, 14)
    sixteen, _ = load(vllm_model, precision="bf16")
    requests = sample_requests(engine)
    likely = [
        LikelihoodRequest(each.name, each.prompt, tuple([token] for token in range(3, 60)))
        for each in requests
    ]
    pairs = zip(score(engine, likely), score(sixteen, likely), strict=True)
    apart = [abs(a - b) for one, other in pairs for (a, _), (b, _) in zip(one, other, strict=True)]
    assert 0 < sum(apart) / len(apart) < 0.1


# ---------------------------------------------------------------------- identity
def test_the_identity_of_loaded_weights(awq: Path, vllm_model: Path, tmp_path: Path) -> None:
    """The same weights anywhere are one arm; one other weight is another."""
    copied = tmp_path / "elsewhere"
    shutil.copytree(awq, copied)
    one, other = (load(each, precision="int4-awq", dtype="float16")[0] for each in (awq, copied))
    assert canonical(plain(one.identity)) == canonical(plain(other.identity))
    assert "loaded" in one.identity["weights"]
    tensors = read_tensors(copied)
    tensors["model.layers.0.mlp.up_proj.qweight"][0, 0] ^= 1
    write_tensors(copied, tensors)
    changed, _ = load(copied, precision="int4-awq", dtype="float16")
    assert changed.identity["weights"] != one.identity["weights"]


def test_the_identity_of_weights_that_cannot_be_read(vllm_model: Path, tmp_path: Path) -> None:
    engine, _ = load(vllm_model)
    assert ("stored" if ON_CPU else "loaded") in engine.identity["weights"]
    copied = tmp_path / "elsewhere"
    shutil.copytree(vllm_model, copied)
    tensors = read_tensors(copied)
    tensors["model.norm.weight"][3] += 1
    write_tensors(copied, tensors)
    changed, _ = load(copied)
    assert changed.identity["weights"] != engine.identity["weights"]


def test_what_matters_is_in_the_identity(vllm_model: Path) -> None:
    engine, _ = load(vllm_model)
    before: Mapping[str, Any] = engine.identity
    assert json.loads(canonical(plain(before)))
    assert {"torch"} < set(before["versions"])
    assert before["dtype"] == "float32"
    assert before["attention"]
    other, _ = load(vllm_model, kv_cache_memory_bytes=16 << 20, batch_size=2)
    assert canonical(plain(other.identity)) == canonical(plain(before))
    assert generate(other, sample_requests(other)) == generate(engine, sample_requests(engine))
