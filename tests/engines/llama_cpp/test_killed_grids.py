"""Grids on llama.cpp whose process is killed."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("llama_cpp", reason="the llama-cpp extra is not installed")
from killed_grids import check_that_a_killed_grid_goes_on

from qrag_tasks.experiment.plan import Plan


def test_a_grid_that_is_killed_goes_on(
    tiny_model: Path, tiny_gguf: Path, cache: Path, tmp_path: Path
) -> None:
    model = {
        "name": "tiny",
        "pretrained": str(tiny_model),
        "checkpoints": {"gguf-f32": str(tiny_gguf)},
        "args": {"engine": "llama_cpp", "tokenizer": str(tiny_model), "deterministic": True},
    }
    plan = {
        "name": "killed",
        "models": [model],
        "precisions": ["gguf-f32"],
        "tasks": ["lamp3u"],
        "k": [0, 1],
        "limit": 6,
    }
    check_that_a_killed_grid_goes_on(Plan.model_validate(plan), tmp_path)
