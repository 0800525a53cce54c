"""``lm_eval --model qrag`` as users run it: results, cost, clear errors, two processes."""

from __future__ import annotations

import json
import os
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
        *("--log_samples", *more, "--output_path", out),
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


def launched(processes: int, out: Path, *arguments: object) -> dict[str, Any]:
    """Run ``lm_eval`` in several processes, as ``accelerate launch`` does with several GPUs."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
            *("--nproc_per_node", str(processes)),
            *("-m", "lm_eval", *map(str, arguments), "--output_path", str(out)),
        ],
        env={**os.environ, "ACCELERATE_USE_CPU": "true"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return results_of(out)


def test_two_processes_share_the_work(tiny_model: Path, tmp_path: Path) -> None:
    run = options(tiny_model, "fp32", tmp_path)[:-2]
    cached = (*run, "--use_cache", tmp_path / "answers")
    alone = launched(1, tmp_path / "alone", *run)
    together = launched(2, tmp_path / "together", *cached)
    # One process has all its answers, the other none.
    (tmp_path / "answers_rank1.db").unlink()
    again = launched(2, tmp_path / "again", *cached)
    costs = [found["config"]["qrag"]["cost"] for found in (alone, together, again)]
    assert [cost["ranks"] for cost in costs] == [1, 2, 2]
    assert costs[0]["prompt_tokens"] == costs[1]["prompt_tokens"] > costs[2]["prompt_tokens"] > 0
    for other in (together, again):
        assert other["results"] == alone["results"]
        assert other["config"]["qrag"]["identity"] == alone["config"]["qrag"]["identity"]
    for name in ("3u", "5u"):
        answers = [
            {s["doc_id"]: s["resps"] for s in task(tmp_path / run, name)}
            for run in ("alone", "together", "again")
        ]
        assert len(answers[0]) == 4
        assert answers[0] == answers[1] == answers[2]
