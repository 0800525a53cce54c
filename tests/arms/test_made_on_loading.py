"""Arms that a library makes while a model loads: what they are, and lies about them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from random_models import save_random_model

torch = pytest.importorskip("torch", reason="the hf extra is not installed")
import transformers  # noqa: E402
from lm_eval.api.instance import Instance  # noqa: E402

from qrag_tasks.arms.checkpoints import read_checkpoint  # noqa: E402
from qrag_tasks.arms.components import weights_digest  # noqa: E402
from qrag_tasks.arms.layers import linear_layers  # noqa: E402
from qrag_tasks.arms.loading import check_installed, loading_arguments  # noqa: E402
from qrag_tasks.arms.precisions import format_of, precisions  # noqa: E402
from qrag_tasks.arms.smoke import smoke_check  # noqa: E402
from qrag_tasks.arms.verification import verify  # noqa: E402
from qrag_tasks.errors import ModelError, SettingsError  # noqa: E402
from qrag_tasks.harness.model import QragLM  # noqa: E402
from qrag_tasks.quantizing.quantize import quantize  # noqa: E402

METHODS = ("torchao", "hqq", "quanto")
NAMES = [name for name, row in precisions().items() if row.method in METHODS]
FIRST = "model.layers.0.self_attn.q_proj"
TEXT = "a review of the kettle that I bought for my small kitchen"
LOUDER = [torch.zeros_like, lambda out: out * float("nan"), lambda out: out * 1.05]


@pytest.fixture(scope="module")
def model_folder(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose rows are long enough for groups of 128."""
    return save_random_model(
        "Llama",
        tiny_model,
        tmp_path_factory.mktemp("models") / "small",
        seed=0,
        hidden_size=256,
        intermediate_size=384,
        num_hidden_layers=2,
        num_attention_heads=4,
        dtype=torch.bfloat16,
    )


every_precision = pytest.mark.parametrize("name", NAMES)


def load(folder: Path, name: str) -> Any:
    """Load as an arm is loaded; skips the test where the library is missing."""
    row = precisions()[name]
    try:
        check_installed(row)
    except ModelError as error:
        pytest.skip(str(error))
    format_of(row).prepare()
    config = transformers.AutoConfig.from_pretrained(folder)
    return transformers.AutoModelForCausalLM.from_pretrained(
        folder,
        dtype=torch.bfloat16,
        device_map={"": "cpu"},
        **loading_arguments(row, config, torch.bfloat16),
    )


def others(name: str) -> list[str]:
    """Another precision of the same format, one of another, and one that is not quantized."""
    method = precisions()[name].method
    same = [each for each in NAMES if precisions()[each].method == method and each != name]
    return [*same, "int8", "bf16"]


@every_precision
def test_an_arm_is_what_it_claims(model_folder: Path, name: str) -> None:
    row, model = precisions()[name], load(model_folder, name)
    arm = verify(model, row)
    assert [count for _, count in arm.layers] == [14, 1]
    assert arm.unquantized == ("model.embed_tokens", "lm_head")
    block = [layer for layer in linear_layers(model) if layer.role == "block"]
    assert arm.weights.quantized == sum(layer.bytes for layer in block)
    plain = 2 * sum(layer.in_features * layer.out_features for layer in block)
    assert arm.weights.quantized < plain * (row.bits / 16 + 0.1)
    assert smoke_check(model).error > 0


@every_precision
def test_no_other_precision_is_believed(model_folder: Path, name: str) -> None:
    model = load(model_folder, name)
    for other in others(name):
        with pytest.raises(ModelError, match=rf"precision={other} was asked for, but 14 of 1.*q_p"):
            verify(model, precisions()[other])


@every_precision
def test_a_layer_that_is_not_quantized_is_named(model_folder: Path, name: str) -> None:
    model = load(model_folder, name)
    plain = transformers.AutoModelForCausalLM.from_pretrained(model_folder, dtype=torch.bfloat16)
    model.model.layers[1].mlp.up_proj = plain.model.layers[1].mlp.up_proj
    with pytest.raises(ModelError, match=r"1 of 14 .*layers\.1\.mlp\.up_proj \(Linear, bfloat16"):
        verify(model, precisions()[name])


@every_precision
def test_a_layer_of_another_kind_is_named(model_folder: Path, name: str) -> None:
    model = load(model_folder, name)
    for other in others(name)[:-1]:
        stranger = load(model_folder, other).model.layers[1].mlp.up_proj
        model.model.layers[1].mlp.up_proj = stranger
        with pytest.raises(ModelError, match=r"1 of 14 .*layers\.1\.mlp\.up_proj \("):
            verify(model, precisions()[name])


@every_precision
@pytest.mark.parametrize("broken", LOUDER)
def test_a_kernel_that_returns_something_else(model_folder: Path, name: str, broken: Any) -> None:
    model = load(model_folder, name)
    assert smoke_check(model).layer == FIRST
    model.get_submodule(FIRST).register_forward_hook(lambda _, __, out: broken(out))
    with pytest.raises(ModelError, match=rf"{FIRST} .*computes something else.*relative error"):
        smoke_check(model)


def tensors_within(tensor: Any) -> list[Any]:
    """The tensors that one which wraps others is made of; itself where it is none of those."""
    flatten = getattr(type(tensor), "__tensor_flatten__", None)
    if flatten is None:
        return [tensor]
    parts = (getattr(tensor, part) for part in flatten(tensor)[0])
    return [inner for part in parts for inner in tensors_within(part)]


def packed_parts(layer: Any) -> list[Any]:
    """All that a layer's weight is made of: codes, scales, zeros."""
    kept = getattr(layer, "meta", {}).values()
    held = [*layer.parameters(recurse=False), *(one for one in kept if torch.is_tensor(one))]
    return [inner for tensor in held for inner in tensors_within(tensor)]


@every_precision
def test_a_changed_weight_is_another_arm(model_folder: Path, name: str) -> None:
    model = load(model_folder, name)
    before = weights_digest(model)
    assert weights_digest(load(model_folder, name)) == before
    with torch.no_grad():
        model(torch.arange(8)[None])
    assert weights_digest(model) == before
    parts = packed_parts(model.get_submodule(FIRST))
    assert len(parts) >= 2
    digests = {before}
    for part in parts:
        part.data.view(torch.uint8).view(-1)[0] ^= 1
        digests.add(weights_digest(model))
    assert len(digests) == 1 + len(parts)


@every_precision
def test_it_answers_and_says_what_it_is(model_folder: Path, name: str) -> None:
    load(model_folder, name)
    lm = QragLM(str(model_folder), precision=name, device="cpu")
    row = precisions()[name]
    assert set(format_of(row).packages) < set(lm.identity.parts["versions"])
    asked = {
        "generate_until": (TEXT, {"until": [], "do_sample": False, "max_gen_toks": 6}),
        "loglikelihood": (TEXT, " again"),
    }
    for kind, arguments in asked.items():
        instance = Instance(kind, doc={}, arguments=arguments, idx=0, metadata=("task", 0, 1))
        (answer,) = getattr(lm, kind)([instance])
        assert answer
    assert lm.engine.arm["precision"] == name
    assert lm.engine.arm["weights"]["quantized"] == verify(lm.engine.model, row).weights.quantized


@every_precision
def test_saved_by_the_quantize_command(model_folder: Path, tmp_path: Path, name: str) -> None:
    made = load(model_folder, name)
    if not format_of(precisions()[name]).quantizer:
        with pytest.raises(SettingsError, match="nothing here makes a checkpoint of it"):
            quantize(str(model_folder), name, tmp_path / "out", device="cpu")
        return
    provenance = quantize(str(model_folder), name, tmp_path / "out", device="cpu")
    assert (provenance["precision"], provenance["calibration"]) == (name, None)
    assert set(precisions()[name].needs) < set(provenance["versions"])
    lm = QragLM(str(tmp_path / "out"), device="cpu")
    assert lm.engine.precision.name == name
    assert weights_digest(lm.engine.model) == weights_digest(made)


@every_precision
def test_a_checkpoint_says_what_it_is(model_folder: Path, tmp_path: Path, name: str) -> None:
    model = load(model_folder, name)
    if not format_of(precisions()[name]).has_checkpoints:
        with pytest.raises(ValueError, match="not serializable"):
            model.save_pretrained(tmp_path)
        return
    model.save_pretrained(tmp_path)
    checkpoint = read_checkpoint(str(tmp_path))
    assert checkpoint.precision == precisions()[name]
    assert weights_digest(load(tmp_path, name)) == weights_digest(load(model_folder, name))


@pytest.mark.parametrize("name", ["int4-quanto", "int2-quanto"])
def test_quanto_needs_no_compiler(
    model_folder: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def compiles(**_: Any) -> None:
        raise AssertionError("it compiles an extension")

    pytest.importorskip("optimum.quanto", reason="the quanto extra is not installed")
    monkeypatch.setattr("optimum.quanto.library.extensions.extension.load", compiles)
    model = load(model_folder, name)
    with torch.no_grad():
        assert model(torch.arange(8)[None]).logits.isfinite().all()


def test_quanto_chooses_no_kernel_that_nvcc_compiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """It registers this extension wherever torch sees a GPU, with a compiler or without."""
    library = pytest.importorskip(
        "optimum.quanto.library.extensions.extension", reason="the quanto extra is not installed"
    )
    from qrag_tasks.arms.formats.quanto import unpack_with_torch

    gpu = library.Extension("quanto_cuda", "/", [])
    monkeypatch.setitem(library._extensions, gpu.name, gpu)
    assert library.is_extension_available(gpu.name)
    unpack_with_torch()
    assert not library.is_extension_available(gpu.name)
    codes = torch.tensor([[0, 3], [2, 1]], dtype=torch.uint8)
    assert torch.equal(gpu.lib.unpack(codes[0] | codes[1] << 2, 2)[:4], codes.flatten())
