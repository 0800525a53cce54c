"""Every task on the embedded sample, by plain lm_eval with the embedded model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from qrag_personamem.table import PERSONAMEM_TASKS


def lm_eval(cache: Path, out: Path, tasks: list[str], **metadata: str) -> list[dict[str, Any]]:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "lm_eval", "--tasks", ",".join(tasks), "--model", "hf"),
            *("--model_args", "dtype=float32", "--device", "cpu", "--limit", "2"),
            *("--gen_kwargs", "max_gen_toks=8", "--output_path", str(out), "--log_samples"),
            *("--metadata", json.dumps({"data": "mini", **metadata})),
        ],
        env={**os.environ, "QRAG_CACHE": str(cache), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    logs = sorted(out.rglob("samples_*.jsonl"))
    assert len(logs) == len(tasks)
    return [json.loads(line) for log in logs for line in log.read_text("utf-8").splitlines()]


TASKS = [
    f"{name}_rag_k{0 if 'full' in name else 1 if 'sessions' in name else 3}"
    for name in PERSONAMEM_TASKS
]


def test_every_task_by_generation(tmp_path: Path) -> None:
    samples = lm_eval(tmp_path / "cache", tmp_path / "out", TASKS)
    assert len(samples) == 2 * len(PERSONAMEM_TASKS)
    for sample in samples:
        assert {"accuracy", "accuracy_personamem", "valid_rate"} <= {*sample["metrics"]}
        assert sample["doc"]["attributes"]["distance_blocks"] in (0, 1)
        assert sample["doc"]["user"] == "persona-0"


def test_every_task_by_likelihood(tmp_path: Path) -> None:
    samples = lm_eval(tmp_path / "cache", tmp_path / "out", TASKS, answer="likelihood")
    assert len(samples) == 2 * len(PERSONAMEM_TASKS)
    for sample in samples:
        answers = [json.loads(each)["answer"] for each in sample["filtered_resps"]]
        assert answers == ["(a)", "(b)", "(c)", "(d)"]
        assert sample["accuracy"] in (0.0, 1.0)
