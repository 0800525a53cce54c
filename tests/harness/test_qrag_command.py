"""``lm_eval --model qrag`` as users run it: results, cost, clear errors, two processes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lm_eval_logs import results_of, samples_of

pytest.importorskip("torch", reason="the hf extra is not installed")

Command = Callable[..., subprocess.CompletedProcess[str]]
MINI = json.dumps({"data": "mini", "context_tokens": 600})


def options(model: Path, precision: str, out: Path, *more: object) -> list[object]:
    return [
        *("--model", "qrag", "--model_args", f"pretrained={model},precision={precision}"),
        *("--tasks", "lamp_rag_k3", "--metadata", MINI, "--limit", 4),
        *("--log_samples", "--output_path", out, *more),
    ]


def test_a_run_says_what_the_arm_is_and_what_it_cost(
    lm_eval_command: Command, tiny_model: Path, tmp_path: Path
) -> None:
    done = lm_eval_command(*options(tiny_model, "int4-nf4", tmp_path))
    assert done.returncode == 0, done.stderr
    config = results_of(tmp_path)["config"]
    assert config["batch_size"] == "auto"
    told = config["qrag"]
    assert told["precision"] == "int4-nf4"
    assert len(told["identity"]) == 64
    cost = told["cost"]
    prompts = [s["doc"]["prompt_tokens"] for t in ("3u", "5u") for s in task(tmp_path, t)]
    assert cost["prompt_tokens"] == sum(prompts)
    assert 8 <= cost["generated_tokens"] <= 4 * 16 + 4 * 32
    assert 0 < cost["prefill_seconds"] < cost["run_seconds"]
    assert 0 < cost["decode_seconds"] < cost["run_seconds"]
    scores, costs = done.stdout.index("rougeL"), done.stdout.rindex("tokens/s")
    assert scores < costs


def task(folder: Path, name: str) -> list[dict[str, Any]]:
    return samples_of(folder, f"lamp{name}_rag_k3")


def test_arms_get_the_same_prompts_and_a_batch_size_is_obeyed(
    lm_eval_command: Command, tiny_model: Path, tmp_path: Path
) -> None:
    for precision in ("bf16", "int4-fp4"):
        arm = tmp_path / precision
        done = lm_eval_command(*options(tiny_model, precision, arm, "--batch_size", 3))
        assert done.returncode == 0, done.stderr
        config = results_of(arm)["config"]
        assert (config["batch_size"], config["qrag"]["cost"]["largest_batch"]) == ("3", 3)
    for name in ("3u", "5u"):
        one, other = task(tmp_path / "bf16", name), task(tmp_path / "int4-fp4", name)
        assert [s["prompt_hash"] for s in one] == [s["prompt_hash"] for s in other]


def failing(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    (line,) = [at for at in done.stderr.split("\n") if at.startswith("qrag-tasks: error: ")]
    return line


def test_a_file_for_a_folder(lm_eval_command: Command, tiny_model: Path, tmp_path: Path) -> None:
    done = lm_eval_command(*options(tiny_model / "model.safetensors", "int4-nf4", tmp_path))
    assert "model.safetensors is a file" in failing(done)


def test_an_unquantized_checkpoint_for_gptq(
    lm_eval_command: Command, tiny_model: Path, tmp_path: Path
) -> None:
    told = failing(lm_eval_command(*options(tiny_model, "int4-gptq", tmp_path)))
    try:
        import gptqmodel  # noqa: F401
    except ImportError:
        assert "precision=int4-gptq needs gptqmodel" in told
        assert "pip install 'qrag-tasks[gptq]'" in told
    else:
        assert "qrag quantize" in told


def test_two_processes_share_the_work(tiny_model: Path, tmp_path: Path) -> None:
    alone, together = tmp_path / "alone", tmp_path / "together"
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--cpu"]
    for processes, out in ((1, alone), (2, together)):
        done = subprocess.run(
            [
                *launch,
                "--num_processes",
                str(processes),
                "--num_machines",
                "1",
                "--mixed_precision",
                "no",
                "--dynamo_backend",
                "no",
                *("-m", "lm_eval", *map(str, options(tiny_model, "fp32", out))),
            ],
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    one, two = results_of(alone), results_of(together)
    assert one["results"] == two["results"]
    assert one["config"]["qrag"]["identity"] == two["config"]["qrag"]["identity"]
    tokens = [found["config"]["qrag"]["cost"]["prompt_tokens"] for found in (one, two)]
    assert tokens[0] == tokens[1]
    for name in ("3u", "5u"):
        answers = [
            [s["resps"] for s in sorted(task(out, name), key=lambda s: s["doc_id"])]
            for out in (alone, together)
        ]
        assert answers[0] == answers[1]
