"""The arguments of --model_args: none is dropped, none is misread."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the hf extra is not installed")
from bitsandbytes.nn import Linear4bit  # noqa: E402
from lm_eval import simple_evaluate  # noqa: E402
from lm_eval.models.huggingface import HFLM  # noqa: E402

from qrag_tasks.arms.arguments import argument_mistakes, check_arguments  # noqa: E402
from qrag_tasks.errors import SettingsError  # noqa: E402
from qrag_tasks.harness.model import QragLM  # noqa: E402

MISTAKES: list[tuple[str, dict[str, Any], str]] = [
    # Names.
    ("qrag", {"precison": "fp16"}, "precison=fp16: unknown to --model qrag, .*mean 'precision'"),
    ("qrag", {"max_lenght": 512}, "max_lenght=512: unknown .*Did you mean 'max_length'"),
    ("hf", {"max_lenght": 512}, "max_lenght=512: unknown to --model hf, .*mean 'max_length'"),
    ("hf", {"load_in_4bits": True}, "Did you mean 'load_in_4bit'"),
    ("hf", {"max_position_embedings": 64}, "Did you mean 'max_position_embeddings'"),
    ("hf", {"nonsense": 1}, "nonsense=1: unknown to --model hf"),
    ("hf", {"rope_theta": 1e4}, "rope_theta=10000.0: unknown"),
    ("hf", {"bnb_4bit_quant_typ": "nf4", "load_in_4bit": True}, "mean 'bnb_4bit_quant_type'"),
    ("hf", {"low_cpu_mem_usage": True}, "transformers no longer uses it; leave it out"),
    ("hf", {"max_memory": "1GB"}, "give max_memory_per_gpu, and parallelize=True"),
    ("hf", {"precision": "fp16"}, "precision=fp16: --model qrag takes it, --model hf does not"),
    # Values.
    ("hf", {"dtype": "float17"}, "dtype=float17: torch has no such dtype"),
    ("qrag", {"softmax_dtype": "f32"}, "softmax_dtype=f32: torch has no such dtype"),
    ("hf", {"max_length": 0}, "max_length=0: give a whole number above 0"),
    ("hf", {"max_position_embeddings": "x"}, "max_position_embeddings=x: .*expected int"),
    ("qrag", {"group_size": 0}, "group_size=0: give the number of weights"),
    # What has no effect alone.
    ("hf", {"bnb_4bit_quant_type": "nf4"}, "no effect without load_in_4bit=True: give it, too"),
    ("hf", {"bnb_4bit_quant_type": "nf4", "load_in_8bit": True}, "without load_in_4bit=True"),
    ("hf", {"bnb_4bit_compute_dtype": "bfloat16", "load_in_4bit": False}, "without load_in_4bit"),
    ("hf", {"llm_int8_threshold": 5.0, "load_in_4bit": True}, "without load_in_8bit=True"),
    ("hf", {"llm_int8_skip_modules": ["x"]}, "without load_in_4bit=True or load_in_8bit=True"),
    ("qrag", {"max_memory_per_gpu": "9GB"}, "without parallelize=True"),
    ("hf", {"device_map": "auto"}, "without parallelize=True or tp_plan"),
    ("hf", {"enable_thinking": True}, "without think_end_token: give it, too"),
    ("hf", {"precison": "bf16"}, r"Did you mean 'precision'\? --model qrag takes that\."),
    # What cannot be meant together.
    ("hf", {"dtype": "float16", "torch_dtype": "float32"}, "two names of one argument; give dtype"),
    ("hf", {"load_in_4bit": True, "load_in_8bit": True}, "exclude each other: give one"),
    ("qrag", {"batch_size": 4, "max_batch_tokens": 99}, "no effect with batch_size=4"),
    ("qrag", {"deterministic": True, "batch_size": 4}, "alone in its batch; leave batch_size out"),
    ("qrag", {"deterministic": "maybe"}, "deterministic=maybe: give True or False"),
    ("hf", {"deterministic": True}, "--model qrag takes it"),
    ("qrag", {"batching": "continous"}, "batching=continous: give padded or continuous"),
    ("qrag", {"batching": "continuous", "deterministic": True}, "from token to token; leave one"),
    ("qrag", {"batching": "continuous", "parallelize": True}, "on one device; leave one"),
    ("hf", {"batching": "continuous"}, "--model qrag takes it"),
    ("qrag", {"precision": "fp16", "torch_dtype": "float32"}, "fp16 is float16, but torch_dtype="),
    (
        "qrag",
        {"precision": "int8", "kernel": "marlin"},
        "only int8-gptq, int4-gptq, int3-gptq, int2-gptq and int4-awq have kernels",
    ),
    ("qrag", {"precision": "int8", "delta": "x"}, "it is added to plain weights"),
    # What --model qrag does not take.
    ("qrag", {"load_in_4bit": True}, "with --model qrag, give precision=int4-nf4"),
    ("qrag", {"autogptq": True}, "with --model qrag, give precision=int4-gptq"),
    ("qrag", {"bnb_4bit_quant_type": "fp4"}, "a named precision fixes it"),
    ("qrag", {"truncation": True}, "a cut prompt"),
    ("qrag", {"logits_cache": False}, "always share its pass here; leave it out"),
    ("qrag", {"gguf_file": "x.gguf"}, "engine=llama_cpp and pretrained=FOLDER/FILE.gguf"),
    ("qrag", {"precision": "int4"}, "unknown precision 'int4'"),
]


@pytest.mark.parametrize("model", ["local-completions", "local-chat-completions"])
def test_a_model_for_a_server_drops_no_argument(model: str) -> None:
    known = {"model": "m", "base_url": "http://x", "num_concurrent": 4, "max_length": 9}
    check_arguments(model, known)
    with pytest.raises(SettingsError) as caught:
        check_arguments(model, {**known, "max_lenght": 4096, "enable_thinking": False})
    first, second = str(caught.value).splitlines()
    assert first == f"max_lenght=4096: --model {model} does not take it. Did you mean 'max_length'?"
    assert "enable_thinking=False" in second
    assert "chat_template_kwargs in --gen_kwargs" in second
    if model == "local-completions":
        with pytest.raises(SettingsError, match="think_end_token=</t>: --model local-completions"):
            check_arguments(model, {**known, "think_end_token": "</t>"})
    else:
        check_arguments(model, {**known, "think_end_token": "</t>"})


@pytest.mark.parametrize(("model", "arguments", "told"), MISTAKES)
def test_a_mistake_is_told_once(
    tiny_model: Path, model: str, arguments: dict[str, Any], told: str
) -> None:
    with pytest.raises(SettingsError, match=told) as caught:
        check_arguments(model, {"pretrained": str(tiny_model), **arguments})
    assert len(str(caught.value).splitlines()) == 1, caught.value


@pytest.mark.parametrize(
    ("model", "arguments"),
    [
        ("qrag", {"precision": "int4-nf4", "dtype": "float32", "max_batch_tokens": 64}),
        ("qrag", {"max_position_embeddings": 512, "attn_implementation": "eager"}),
        ("qrag", {"logits_cache": True, "truncation": False, "torch_dtype": "auto"}),
        ("hf", {"load_in_4bit": True, "bnb_4bit_quant_type": "fp4", "torch_dtype": "float32"}),
        ("hf", {"load_in_8bit": True, "llm_int8_skip_modules": ["lm_head"]}),
        ("hf", {"load_in_4bit": False, "enable_thinking": False, "token": "x", "num_labels": 3}),
        ("hf", {"parallelize": True, "max_memory_per_gpu": "9GB", "device_map": "auto"}),
        ("hf", {"trust_remote_code": True, "what_its_own_code_takes": 1}),
        ("hf", {"dtype": torch.float32, "torch_dtype": "float32", "max_length": None}),
        ("vllm", {"whatever": 1}),
    ],
)
def test_what_somebody_knows_is_no_mistake(
    tiny_model: Path, model: str, arguments: dict[str, Any]
) -> None:
    assert not argument_mistakes(model, {"pretrained": str(tiny_model), **arguments})


def test_all_mistakes_are_told_at_once(tiny_model: Path) -> None:
    given = {"pretrained": str(tiny_model), "precison": "fp16", "truncation": True, "kernal": "x"}
    named = {mistake.argument for mistake in argument_mistakes("qrag", given)}
    assert named == {"precison", "truncation", "kernal"}


def test_without_a_configuration_only_the_likeness_is_told() -> None:
    given = {"pretrained": "nobody/has-this", "max_lenght": 1, "rope_theta": 1.0}
    assert [each.argument for each in argument_mistakes("hf", given, offline=True)] == [
        "max_lenght"
    ]


def test_known_arguments_are_checked_without_torch() -> None:
    code = (
        "import sys; from qrag_tasks.arms.arguments import argument_mistakes as f; "
        "a = {'pretrained': 'x', 'precision': 'fp16', 'dtype': 'float32', 'token': 'x'}; "
        "assert len(f('qrag', a)) == 1; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("precision", ["fp32", "int8", "int4-nf4", "int4-fp4"])
def test_torch_dtype_is_dtype(tiny_model: Path, precision: str) -> None:
    arm = QragLM(str(tiny_model), precision=precision, device="cpu", torch_dtype="float32")
    assert arm.engine.computing == "float32"
    assert arm.engine.model.dtype == torch.float32


@pytest.mark.parametrize("switches", [{}, {"load_in_4bit": True}])
def test_torch_dtype_is_dtype_to_hflm(tiny_model: Path, switches: dict[str, Any]) -> None:
    lm = HFLM(pretrained=str(tiny_model), device="cpu", torch_dtype="float32", **switches)
    assert lm.model.dtype == torch.float32
    packed = [each for each in lm.model.modules() if isinstance(each, Linear4bit)]
    assert {layer.compute_dtype for layer in packed} <= {torch.float32}
    assert bool(packed) == bool(switches)


def test_hflm_drops_nothing_that_is_for_bitsandbytes(tiny_model: Path) -> None:
    for arguments, told in (
        ({"bnb_4bit_quant_type": "nf4"}, "no effect without load_in_4bit=True"),
        ({"bnb_4bit_quant_typ": "nf4", "load_in_4bit": True}, "mean 'bnb_4bit_quant_type'"),
        ({"dtype": "float16", "torch_dtype": "float32"}, "two names of one argument"),
    ):
        with pytest.raises(SettingsError, match=told):
            HFLM(pretrained=str(tiny_model), device="cpu", **arguments)


# transformers' own, about any quantized checkpoint in HFLM.
@pytest.mark.filterwarnings("ignore:You passed `quantization_config`:UserWarning")
@pytest.mark.parametrize("model", ["hf", "qrag"])
def test_settings_of_the_configuration_are_honoured(
    tiny_model: Path, tmp_path: Path, model: str
) -> None:
    made = QragLM(str(tiny_model), precision="int4-nf4", device="cpu")
    made.engine.model.save_pretrained(tmp_path)
    made.tokenizer.save_pretrained(tmp_path)
    kind = QragLM if model == "qrag" else HFLM
    for folder in (tiny_model, tmp_path):
        lm = kind(str(folder), device="cpu", max_position_embeddings=512)
        loaded = lm.engine if model == "qrag" else lm
        assert loaded.model.config.max_position_embeddings == 512


def test_simple_evaluate_checks_before_anything_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="bnb_4bit_quant_type=nf4 has no effect without"):
        simple_evaluate(
            "hf",
            model_args={"pretrained": str(tmp_path / "not there"), "bnb_4bit_quant_type": "nf4"},
            tasks=["lamp3u_rag_k1"],
            metadata={"data": "mini"},
        )
