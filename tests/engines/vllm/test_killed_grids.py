"""Grids on vLLM whose process is killed."""

from __future__ import annotations

from pathlib import Path

from killed_grids import check_that_a_killed_grid_goes_on
from vllm_models import small_arguments

from qrag_tasks.experiment.plan import Plan


def test_a_grid_that_is_killed_goes_on(vllm_model: Path, cache: Path, tmp_path: Path) -> None:
    given = dict(small_arguments(vllm_model, engine="vllm", deterministic=True))
    precision, folder = given.pop("precision"), given.pop("pretrained")
    model = {"name": "tiny", "pretrained": folder, "args": given}
    plan = {
        "name": "killed",
        "models": [model],
        "precisions": [precision],
        "tasks": ["lamp3u"],
        "k": [0, 1],
        "limit": 6,
    }
    check_that_a_killed_grid_goes_on(Plan.model_validate(plan), tmp_path)
