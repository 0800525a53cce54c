"""What goes wrong in llama.cpp is one clear error, and nothing on the terminal."""

from __future__ import annotations

import logging
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("llama_cpp", reason="the llama-cpp extra is not installed")
import llama_cpp
import transformers
from gguf_models import load_gguf, write_gguf

from qrag_tasks.errors import ModelError
from qrag_tasks.testing.engine_requests import generate, likelihood_requests, sample_requests, score


def test_an_architecture_that_llama_cpp_does_not_know(tiny_model: Path, tmp_path: Path) -> None:
    file = write_gguf(tiny_model, tmp_path / "a.gguf")
    content = file.read_bytes()
    key = b"general.architecture\x08\0\0\0\x05\0\0\0\0\0\0\0"
    assert content.count(key + b"llama") == 1
    content = content.replace(key + b"llama", key + b"lamma").replace(b"llama.", b"lamma.")
    file.write_bytes(content)
    with pytest.raises(ModelError, match=r"cannot load it: error loading model: unknown .*'lamma'"):
        load_gguf(file, tokenizer=str(tiny_model))


def test_a_tensor_that_is_missing(tiny_model: Path, tmp_path: Path) -> None:
    file = write_gguf(tiny_model, tmp_path / "a.gguf", metadata={"block_count": 3})
    with pytest.raises(
        ModelError, match=r"cannot load it: .*tensor 'blk\.2\.attn_norm\.weight' not found"
    ):
        load_gguf(file)


def test_an_encoder(tiny_gguf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(llama_cpp, "llama_model_has_encoder", lambda _model: True)
    with pytest.raises(ModelError, match=r"has an encoder \(llama\): engine=llama_cpp runs"):
        load_gguf(tiny_gguf)


def test_weights_that_are_not_numbers(tiny_model: Path, tmp_path: Path) -> None:
    def broken(name: str, array: Any) -> Any:
        return np.full_like(array, np.nan) if name == "blk.1.ffn_up.weight" else array

    file = write_gguf(tiny_model, tmp_path / "a.gguf", change=broken)
    with pytest.raises(
        ModelError, match=r"cannot load it: tensor 'blk\.1\.ffn_up\.weight' has invalid data"
    ):
        load_gguf(file)


def test_logits_that_are_not_numbers(tiny_model: Path, tmp_path: Path) -> None:
    def huge(name: str, array: Any) -> Any:
        return array * 1e30 if "ffn_" in name and array.ndim > 1 else array

    engine = load_gguf(write_gguf(tiny_model, tmp_path / "a.gguf", change=huge))
    with pytest.raises(ModelError, match=r"request \d: the model's logits are not numbers \(NaN\)"):
        generate(engine, sample_requests(engine))
    values = [value for row in score(engine, likelihood_requests(engine)) for value, _ in row]
    assert np.isnan(values).any()


WITH_LITTLE_MEMORY = """
import resource, sys
import torch, transformers, llama_cpp
from qrag_tasks.engines.base import GenerationRequest
from qrag_tasks.engines.llama_cpp.engine import load
from qrag_tasks.engines.llama_cpp.vocabulary import tokenizer_of
from qrag_tasks.metering.meter import Meter

file, megabytes, tokens = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
tokenizer_of({"pretrained": file})
taken = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (taken + megabytes * 1_000_000,) * 2)
engine = load({"pretrained": file, "n_threads": 1}, Meter(torch.device("cpu")))
print("loaded")
engine.generate([GenerationRequest("long", [300], tokens)], lambda *_: None)
"""


def with_little_memory(file: Path, megabytes: int, tokens: int) -> tuple[str, str]:
    """Answer a prompt in a process that may take only so much more; return output and error."""
    run = subprocess.run(
        [sys.executable, "-c", WITH_LITTLE_MEMORY, str(file), str(megabytes), str(tokens)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1
    return run.stdout, run.stderr.splitlines()[-1]


def test_no_memory_for_the_weights(tiny_model: Path, tmp_path: Path) -> None:
    config = transformers.AutoConfig.from_pretrained(
        tiny_model, hidden_size=1024, intermediate_size=4096, head_dim=256
    )
    folder = shutil.copytree(tiny_model, tmp_path / "larger")
    transformers.LlamaForCausalLM(config).save_pretrained(folder)
    file = write_gguf(folder, tmp_path / "a.gguf", "f16")
    assert file.stat().st_size > 60e6
    output, error = with_little_memory(file, 40, 8)
    assert output == "", error
    assert "ModelError" in error
    assert "cannot load it: " in error
    assert "the weights take 0.07 GB of memory" in error


def test_no_memory_for_the_cache(tiny_model: Path, tmp_path: Path) -> None:
    long = {"context_length": 1_000_000}
    file = write_gguf(tiny_model, tmp_path / "a.gguf", metadata=long)
    output, error = with_little_memory(file, 1500, 999_000)
    assert output == "loaded\n", error
    assert "ModelError: llama.cpp has no memory for a cache of 999,001 tokens" in error
    assert "give a smaller max_length" in error


def test_a_pass_that_fails_is_not_the_end(tiny_gguf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error has llama.cpp's code, and what the cache held is not trusted any more."""
    engine = load_gguf(tiny_gguf)
    requests = sample_requests(engine)
    whole = generate(engine, requests)
    with monkeypatch.context() as patch:
        patch.setattr(llama_cpp, "llama_decode", lambda *_: -3)
        with pytest.raises(ModelError, match=r"llama\.cpp failed with code -3"):
            generate(engine, requests)
    assert generate(engine, requests) == whole


def test_a_token_beyond_the_vocabulary(tiny_gguf: Path) -> None:
    engine = load_gguf(tiny_gguf)
    request = sample_requests(engine)[0]
    with pytest.raises(
        ModelError, match=r"llama\.cpp failed with code -1: invalid token\[1\] = 5000"
    ):
        generate(engine, [type(request)("odd", [5, 5000], 2)])


def test_llama_cpp_writes_to_our_log(
    tiny_gguf: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="lm_eval.qrag_tasks")
    engine = load_gguf(tiny_gguf)
    generate(engine, sample_requests(engine))
    engine.close()
    assert capfd.readouterr() == ("", "")
    assert "llama.cpp: " in caplog.text
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
