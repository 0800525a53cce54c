"""GGUF files as arms of the lm_eval command, and what its results say of them."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("llama_cpp", reason="the llama-cpp extra is not installed")
from gguf_models import quantize_gguf

LmEval = Callable[..., "subprocess.CompletedProcess[str]"]


def run(command: LmEval, out: Path, arguments: str, *more: str) -> Any:
    return command(
        *("--tasks", "lamp3u_rag_k1,lamp3u_rag_k3", "--limit", 3, "--log_samples"),
        *("--model", "qrag", "--model_args", arguments, "--apply_chat_template"),
        *("--metadata", json.dumps({"data": "mini", "context_tokens": 900})),
        *("--output_path", out, *more),
    )


def results(out: Path) -> dict[str, Any]:
    (file,) = out.rglob("results_*.json")
    written: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return written


def test_a_file_is_an_arm(lm_eval_command: LmEval, wide_gguf: Path, tmp_path: Path) -> None:
    file = quantize_gguf(wide_gguf, tmp_path / "model.Q4_K_M.gguf", "q4_k_m")
    done = run(
        lm_eval_command, tmp_path / "one", f"pretrained={file},engine=llama_cpp,deterministic=True"
    )
    assert done.returncode == 0, done.stderr
    assert "gguf-q4_k_m" in done.stdout
    assert "out of the prefix cache" in done.stdout
    said = results(tmp_path / "one")["config"]["qrag"]
    assert said["precision"] == "gguf-q4_k_m"
    assert said["deterministic"] is True
    assert said["engine"]["name"] == "llama_cpp"
    assert said["engine"]["evidence"] == "headers"
    assert {"Q4_K", "Q6_K"} <= said["arm"]["tensor_kinds"].keys()
    assert said["arm"]["weights"]["bytes"] > 1_000_000
    assert said["cost"]["cached_prompt_tokens"] is not None
    assert said["cost"]["prompt_tokens"] > 1000
    versions = said["identity_parts"]["versions"]
    assert versions["llama-cpp-python"]
    assert str(tmp_path) not in json.dumps(said["identity_parts"])

    # A copy of another name is the same arm.
    copy = shutil.copy(file, tmp_path / "copied.gguf")
    done = run(
        lm_eval_command, tmp_path / "two", f"pretrained={copy},engine=llama_cpp,deterministic=True"
    )
    assert done.returncode == 0, done.stderr
    assert results(tmp_path / "two")["config"]["qrag"]["identity"] == said["identity"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("pretrained={file}", "is a GGUF file: give --model qrag pretrained={file},engine=llama_c"),
        ("pretrained={folder},engine=llama_cpp", "engine=llama_cpp runs GGUF files: name one tha"),
        ("pretrained={cut},engine=llama_cpp", "is not a whole GGUF file"),
        ("pretrained={file},engine=llama_cpp,max_length=99", "the model's window is 99 tokens"),
    ],
)
def test_what_cannot_be_run_is_one_error(
    lm_eval_command: LmEval,
    tiny_model: Path,
    tiny_gguf: Path,
    tmp_path: Path,
    arguments: str,
    told: str,
) -> None:
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(tiny_gguf.read_bytes()[:-100])
    places = {"file": tiny_gguf, "folder": tiny_model, "cut": cut}
    done = run(lm_eval_command, tmp_path / "out", arguments.format(**places))
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("qrag-tasks: error: ")
    assert "Traceback" not in done.stderr
    assert told.format(**places) in last
