"""What a checkpoint is, told from its configuration and headers alone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from quantized_files import (
    auto_round_config,
    auto_round_folder,
    awq_config,
    change_config,
    gptq_config,
    quantized_folder,
    read_tensors,
    write_tensors,
)

torch = pytest.importorskip("torch", reason="the hf extra is not installed")

from qrag_tasks.arms.checkpoints import (  # noqa: E402
    Checkpoint,
    check_checkpoint,
    own_precision,
    read_checkpoint,
)
from qrag_tasks.arms.precisions import precision as precision_named  # noqa: E402
from qrag_tasks.errors import ModelError  # noqa: E402

Q_PROJ = "model.layers.0.self_attn.q_proj"
BNB4 = {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}


def copied(model: Path, folder: Path, **changes: Any) -> Path:
    shutil.copytree(model, folder)
    change_config(folder, **changes)
    return folder


def check(folder: Path, precision: str, group_size: int | None = None) -> None:
    check_checkpoint(read_checkpoint(str(folder)), precision_named(precision), group_size)


@pytest.fixture(scope="module")
def bitsandbytes_folders(
    tiny_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Path]:
    transformers = pytest.importorskip("transformers", reason="the hf extra is not installed")

    def save(**arguments: Any) -> Path:
        config = transformers.BitsAndBytesConfig(**arguments)
        folder = tmp_path_factory.mktemp("bitsandbytes")
        transformers.AutoModelForCausalLM.from_pretrained(
            tiny_model, quantization_config=config, device_map={"": "cpu"}
        ).save_pretrained(folder)
        return folder

    return save


@pytest.fixture(scope="module")
def nf4(bitsandbytes_folders: Callable[..., Path]) -> Path:
    return bitsandbytes_folders(load_in_4bit=True, bnb_4bit_quant_type="nf4")


def test_a_plain_checkpoint_is_read(tiny_model: Path) -> None:
    checkpoint = read_checkpoint(str(tiny_model))
    assert checkpoint.quantization is None
    assert checkpoint.folder == tiny_model
    assert checkpoint.config["model_type"] == "llama"
    assert checkpoint.tensors is not None
    facts = checkpoint.tensors[f"{Q_PROJ}.weight"]
    assert (facts.dtype, facts.shape) == ("BF16", (64, 64))
    assert own_precision(checkpoint).name == "bf16"


def test_shards_are_read(tiny_model: Path, tmp_path: Path) -> None:
    folder = copied(tiny_model, tmp_path / "shards")
    tensors = read_tensors(folder)
    parts = {"a": dict(list(tensors.items())[:5]), "b": dict(list(tensors.items())[5:])}
    for name, part in parts.items():
        write_tensors(folder, part)
        (folder / "model.safetensors").rename(folder / f"{name}.safetensors")
    index = {key: f"{name}.safetensors" for name, part in parts.items() for key in part}
    path = folder / "model.safetensors.index.json"
    path.write_text(json.dumps({"weight_map": index}))
    whole = read_checkpoint(str(tiny_model)).tensors
    assert read_checkpoint(str(folder)).tensors == whole
    path.write_text(json.dumps({"weight_map": {**index, "extra": "a.safetensors"}}))
    with pytest.raises(ModelError, match="names extra, which is in none"):
        read_checkpoint(str(folder))
    (folder / "b.safetensors").unlink()
    with pytest.raises(ModelError, match=r"names b\.safetensors, which is not there"):
        read_checkpoint(str(folder))


def test_pickled_weights_have_no_headers(tiny_model: Path, tmp_path: Path) -> None:
    folder = copied(tiny_model, tmp_path / "pickled")
    torch.save(read_tensors(folder), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    assert read_checkpoint(str(folder)).tensors is None


def test_what_is_no_checkpoint(tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is a file: name the folder that holds it"):
        read_checkpoint(str(tiny_model / "model.safetensors"))
    (tmp_path / "a.gguf").write_bytes(b"GGUF")
    with pytest.raises(ModelError, match=r"gguf_file=a\.gguf"):
        read_checkpoint(str(tmp_path / "a.gguf"))
    with pytest.raises(ModelError, match=r"It holds a\.gguf\. Give --model qrag"):
        read_checkpoint(str(tmp_path))
    with pytest.raises(ModelError, match="no such folder"):
        read_checkpoint(str(tmp_path / "nothing"))
    with pytest.raises(ModelError, match="no such folder, and the hub does not give"):
        read_checkpoint("nobody/nothing-of-that-name")
    with pytest.raises(ModelError, match=r"no such folder: .*inner"):
        read_checkpoint(str(tiny_model), subfolder="inner")
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "adapter_config.json").write_text("{}")
    with pytest.raises(ModelError, match="as peft="):
        read_checkpoint(str(tmp_path / "adapter"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match=r"has no config\.json in"):
        read_checkpoint(str(tmp_path / "empty"))


@pytest.mark.parametrize("content", ["{", "[]", "\udc80"])
def test_a_configuration_that_is_no_json(tiny_model: Path, tmp_path: Path, content: str) -> None:
    folder = copied(tiny_model, tmp_path / "model")
    (folder / "config.json").write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(ModelError, match=r"config\.json: (cannot be read as JSON|holds a list)"):
        read_checkpoint(str(folder))


@pytest.mark.parametrize("kept", [4, 100, -10])
def test_damaged_weights(tiny_model: Path, tmp_path: Path, kept: int) -> None:
    folder = copied(tiny_model, tmp_path / "model")
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ModelError, match=r"model\.safetensors: is no whole safetensors file"):
        read_checkpoint(str(folder))
    path.unlink()
    with pytest.raises(ModelError, match="holds no weights"):
        read_checkpoint(str(folder))


def test_the_hubs_cache(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    repository = tmp_path / "models--me--tiny"
    snapshot = repository / "snapshots" / ("0" * 40)
    shutil.copytree(tiny_model, snapshot)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0" * 40)
    checkpoint = read_checkpoint("me/tiny")
    assert checkpoint.folder == snapshot
    assert checkpoint.tensors == read_checkpoint(str(tiny_model)).tensors
    (snapshot / "model.safetensors").unlink()
    assert read_checkpoint("me/tiny").tensors is None
    index = {"weight_map": {"a": "not-yet-here.safetensors"}}
    (snapshot / "model.safetensors.index.json").write_text(json.dumps(index))
    assert read_checkpoint("me/tiny").tensors is None


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"dtype": "float16"}, "fp16"),
        ({"torch_dtype": "float32"}, "fp32"),
        ({"text_config": {"dtype": "bfloat16"}}, "bf16"),
        ({}, "fp32"),
    ],
)
def test_own_precision_of_plain_weights(config: dict[str, Any], expected: str) -> None:
    assert own_precision(Checkpoint("x", config)).name == expected


@pytest.mark.parametrize(
    ("quantization", "expected"),
    [
        (BNB4, "int4-nf4"),
        ({**BNB4, "bnb_4bit_quant_type": "fp4"}, "int4-fp4"),
        ({"load_in_4bit": True}, "int4-fp4"),
        ({"quant_method": "bitsandbytes", "load_in_8bit": True}, "int8"),
        (gptq_config(128), "int4-gptq"),
        ({"bits": 4, "group_size": 128, "desc_act": False}, "int4-gptq"),
        (awq_config(128), "int4-awq"),
        ({"w_bit": 4, "q_group_size": 128, "version": "GEMM"}, "int4-awq"),
    ],
)
def test_own_precision_of_quantized_weights(quantization: Any, expected: str) -> None:
    assert own_precision(Checkpoint("x", {}, quantization)).name == expected


@pytest.mark.parametrize(
    ("quantization", "named"),
    [
        (gptq_config(128, bits=5), "gptq, 5 bits"),
        ({"quant_method": "mxfp4"}, "mxfp4"),
        ({"quant_method": "nobody-has-this", "format": "packed"}, "nobody-has-this"),
    ],
)
def test_a_quantization_without_a_row(quantization: Any, named: str) -> None:
    with pytest.raises(ModelError, match=f"quantized by {named}.*int4-nf4"):
        own_precision(Checkpoint("x", {}, quantization))
    with pytest.raises(ModelError, match=f"is quantized already .{named}"):
        check_checkpoint(Checkpoint("x", {}, quantization), precision_named("int4-gptq"))


def test_own_precision_without_a_dtype(tiny_model: Path, tmp_path: Path) -> None:
    folder = copied(tiny_model, tmp_path / "model", dtype=None, torch_dtype=None)
    assert own_precision(read_checkpoint(str(folder))).name == "bf16"
    tensors = read_tensors(folder)
    norm = "model.norm.weight"
    write_tensors(folder, {**tensors, norm: tensors[norm].float()})
    assert own_precision(read_checkpoint(str(folder))).name == "bf16"
    with pytest.raises(ModelError, match="is in float8_e4m3fn"):
        own_precision(Checkpoint("x", {"dtype": "float8_e4m3fn"}))


@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16", "int8", "int4-nf4", "int4-fp4"])
def test_plain_checkpoints_become_these(tiny_model: Path, precision: str) -> None:
    check(tiny_model, precision)


@pytest.mark.parametrize("precision", ["int4-gptq", "int4-awq"])
def test_plain_checkpoints_do_not_become_these(tiny_model: Path, precision: str) -> None:
    with pytest.raises(ModelError, match=f"is not quantized.*--precision {precision} --out"):
        check(tiny_model, precision)


GPTQ_AND_AWQ = [
    ("int4-gptq", gptq_config(32)),
    ("int4-gptq", gptq_config(16, checkpoint_format="gptq_v2")),
    ("int4-gptq", gptq_config(-1)),
    ("int4-awq", awq_config(32)),
    ("int4-awq", awq_config(-1)),
]


@pytest.mark.parametrize(("precision", "config"), GPTQ_AND_AWQ)
def test_whole_gptq_and_awq_checkpoints(
    tiny_model: Path, tmp_path: Path, precision: str, config: dict[str, Any]
) -> None:
    folder = quantized_folder(tiny_model, tmp_path / "model", config)
    assert own_precision(read_checkpoint(str(folder))).name == precision
    check(folder, precision)
    check(folder, precision, config["group_size"])
    with pytest.raises(ModelError, match=r"group_size=64: .* its group size is"):
        check(folder, precision, 64)
    for other in {"fp16", "int8", "int4-nf4", "int4-gptq", "int4-awq"} - {precision}:
        with pytest.raises(ModelError, match=f"{other}: .*already .*or give precision={precision}"):
            check(folder, other)


@pytest.mark.parametrize(
    ("precision", "config"),
    [("int4-gptq", gptq_config(32)), ("int4-awq", awq_config(32)), ("int4-nf4", BNB4)],
)
def test_unquantized_weights_that_pose_as_quantized(
    tiny_model: Path, tmp_path: Path, precision: str, config: dict[str, Any]
) -> None:
    folder = copied(tiny_model, tmp_path / "model", quantization_config=config)
    with pytest.raises(ModelError, match=r"14 of 14 linear layers.*down_proj \(BF16, not quantiz"):
        check(folder, precision)


@pytest.mark.parametrize(("precision", "config"), GPTQ_AND_AWQ)
def test_half_quantized(
    tiny_model: Path, tmp_path: Path, precision: str, config: dict[str, Any]
) -> None:
    folder = quantized_folder(
        tiny_model, tmp_path / "model", config, keep=lambda name: "layers.1.mlp" in name
    )
    with pytest.raises(ModelError, match=r"3 of 14 linear .*layers\.1\.mlp\.down_proj \(BF16, not"):
        check(folder, precision)


def test_half_quantized_by_bitsandbytes(nf4: Path, tiny_model: Path, tmp_path: Path) -> None:
    folder = copied(nf4, tmp_path / "model")
    tensors = {k: v for k, v in read_tensors(nf4).items() if not k.startswith(Q_PROJ)}
    plain = read_tensors(tiny_model)[f"{Q_PROJ}.weight"]
    write_tensors(folder, {**tensors, f"{Q_PROJ}.weight": plain})
    with pytest.raises(ModelError, match=rf"1 of 14 linear .*not: {Q_PROJ} \(BF16"):
        check(folder, "int4-nf4")


def test_what_is_declared_may_stay(tiny_model: Path, tmp_path: Path) -> None:
    configs = {
        "awq": awq_config(32, modules_to_not_convert=["mlp.down_proj"]),
        "gptq": gptq_config(
            32,
            modules_in_block_to_quantize=[
                [f"self_attn.{part}_proj" for part in "qkvo"],
                ["mlp.up_proj", "mlp.gate_proj"],
            ],
        ),
    }
    for method, config in configs.items():
        folder = quantized_folder(
            tiny_model, tmp_path / method, config, keep=lambda name: "down_proj" in name
        )
        check(folder, f"int4-{method}")
        quantized = config.copy()
        plain = copied(tiny_model, tmp_path / f"plain-{method}", quantization_config=quantized)
        with pytest.raises(ModelError, match="12 of 14 linear layers"):
            check(plain, f"int4-{method}")


def test_what_is_declared_may_not_be_quantized_otherwise(nf4: Path, tmp_path: Path) -> None:
    fp4 = {**BNB4, "bnb_4bit_quant_type": "fp4", "llm_int8_skip_modules": ["q_proj"]}
    folder = copied(nf4, tmp_path / "model", quantization_config=fp4)
    tensors = {
        name.replace("__nf4", "__fp4") if "q_proj" not in name else name: tensor
        for name, tensor in read_tensors(nf4).items()
    }
    write_tensors(folder, tensors)
    with pytest.raises(ModelError, match=r"2 of 14 .*q_proj \(bitsandbytes 4 bits nf4\)"):
        check(folder, "int4-fp4")


def test_declaring_everything_is_no_way_out(tiny_model: Path, tmp_path: Path) -> None:
    config = awq_config(32, modules_to_not_convert=["model"])
    folder = copied(tiny_model, tmp_path / "model", quantization_config=config)
    with pytest.raises(ModelError, match="14 of 14 linear layers"):
        check(folder, "int4-awq")


@pytest.mark.parametrize(
    ("precision", "config"), [("int4-gptq", gptq_config(32)), ("int4-awq", awq_config(32))]
)
@pytest.mark.parametrize("packed", [16, 64])
def test_a_group_size_that_the_tensors_contradict(
    tiny_model: Path, tmp_path: Path, precision: str, config: dict[str, Any], packed: int
) -> None:
    folder = quantized_folder(tiny_model, tmp_path / "model", config, packed_group_size=packed)
    with pytest.raises(ModelError, match=f"says group size 32, but 14 of 14 .* so {packed}$"):
        check(folder, precision)


@pytest.mark.parametrize(
    ("packing", "changes", "message"),
    [
        (
            "auto_round:llm_compressor",
            {"data_type": "mx_fp"},
            "packing auto_round:llm_compressor, ",
        ),
        ("auto_round", {"data_type": "fp8"}, "data type fp8, which is not read .packings that are"),
        ("auto_round", {"act_bits": 8}, "activations in 8 bits, which is not read"),
        (
            "auto_round:auto_gptq",
            {"extra_config": {"model.layers.0.mlp.up_proj": {"bits": 8}}},
            r"some modules otherwise .extra_config: model\.layers\.0\.mlp\.up_proj",
        ),
    ],
)
def test_what_auto_round_writes_and_nothing_here_reads(
    tiny_model: Path, tmp_path: Path, packing: str, changes: Any, message: str
) -> None:
    folder = auto_round_folder(tiny_model, tmp_path / "model", "auto_round:auto_gptq")
    config = auto_round_config(packing, **changes)
    change_config(folder, quantization_config=config)
    with pytest.raises(ModelError, match=message):
        check(folder, "int4-gptq")
    head = auto_round_config("auto_round:auto_gptq", extra_config={"lm_head": {"bits": 16}})
    change_config(folder, quantization_config=head)
    check(folder, "int4-gptq")


def test_other_bits_than_the_file_says(tiny_model: Path, tmp_path: Path) -> None:
    folder = quantized_folder(tiny_model, tmp_path / "model", gptq_config(32, bits=8))
    assert own_precision(read_checkpoint(str(folder))).name == "int8-gptq"
    change_config(folder, quantization_config=gptq_config(32))
    with pytest.raises(ModelError, match=r"14 of 14 .*\(gptq 8 bits\)"):
        check(folder, "int4-gptq")


def test_another_method_than_the_file_says(tiny_model: Path, tmp_path: Path) -> None:
    folder = quantized_folder(tiny_model, tmp_path / "model", gptq_config(32))
    change_config(folder, quantization_config=awq_config(32))
    with pytest.raises(ModelError, match=r"14 of 14 .*\(gptq 4 bits\)"):
        check(folder, "int4-awq")


def test_quantized_weights_that_pose_as_plain(tiny_model: Path, tmp_path: Path) -> None:
    folder = quantized_folder(tiny_model, tmp_path / "model", gptq_config(32))
    change_config(folder, quantization_config=None)
    for precision in ("bf16", "int4-nf4", "int4-gptq"):
        with pytest.raises(ModelError, match="says nothing of quantization, but 14 of 14"):
            check(folder, precision)


def test_a_configuration_where_transformers_does_not_look(tiny_model: Path, tmp_path: Path) -> None:
    folder = quantized_folder(tiny_model, tmp_path / "model", gptq_config(32))
    change_config(folder, quantization_config=None)
    (folder / "quantize_config.json").write_text(json.dumps({"bits": 4, "group_size": 32}))
    assert own_precision(read_checkpoint(str(folder))).name == "int4-gptq"
    with pytest.raises(ModelError, match=r"put it into its config\.json"):
        check(folder, "int4-gptq")


def test_what_the_loader_would_read_wrongly(tiny_model: Path, tmp_path: Path) -> None:
    config = gptq_config(32, dynamic={r"-:.*down_proj": {}})
    folder = quantized_folder(
        tiny_model, tmp_path / "dynamic", config, keep=lambda name: "down_proj" in name
    )
    with pytest.raises(ModelError, match=r"treats some modules otherwise .*down_proj"):
        check(folder, "int4-gptq")
    folder = quantized_folder(tiny_model, tmp_path / "gemv", awq_config(32, version="gemv"))
    with pytest.raises(ModelError, match=r"layout gemv, which is not read \(known: gemm\)"):
        check(folder, "int4-awq")


def test_what_bitsandbytes_saved(
    nf4: Path, bitsandbytes_folders: Callable[..., Path], tmp_path: Path
) -> None:
    fp4 = bitsandbytes_folders(
        load_in_4bit=True, bnb_4bit_quant_type="fp4", bnb_4bit_use_double_quant=True
    )
    folders = {
        "int4-nf4": nf4,
        "int4-fp4": fp4,
        "int8": bitsandbytes_folders(load_in_8bit=True),
    }
    for own, folder in folders.items():
        assert own_precision(read_checkpoint(str(folder))).name == own
        check(folder, own)
        for other in {*folders, "fp16", "int4-gptq"} - {own}:
            with pytest.raises(ModelError, match=f"or give precision={own}"):
                check(folder, other)
    folder = copied(fp4, tmp_path / "posing", quantization_config=BNB4)
    with pytest.raises(ModelError, match=r"14 of 14 .*\(bitsandbytes 4 bits fp4\)"):
        check(folder, "int4-nf4")


def test_modules_that_a_saved_checkpoint_declares(
    bitsandbytes_folders: Callable[..., Path],
) -> None:
    folder = bitsandbytes_folders(load_in_4bit=True, llm_int8_skip_modules=["q_proj"])
    checkpoint = read_checkpoint(str(folder))
    assert checkpoint.declared.unquantized == ("q_proj",)
    change_config(
        folder, quantization_config={**(checkpoint.quantization or {}), "llm_int8_skip_modules": []}
    )
    with pytest.raises(ModelError, match="2 of 14 linear layers"):
        check(folder, "int4-fp4")


def test_group_size_where_there_are_no_groups(tiny_model: Path) -> None:
    for precision in ("fp16", "int8"):
        with pytest.raises(ModelError, match=f"group_size=64: precision={precision} has no groups"):
            check(tiny_model, precision, 64)


def test_layers_that_nobody_quantizes(tiny_model: Path, tmp_path: Path) -> None:
    folder = quantized_folder(tiny_model, tmp_path / "model", gptq_config(32))
    matrix = torch.ones(64, 64)
    start = "model.layers.0."
    exempt = {
        f"{start}self_attn.q_norm.weight": matrix,
        f"{start}mlp.gate.weight": torch.ones(8, 64),
        "vision_tower.encoder.layers.0.fc1.weight": matrix,
        "model.embed_positions.weight": matrix,
    }
    tensors = read_tensors(folder)
    write_tensors(folder, {**tensors, **{k: v.clone() for k, v in exempt.items()}})
    check(folder, "int4-gptq")
    write_tensors(folder, {**tensors, f"{start}mlp.experts.gate_up_proj": torch.ones(4, 64, 64)})
    with pytest.raises(ModelError, match=r"1 of 15 .*experts\.gate_up_proj"):
        check(folder, "int4-gptq")
