"""Plans as people write them, and what is said of wrong ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from qrag_tasks.errors import PlanError
from qrag_tasks.experiment.plan import Plan, read_plan

SMALL = """\
name: small
models:
  - name: demo
precisions: [bf16, int8]
retrievers: [bm25, "bm25:k1=0.9,b=0.4"]
tasks: [lamp3u, lamp5u]
k: [0, 1, 5]
orders: [best-first, reversed]
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "plan.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def complaints(tmp_path: Path, text: str) -> list[str]:
    """Return what is said of a plan, without the name of its file."""
    path = written(tmp_path, text)
    with pytest.raises(PlanError) as caught:
        read_plan(path)
    return [line.removeprefix(f"{path}:") for line in str(caught.value).splitlines()]


def built(**changes: Any) -> Plan:
    return Plan.model_validate(
        {
            "name": "p",
            "models": [{"name": "m"}],
            "precisions": ["bf16"],
            "tasks": ["lamp3u"],
            "k": [5],
            **changes,
        }
    )
