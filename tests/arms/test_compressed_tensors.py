"""Checkpoints of compressed-tensors: what they are, what becomes of them, and lies about them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from compressed_files import (
    SCHEMES,
    compressed_config,
    compressed_folder,
    compressed_tensors,
    dequantized,
    weights_of,
)
from quantized_files import change_config, read_tensors, write_tensors

torch = pytest.importorskip("torch", reason="the hf extra is not installed")
import transformers  # noqa: E402
from lm_eval.api.instance import Instance  # noqa: E402

from qrag_tasks.arms.checkpoints import check_checkpoint, own_precision, read_checkpoint  # noqa: E402
from qrag_tasks.arms.components import weights_digest  # noqa: E402
from qrag_tasks.arms.formats.base import StoredLayer  # noqa: E402
from qrag_tasks.arms.layers import linear_layers  # noqa: E402
from qrag_tasks.arms.loading import asked_arm, loading_arguments  # noqa: E402
from qrag_tasks.arms.precisions import format_of, precision  # noqa: E402
from qrag_tasks.arms.smoke import smoke_check  # noqa: E402
from qrag_tasks.arms.stored_layers import block_layers  # noqa: E402
from qrag_tasks.arms.verification import VerifiedArm, verify  # noqa: E402
from qrag_tasks.errors import ModelError  # noqa: E402
from qrag_tasks.harness.model import QragLM  # noqa: E402

FIRST = "model.layers.0.self_attn.q_proj"
OTHER = "model.layers.1.mlp.up_proj"
GROUP = 32
every_scheme = pytest.mark.parametrize("scheme", SCHEMES)


def write(plain: Path, folder: Path, scheme: str, **changes: Any) -> Path:
    config = compressed_config(scheme, GROUP)
    weights_of(config).update(changes)
    return compressed_folder(plain, folder / scheme, config)


def load(folder: Path, dtype: Any = torch.bfloat16, *, unpack: bool = True) -> Any:
    """Load as an arm is loaded; skips the test where the library is missing."""
    pytest.importorskip("compressed_tensors", reason="the extra is not installed")
    row = precision(read_checkpoint(str(folder)).declared.quant_type or "")
    config = transformers.AutoConfig.from_pretrained(folder)
    model = transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=dtype, device_map={"": "cpu"}, **loading_arguments(row, config, dtype)
    )
    if unpack:
        format_of(row).settle(model)
    return model


def check(model: Any, folder: Path, name: str = "") -> VerifiedArm:
    declared = read_checkpoint(str(folder)).declared
    row = precision(name or declared.quant_type or "")
    return verify(model, row, declared=declared.unquantized)


def layer(folder: Path, name: str = FIRST) -> StoredLayer:
    layers = block_layers(read_checkpoint(str(folder)).tensors or {})
    return next(each for each in layers if each.name == name)


# ---------------------------------------------------------------------- what a checkpoint is
@every_scheme
def test_a_checkpoint_says_what_it_is(tiny_model: Path, tmp_path: Path, scheme: str) -> None:
    folder = write(tiny_model, tmp_path, scheme)
    checkpoint, row = read_checkpoint(str(folder)), precision(scheme)
    assert checkpoint.precision == row
    check_checkpoint(checkpoint, row)
    stored = layer(folder)
    assert (stored.bits, stored.in_features, stored.out_features) == (row.bits, 64, 64)
    for other in {"w4a16", "w8a8-int8", "w8a8-fp8", "bf16"} - {scheme}:
        with pytest.raises(ModelError, match=rf"quantized already .*{scheme}.*precision={scheme}"):
            check_checkpoint(checkpoint, precision(other))


def test_group_sizes_are_compared(tiny_model: Path, tmp_path: Path) -> None:
    folder = write(tiny_model, tmp_path, "w4a16")
    checkpoint, row = read_checkpoint(str(folder)), precision("w4a16")
    check_checkpoint(checkpoint, row, GROUP)
    with pytest.raises(ModelError, match="says that its group size is 32"):
        check_checkpoint(checkpoint, row, 64)
    rows = write(tiny_model, tmp_path / "rows", "w4a16", strategy="channel", group_size=None)
    check_checkpoint(read_checkpoint(str(rows)), row, -1)


@pytest.mark.parametrize(
    ("ignore", "left"),
    [
        (["re:.*down_proj$", "lm_head"], 2),
        (["re:model\\.layers\\.1", "lm_head"], 7),
        ([OTHER, "lm_head"], 1),
    ],
)
def test_layers_that_are_left_out(
    tiny_model: Path, tmp_path: Path, ignore: list[str], left: int
) -> None:
    config = {**compressed_config("w8a8-int8"), "ignore": ignore}
    marks = (OTHER,) if left == 1 else ("down_proj",) if left == 2 else (".layers.1.",)
    folder = compressed_folder(
        tiny_model, tmp_path / "m", config, keep=lambda name: any(m in name for m in marks)
    )
    layers = block_layers(
        read_checkpoint(str(folder)).tensors or {},
        read_checkpoint(str(folder)).declared.unquantized,
    )
    assert sum(each.left_out for each in layers) == left
    check_checkpoint(read_checkpoint(str(folder)), precision("w8a8-int8"))
    assert len(check(load(folder), folder).unquantized) == 1 + left + 1


def test_layers_that_no_group_targets(tiny_model: Path, tmp_path: Path) -> None:
    config = compressed_config("w8a8-int8")
    config["config_groups"]["group_0"]["targets"] = ["re:.*mlp.*", FIRST]
    folder = compressed_folder(
        tiny_model, tmp_path / "m", config, keep=lambda n: "mlp" not in n and FIRST not in n
    )
    check_checkpoint(read_checkpoint(str(folder)), precision("w8a8-int8"))
    assert len(check(load(folder), folder).unquantized) == 1 + 7 + 1


# ---------------------------------------------------------------------- what is not read
def test_layers_in_several_ways_are_refused(tiny_model: Path, tmp_path: Path) -> None:
    config = compressed_config("w4a16", GROUP)
    config["config_groups"]["group_1"] = compressed_config("w8a8-fp8")["config_groups"]["group_0"]
    folder = compressed_folder(tiny_model, tmp_path / "m", config)
    checkpoint, message = (
        read_checkpoint(str(folder)),
        r"several ways .group_0: w4a16, group_1: w",
    )
    with pytest.raises(ModelError, match=message):
        own_precision(checkpoint)
    with pytest.raises(ModelError, match=message):
        check_checkpoint(checkpoint, precision("w4a16"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kv_cache_scheme": {"num_bits": 8}}, r"keys and values .*kv_cache_scheme"),
        ({"transform_config": {"config_groups": {"R1": {}}}}, r"rotated \(transform_config\)"),
        ({"sparsity_config": {"format": "sparse-24-bitmask"}}, r"sparse, too"),
    ],
)
def test_what_else_a_checkpoint_may_do_is_refused(
    tiny_model: Path, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    config = {**compressed_config("w8a8-int8"), **changes}
    folder = compressed_folder(tiny_model, tmp_path / "m", config)
    with pytest.raises(ModelError, match=message):
        check_checkpoint(read_checkpoint(str(folder)), precision("w8a8-int8"))


def test_groups_in_another_order_are_refused(tiny_model: Path, tmp_path: Path) -> None:
    folder = write(tiny_model, tmp_path, "w4a16", actorder="group")
    with pytest.raises(ModelError, match=r"actorder: group.*quantize again"):
        check_checkpoint(read_checkpoint(str(folder)), precision("w4a16"))


def test_a_scheme_without_a_row(tiny_model: Path, tmp_path: Path) -> None:
    folder = write(tiny_model, tmp_path, "w4a16")
    config = compressed_config("w4a16", GROUP)
    weights_of(config)["num_bits"] = 3
    change_config(folder, quantization_config=config)
    with pytest.raises(ModelError, match=r"compressed-tensors, 3 bits w3a16.*none of the known"):
        own_precision(read_checkpoint(str(folder)))


# ---------------------------------------------------------------------- what is loaded
@every_scheme
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_an_arm_is_what_it_claims(
    tiny_model: Path, tmp_path: Path, scheme: str, dtype: Any
) -> None:
    folder, row = write(tiny_model, tmp_path, scheme), precision(scheme)
    model = load(folder, dtype)
    arm = check(model, folder)
    ((kind, count), _) = arm.layers
    assert (count, kind.bits, kind.quant_type) == (14, row.bits, scheme)
    assert str(kind.details).startswith(f"unpacked to {str(dtype)[6:]} on loading")
    assert ("activations" in str(kind.details)) == (SCHEMES[scheme][1] is not None)
    assert arm.weights.quantized >= dtype.itemsize * arm.weights.linear_weights
    bits = arm.weights.linear_bits_per_weight
    assert bits is not None
    assert row.bits < bits < row.bits + 1
    result = smoke_check(model, read_checkpoint(str(folder)))
    exact = dtype == torch.float32 and "vfp4" not in scheme  # which is unpacked to bfloat16
    assert result.error < (1e-5 if exact else 0.1)


@every_scheme
def test_the_formula_is_that_of_the_library(tiny_model: Path, tmp_path: Path, scheme: str) -> None:
    folder = write(tiny_model, tmp_path, scheme)
    checkpoint, model = read_checkpoint(str(folder)), load(folder, torch.float32)
    module, form = model.get_submodule(OTHER), format_of(precision(scheme))
    ours = form.dequantized(module, OTHER, checkpoint.declared, folder)
    torch.testing.assert_close(ours, module.weight.float(), rtol=1e-2, atol=1e-3)
    plain = read_tensors(tiny_model)[f"{OTHER}.weight"].float()
    if "fp4" not in scheme:
        config = compressed_config(scheme, GROUP)
        by_hand = dequantized(compressed_tensors(plain.bfloat16(), config), config)
        torch.testing.assert_close(ours, by_hand)
    assert (ours - plain).norm() / plain.norm() < {2: 0.7, 4: 0.2, 8: 0.03}[precision(scheme).bits]


@pytest.mark.parametrize("scheme", ["w4a16", "w8a8-int8", "w8a8-fp8", "nvfp4a16"])
def test_packed_layers_are_known_before_they_are_unpacked(
    tiny_model: Path, tmp_path: Path, scheme: str
) -> None:
    folder = write(tiny_model, tmp_path, scheme)
    model = load(folder, unpack=False)
    arm = check(model, folder)
    assert not str(arm.layers[0][0].details).startswith("unpacked")
    assert arm.weights.quantized < arm.weights.linear_weights * 1.2


def test_scales_that_were_fixed_beforehand(tiny_model: Path, tmp_path: Path) -> None:
    config = compressed_config("w8a8-fp8", strategy="tensor")
    config["config_groups"]["group_0"]["input_activations"] = {
        "num_bits": 8,
        "type": "float",
        "symmetric": True,
        "strategy": "tensor",
        "dynamic": False,
    }
    folder = compressed_folder(tiny_model, tmp_path / "m", config)
    model = load(folder, torch.float32)
    assert "a scale a tensor, fixed beforehand" in check(model, folder).summary()
    checkpoint = read_checkpoint(str(folder))
    assert smoke_check(model, checkpoint).error < 1e-5


def test_zero_points(tiny_model: Path, tmp_path: Path) -> None:
    folder = write(tiny_model, tmp_path, "w4a16", symmetric=False)
    pytest.importorskip("compressed_tensors", reason="the extra is not installed")
    try:
        asked_arm({"pretrained": str(folder)})
    except ModelError as error:
        assert "has zero points" in str(error) or "have zero points" in str(error)
        assert "engine=vllm" in str(error)
        return
    model = load(folder, torch.float32)
    check(model, folder)
    assert smoke_check(model, read_checkpoint(str(folder))).error < 1e-5


def test_it_answers_and_says_what_it_is(tiny_model: Path, tmp_path: Path) -> None:
    folder = write(tiny_model, tmp_path, "w8a8-int8")
    load(folder)
    lm = QragLM(str(folder), device="cpu")
    assert "compressed_tensors" in lm.identity.parts["versions"]
    (answer,) = lm.generate_until(
        [Instance("generate_until", {}, ("a review", {"until": [], "max_gen_toks": 4}), 0)]
    )
    assert isinstance(answer, str)
    info = lm.get_model_info()["qrag"]
    assert info["precision"] == "w8a8-int8"
    assert "unpacked to bfloat16" in info["arm"]["layers"][0]["details"]
    assert info["smoke_check"]["error"] < 0.02


# ---------------------------------------------------------------------- lies
def test_other_numbers_than_claimed(tiny_model: Path, tmp_path: Path) -> None:
    """Integers that claim to be floating point, and the other way round."""
    for stored, claimed in (("w8a8-int8", "w8a8-fp8"), ("w8a8-fp8", "w8a8-int8")):
        folder = write(tiny_model, tmp_path / claimed, stored)
        change_config(folder, quantization_config=compressed_config(claimed))
        with pytest.raises(
            ModelError, match=rf"{claimed}, but 14 of 14 .*down_proj .*not be what it"
        ):
            check_checkpoint(read_checkpoint(str(folder)), precision(claimed))


def test_other_bits_than_claimed(tiny_model: Path, tmp_path: Path) -> None:
    folder = write(tiny_model, tmp_path, "w8a16")
    change_config(folder, quantization_config=compressed_config("w4a16", GROUP))
    with pytest.raises(ModelError, match=r"4 bits w4a16, but 14 of 14 .*8 bits"):
        check_checkpoint(read_checkpoint(str(folder)), precision("w4a16"))


def test_other_groups_than_claimed(tiny_model: Path, tmp_path: Path) -> None:
    folder = write(tiny_model, tmp_path, "w4a16")
    change_config(folder, quantization_config=compressed_config("w4a16", 16))
    with pytest.raises(ModelError, match=r"says group size 16, but 14 of 14 .*so 32"):
        check_checkpoint(read_checkpoint(str(folder)), precision("w4a16"))


@pytest.mark.parametrize("scheme", ["w4a16", "w8a8-int8", "w8a8-fp8"])
def test_a_layer_that_is_not_quantized_is_named(
    tiny_model: Path, tmp_path: Path, scheme: str
) -> None:
    config = compressed_config(scheme, GROUP)
    folder = compressed_folder(tiny_model, tmp_path / "m", config, keep=lambda n: OTHER in n)
    with pytest.raises(ModelError, match=rf"1 of 14 .*{OTHER} \(BF16, not quantized\)"):
        check_checkpoint(read_checkpoint(str(folder)), precision(scheme))
    whole = write(tiny_model, tmp_path, scheme)
    model = load(whole)
    plain = transformers.AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.bfloat16)
    model.model.layers[1].mlp.up_proj = plain.model.layers[1].mlp.up_proj
    with pytest.raises(ModelError, match=rf"1 of 14 .*{OTHER} \(Linear, bfloat16\)"):
        check(model, whole)


@every_scheme
def test_weights_that_the_scheme_does_not_have(
    tiny_model: Path, tmp_path: Path, scheme: str
) -> None:
    """One weight of an unpacked layer that lies between two codes is enough."""
    folder = write(tiny_model, tmp_path, scheme)
    model = load(folder)
    check(model, folder)
    weight = model.get_submodule(OTHER).weight
    with torch.no_grad():
        weight[3, 5] = weight.abs().max() * 0.777
    with pytest.raises(ModelError, match=rf"1 of 14 .*{OTHER} \(Linear, weights that are not"):
        check(model, folder)


def test_codes_of_four_bits_in_a_byte_each(tiny_model: Path, tmp_path: Path) -> None:
    """As llm-compressor saves them; a code that has no place in four bits is found."""
    packed = write(tiny_model, tmp_path, "w4a8-int8")
    config = compressed_config("w4a8-int8", GROUP)
    config["format"] = config["config_groups"]["group_0"]["format"] = "int-quantized"
    folder = compressed_folder(tiny_model, tmp_path / "bytes", config)
    assert layer(folder).dtype == "I8"
    arms = []
    for each in (packed, folder):
        check_checkpoint(read_checkpoint(str(each)), precision("w4a8-int8"))
        model = load(each)
        arms.append((check(model, each), model))
    (one, of_packed), (other, of_bytes) = arms
    assert torch.equal(of_packed.get_submodule(OTHER).weight, of_bytes.get_submodule(OTHER).weight)
    scales = 16 / GROUP
    assert one.weights.linear_bits_per_weight == 4 + scales
    assert other.weights.linear_bits_per_weight == 8 + scales

    tensors = read_tensors(folder)
    tensors[f"{OTHER}.weight"][3, 5] = 90
    write_tensors(folder, tensors)
    with pytest.raises(ModelError, match=rf"1 of 14 .*{OTHER} \(Linear, weights that are not"):
        check(load(folder), folder)


@pytest.mark.parametrize("scheme", ["w8a8-int8", "w8a8-fp8", "w4a8-int8", "nvfp4"])
def test_activations_that_nobody_rounds(tiny_model: Path, tmp_path: Path, scheme: str) -> None:
    folder = write(tiny_model, tmp_path, scheme)
    model = load(folder)
    model.get_submodule(OTHER).quantization_enabled = False
    with pytest.raises(ModelError, match=rf"1 of 14 .*{OTHER} \(Linear, . bits, \w+a16"):
        check(model, folder)


def test_no_other_precision_is_believed(tiny_model: Path, tmp_path: Path) -> None:
    folder = write(tiny_model, tmp_path, "w8a8-int8")
    model = load(folder)
    for other in ("w8a8-fp8", "w8a16", "w4a16", "int8", "bf16"):
        with pytest.raises(ModelError, match=rf"precision={other} was asked for, but 14 of 1.*q_p"):
            check(model, folder, other)


@pytest.mark.parametrize("scheme", ["w4a16", "w8a8-int8", "w8a8-fp8"])
@pytest.mark.parametrize(
    "broken", [torch.zeros_like, lambda out: out * float("nan"), lambda out: out * 1.05]
)
def test_a_kernel_that_returns_something_else(
    tiny_model: Path, tmp_path: Path, scheme: str, broken: Any
) -> None:
    folder = write(tiny_model, tmp_path, scheme)
    model, checkpoint = load(folder), read_checkpoint(str(folder))
    assert smoke_check(model, checkpoint).layer == FIRST
    model.get_submodule(FIRST).register_forward_hook(lambda _, __, out: broken(out))
    with pytest.raises(ModelError, match=rf"{FIRST} .*computes something else.*relative error"):
        smoke_check(model, checkpoint)


@pytest.mark.parametrize("scheme", ["w4a16", "w8a8-int8", "nvfp4a16"])
def test_a_changed_weight_is_another_arm(tiny_model: Path, tmp_path: Path, scheme: str) -> None:
    folder = write(tiny_model, tmp_path, scheme)
    model = load(folder)
    before = weights_digest(model)
    with torch.no_grad():
        model(torch.arange(8)[None])
    assert weights_digest(model) == before == weights_digest(load(folder))
    tensors = read_tensors(folder)
    for part in ("weight_packed", "weight"):
        if (name := f"{OTHER}.{part}") in tensors:
            tensors[name].view(-1)[0] ^= 1
    write_tensors(folder, tensors)
    assert weights_digest(load(folder)) != before


def test_layers_are_listed_whole(tiny_model: Path, tmp_path: Path) -> None:
    folder = write(tiny_model, tmp_path, "w4a16", strategy="channel", group_size=None)
    model = load(folder)
    assert verify(model, precision("w4a16"), group_size=-1).precision == "w4a16"
    block = [each for each in linear_layers(model) if each.role == "block"]
    assert {each.group_size for each in block} == {each.in_features for each in block}
