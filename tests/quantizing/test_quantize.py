"""Quantizing a checkpoint into a folder: what is written, and what is refused."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="the hf extra is not installed")
import torch
from dying import dies_over

from qrag_tasks.engines.tokenizers import model_text
from qrag_tasks.errors import ModelError, SettingsError
from qrag_tasks.harness.model import QragLM
from qrag_tasks.quantizing.calibration import Wanted
from qrag_tasks.quantizing.quantize import PROVENANCE, quantize

BY_BITSANDBYTES = ("int8", "int4-nf4", "int4-fp4")
needs_gptqmodel = (
    pytest.mark.skipif(
        importlib.util.find_spec("gptqmodel") is None, reason="the gptq extra is not installed"
    ),
    # GPT-QModel and what it imports warn of much.
    pytest.mark.filterwarnings("ignore"),
)
BY_GPTQMODEL = [pytest.param(name, marks=needs_gptqmodel) for name in ("int4-gptq", "int4-awq")]
# Bits of GPTQ -> how far logits may be from their source's, and how near they are.
OTHER_BITS = [
    pytest.param("int8-gptq", 0.0005, 0.01, marks=needs_gptqmodel),
    pytest.param("int3-gptq", 0.02, 0.2, marks=needs_gptqmodel),
    pytest.param("int2-gptq", 0.05, 0.5, marks=needs_gptqmodel),
]
FEW = Wanted(samples=6, max_tokens=1000)
PREFIXES = ("self_attn.", "mlp.")


def make(model: Path, precision: str, out: Path, **options: Any) -> dict[str, Any]:
    if precision.endswith(("-gptq", "-awq")):
        options = {"group_size": 32, "calibration": FEW, **options}
    return quantize(str(model), precision, out, device="cpu", **options)


def loaded(folder: Path, **options: Any) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, device_map={"": "cpu"}, **options)


def altered(model: Path, folder: Path, file: str, **changes: Any) -> Path:
    shutil.copytree(model, folder)
    content = json.loads((folder / file).read_text()) | changes
    (folder / file).write_text(json.dumps(content))
    return folder


def nothing_left(out: Path) -> bool:
    return not out.exists() and not list(out.parent.glob(f".{out.name}*"))


# ---------------------------------------------------------------------- what is written
def weights_in_blocks(model: Any) -> dict[str, Any]:
    """The weights as they are multiplied with, and what they are made of."""
    import bitsandbytes.functional as bnb

    found = {}
    for name, module in model.named_modules():
        weight = getattr(module, "weight", None)
        if not any(prefix in name for prefix in PREFIXES) or weight is None:
            continue
        if (state := getattr(weight, "quant_state", None)) is not None:
            found[name] = bnb.dequantize_4bit(weight.data, state)
        elif (scale := getattr(weight, "SCB", None)) is not None:
            found[name] = weight.data.float() * scale[:, None]
    return found


@pytest.mark.parametrize("precision", BY_BITSANDBYTES)
def test_bitsandbytes_weights_are_those_of_a_model_quantized_on_loading(
    tiny_model: Path, tmp_path: Path, precision: str
) -> None:
    from transformers import BitsAndBytesConfig

    make(tiny_model, precision, tmp_path / "out")
    kind = {"int8": {"load_in_8bit": True}}.get(
        precision, {"load_in_4bit": True, "bnb_4bit_quant_type": precision.removeprefix("int4-")}
    )
    fresh = weights_in_blocks(
        loaded(tiny_model, quantization_config=BitsAndBytesConfig(**kind), dtype=torch.bfloat16)
    )
    saved = weights_in_blocks(loaded(tmp_path / "out"))
    assert len(fresh) == 14
    assert saved.keys() == fresh.keys()
    for name, weight in fresh.items():
        assert torch.equal(saved[name], weight), name


@pytest.mark.parametrize("precision", BY_GPTQMODEL)
def test_gptqmodel_checkpoints_are_quantized_and_close_to_their_source(
    tiny_model: Path, tmp_path: Path, precision: str
) -> None:
    made = make(tiny_model, precision, tmp_path / "out")
    model = loaded(tmp_path / "out", dtype=torch.bfloat16)
    layers = [
        module for name, module in model.named_modules() if name.endswith(("_proj", "lm_head"))
    ]
    assert [type(layer).__module__.partition(".")[0] for layer in layers] == (
        14 * ["gptqmodel"] + ["torch"]
    )
    tokens = torch.arange(5, 400)[None]
    with torch.no_grad():
        want = loaded(tiny_model, dtype=torch.bfloat16)(tokens).logits.float()
        error = (model(tokens).logits.float() - want).pow(2).mean().sqrt() / want.std()
    assert 0.005 < error < 0.1
    # GPT-QModel's AWQ uses the last row only, where rows are not of one length.
    calibration = made["calibration"]
    assert calibration["fewest_tokens_of_a_layer"] == calibration["tokens_in_rows"]
    assert calibration["tokens_in_rows"] > calibration["tokens"] - calibration["rows"]


@pytest.mark.parametrize(("precision", "least", "most"), OTHER_BITS)
def test_gptq_in_other_bits(
    tiny_model: Path, tmp_path: Path, precision: str, least: float, most: float
) -> None:
    made = make(tiny_model, precision, tmp_path / "out")
    assert f"int{made['bits']}-gptq" == precision
    lm = QragLM(str(tmp_path / "out"), device="cpu")
    assert lm.engine.precision.name == precision
    tokens = torch.arange(5, 400)[None]
    with torch.no_grad():
        want = loaded(tiny_model, dtype=torch.bfloat16)(tokens).logits.float()
        error = (lm.engine.model(tokens).logits.float() - want).pow(2).mean().sqrt() / want.std()
    assert least < error < most


@pytest.mark.parametrize("precision", [*BY_BITSANDBYTES, *BY_GPTQMODEL])
def test_the_same_command_writes_the_same_files(
    tiny_model: Path, tmp_path: Path, precision: str
) -> None:
    for name in ("one", "two"):
        make(tiny_model, precision, tmp_path / name)
        torch.rand(3)  # what was drawn before must not matter
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert files == sorted(path.name for path in (tmp_path / "two").iterdir())
    assert "model.safetensors" in files
    for name in files:
        if name not in (PROVENANCE, "quant_log.csv"):  # they hold times
            one, two = ((tmp_path / each / name).read_bytes() for each in ("one", "two"))
            assert one == two, name


@pytest.mark.parametrize("precision", ["int4-nf4", *BY_GPTQMODEL])
def test_all_but_weights_is_the_sources_own(
    tiny_model: Path, tmp_path: Path, precision: str
) -> None:
    # Transformers 4 refuses to save a temperature without sampling, and such checkpoints exist.
    source = altered(
        tiny_model,
        tmp_path / "source",
        "generation_config.json",
        eos_token_id=[0, 3],
        temperature=0.6,
    )
    (source / "LICENSE").write_text("Theirs.")
    make(source, precision, tmp_path / "out")
    for path in source.iterdir():
        if path.name not in ("config.json", "model.safetensors"):
            assert (tmp_path / "out" / path.name).read_bytes() == path.read_bytes(), path.name
    out, given = loaded(tmp_path / "out").get_input_embeddings().weight, loaded(source)
    assert torch.equal(out, given.get_input_embeddings().weight)
    own = json.loads((tmp_path / "out" / "config.json").read_text())
    assert own.pop("quantization_config")
    assert own == json.loads((source / "config.json").read_text())


def test_others_may_read_what_was_made(tiny_model: Path, tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        make(tiny_model, "int4-nf4", tmp_path / "out")
    finally:
        os.umask(before)
    modes = {path.name: oct(path.stat().st_mode & 0o777) for path in (tmp_path / "out").iterdir()}
    assert modes == dict.fromkeys(modes, "0o644")
    assert "model.safetensors" in modes
    assert oct((tmp_path / "out").stat().st_mode & 0o777) == "0o755"


def test_no_generation_config_is_made_up(tiny_model: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_model, tmp_path / "source")
    (tmp_path / "source" / "generation_config.json").unlink()
    make(tmp_path / "source", "int8", tmp_path / "out")
    assert not (tmp_path / "out" / "generation_config.json").exists()


def test_provenance_of_bitsandbytes(tiny_model: Path, tmp_path: Path) -> None:
    made = make(tiny_model, "int4-nf4", tmp_path / "out", seed=3)
    assert json.loads((tmp_path / "out" / PROVENANCE).read_text()) == made
    lines = [
        f"{name} {hashlib.sha256((tiny_model / name).read_bytes()).hexdigest()}\n"
        for name in ("config.json", "model.safetensors")
    ]
    assert made["source"] == {
        "name": str(tiny_model),
        "revision": None,
        "sha256": hashlib.sha256("".join(lines).encode()).hexdigest(),
    }
    assert (made["precision"], made["bits"], made["group_size"]) == ("int4-nf4", 4, 64)
    assert made["options"]["bnb_4bit_quant_type"] == "nf4"
    assert (made["calibration"], made["seed"], made["device"]) == (None, 3, "cpu")
    names = ("qrag-tasks", "torch", "transformers", "bitsandbytes")
    assert made["versions"] == {name: version(name) for name in names}
    age = datetime.now(timezone.utc) - datetime.fromisoformat(made["date"])
    assert 0 <= age.total_seconds() < 600
    assert made["seconds"] > 0


@pytest.mark.parametrize("precision", BY_GPTQMODEL)
def test_provenance_of_gptqmodel(tiny_model: Path, tmp_path: Path, precision: str) -> None:
    made = make(tiny_model, precision, tmp_path / "out", seed=3)
    text = model_text({"pretrained": str(tiny_model)})
    assert text is not None
    calibration = FEW.read(text, 3)
    assert made["group_size"] == 32
    assert made["options"]["method"] == precision.removeprefix("int4-")
    assert made["calibration"].items() >= calibration.as_dict().items()
    assert made["calibration"]["samples"] == 6
    assert {"gptqmodel", "optimum"} < set(made["versions"])


# ---------------------------------------------------------------------- when it goes wrong
@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError("disk full")])
def test_an_error_leaves_nothing(tiny_model: Path, tmp_path: Path, error: Any) -> None:
    def fail(what: str, *_: int) -> None:
        if what.startswith("verifying"):
            assert list(tmp_path.glob(".out.quantizing-*/model.safetensors"))
            raise error

    with pytest.raises((KeyboardInterrupt, ModelError)):
        make(tiny_model, "int4-nf4", tmp_path / "out", report=fail)
    assert nothing_left(tmp_path / "out")


def test_what_is_not_as_claimed_never_appears(tiny_model: Path, tmp_path: Path) -> None:
    def damage(what: str, *_: int) -> None:
        if what.startswith("verifying"):
            (path,) = tmp_path.glob(".out.quantizing-*/config.json")
            content = json.loads(path.read_text())
            content["quantization_config"]["bnb_4bit_quant_type"] = "fp4"
            path.write_text(json.dumps(content))

    with pytest.raises(ModelError, match=r"int4-nf4.*fp4|fp4.*int4-nf4"):
        make(tiny_model, "int4-nf4", tmp_path / "out", report=damage)
    assert nothing_left(tmp_path / "out")


def test_the_second_to_finish_loses_nothing_of_the_first(tiny_model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"

    def meanwhile(what: str, *_: int) -> None:
        if what.startswith("verifying"):
            make(tiny_model, "int8", out)

    with pytest.raises(
        ModelError, match=r"out: appeared while this run was at work.*another --out"
    ):
        make(tiny_model, "int4-nf4", out, report=meanwhile)
    assert json.loads((out / PROVENANCE).read_text())["precision"] == "int8"
    assert weights_in_blocks(loaded(out))
    assert not list(tmp_path.glob(".out*"))


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no such signal here")
def test_a_killed_run_leaves_nothing_at_its_place(
    tiny_model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "qrag_tasks.cli", "quantize", str(tiny_model)]
    done = subprocess.run(
        [*command, "--precision", "int4-nf4", "--out", str(out), "--device", "cpu"],
        env={
            **os.environ,
            "QRAG_CACHE": str(tmp_path / "cache"),
            # The last file that is written.
            **dies_over(PROVENANCE, tmp_path),
        },
        capture_output=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    (written,) = tmp_path.glob(".out.quantizing-*/model.safetensors")
    assert not out.exists()
    with caplog.at_level(logging.WARNING):
        make(tiny_model, "int4-nf4", out)
    assert str(written.parent) in caplog.text
    assert weights_in_blocks(loaded(out))
    assert written.exists()  # it could be at work


# ---------------------------------------------------------------------- what is refused
@pytest.mark.parametrize(
    ("precision", "options", "message"),
    [
        ("fp16", {}, r"--precision fp16: .*nothing to quantize to \(known: int8, int4-nf4, "),
        ("int4-gtpq", {}, r"unknown precision 'int4-gtpq'.*Did you mean 'int4-gptq'"),
        ("int4-nf4", {"group_size": 128}, "--group-size 128: .*int4-nf4.* 64, fixed. Leave it"),
        ("int8", {"group_size": 64}, "--group-size 64: .*int8.* has no groups"),
        ("int8", {"calibration": FEW}, "int8 takes no calibration: leave --calibration, .* out"),
        ("int8", {"device": "tpu9"}, "--device tpu9: torch does not know this device; give cpu or"),
    ],
)
def test_impossible_choices_are_refused(
    tiny_model: Path, tmp_path: Path, precision: str, options: Any, message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        quantize(str(tiny_model), precision, tmp_path / "out", **options)
    assert nothing_left(tmp_path / "out")


def test_sixty_four_may_be_named_for_bitsandbytes(tiny_model: Path, tmp_path: Path) -> None:
    assert make(tiny_model, "int4-fp4", tmp_path / "out", group_size=64)["group_size"] == 64


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="--device cuda: torch finds 0 GPUs here; give --dev"):
        quantize(str(tiny_model), "int8", tmp_path / "out", device="cuda")


@pytest.mark.parametrize(
    ("precision", "group_size", "message"),
    [
        ("int4-gptq", None, r"--group-size 128 does not divide the 64 inputs of layer "),
        ("int4-awq", 128, r"model\.layers\.0\.self_attn\.q_proj of .*: give 32 or 64"),
        ("int4-gptq", 48, "--group-size 48: .*give one of 32, 64, 128"),
    ],
)
@needs_gptqmodel[0]
def test_a_group_size_that_does_not_fit_is_refused(
    tiny_model: Path, tmp_path: Path, precision: str, group_size: int | None, message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        quantize(str(tiny_model), precision, tmp_path / "out", group_size=group_size)
    assert nothing_left(tmp_path / "out")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dtype": "float32"}, r"is in torch\.float32, and int4-awq keeps .*save a copy of it in"),
        (
            {"num_key_value_heads": 2},
            r"k_proj of .* has 32 outputs, no multiple of 64, .*take --precision int4-gptq",
        ),
    ],
)
@needs_gptqmodel[0]
def test_what_awq_cannot_do_is_refused(
    tiny_model: Path, tmp_path: Path, changes: Any, message: str
) -> None:
    source = altered(tiny_model, tmp_path / "source", "config.json", **changes)
    with pytest.raises(ModelError, match=message):
        make(source, "int4-awq", tmp_path / "out")
    assert nothing_left(tmp_path / "out")


@pytest.mark.skipif(
    importlib.util.find_spec("gptqmodel") is not None, reason="the gptq extra is installed"
)
@pytest.mark.parametrize("precision", ["int4-gptq", "int4-awq"])
def test_a_missing_extra_is_named(tiny_model: Path, tmp_path: Path, precision: str) -> None:
    message = r"gptqmodel.*pip install 'qrag-tasks\[gptq\]' --no-build-isolation"
    with pytest.raises(ModelError, match=message):
        quantize(str(tiny_model), precision, tmp_path / "out", group_size=32)


def taken_by_file(folder: Path) -> None:
    (folder / "out").write_text("precious")


def taken_by_folder(folder: Path) -> None:
    (folder / "out").mkdir()
    (folder / "out" / "file").write_text("precious")


def taken_by_empty_folder(folder: Path) -> None:
    (folder / "out").mkdir()


def taken_by_dead_link(folder: Path) -> None:
    (folder / "out").symlink_to(folder / "nowhere")


@pytest.mark.parametrize(
    ("take", "kind"),
    [
        (taken_by_file, "a file"),
        (taken_by_folder, "a folder"),
        (taken_by_empty_folder, "an empty folder"),
        (taken_by_dead_link, "a link"),
    ],
)
def test_nothing_is_overwritten(
    tiny_model: Path, tmp_path: Path, take: Callable[[Path], None], kind: str
) -> None:
    take(tmp_path)
    before = sorted(path.name for path in tmp_path.rglob("*"))
    with pytest.raises(SettingsError, match=rf"--out .*is there already, as {kind}, and nothing"):
        make(tiny_model, "int4-nf4", tmp_path / "out")
    assert sorted(path.name for path in tmp_path.rglob("*")) == before


def without(name: str) -> Callable[[Path, Path], Path]:
    def put(model: Path, folder: Path) -> Path:
        shutil.copytree(model, folder)
        (folder / name).unlink()
        return folder

    return put


def quantized_already(model: Path, folder: Path) -> Path:
    return altered(model, folder, "config.json", quantization_config={"quant_method": "awq"})


def quantized_as_files_say(model: Path, folder: Path) -> Path:
    shutil.copytree(model, folder)
    (folder / "quantize_config.json").write_text("{}")
    return folder


def of_another_kind(model: Path, folder: Path) -> Path:
    return altered(model, folder, "config.json", model_type="t5")


@pytest.mark.parametrize(
    ("put", "message"),
    [
        (lambda model, folder: model / "config.json", "is a file: give the folder"),
        (lambda model, folder: folder, "no such folder"),
        (lambda model, folder: "no/such/folder", "no/such/folder: no such folder, and no name"),
        (lambda model, folder: "nobody/nothing", "nobody/nothing: no such folder, and the hub "),
        (without("config.json"), "has no config.json: give a transformers checkpoint"),
        (without("model.safetensors"), "has no weights .*give a whole"),
        (
            quantized_already,
            r"is quantized already \(.*awq.*\): quantize the checkpoint that it was",
        ),
        (quantized_as_files_say, r"is quantized already \(.*\): quantize"),
        (of_another_kind, "transformers builds no decoder-only model from its config.json"),
    ],
)
def test_models_that_cannot_be_quantized_are_refused(
    tiny_model: Path, tmp_path: Path, put: Callable[[Path, Path], Any], message: str
) -> None:
    model = put(tiny_model, tmp_path / "model")
    with pytest.raises(ModelError, match=message) as caught:
        quantize(str(model), "int4-nf4", tmp_path / "out")
    assert str(caught.value).startswith(str(model))
    assert nothing_left(tmp_path / "out")
