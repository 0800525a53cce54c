"""A small grid of real arms, and what of a grid must not depend on how it was run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from qrag_tasks.experiment.plan import Plan


def plan_of_several_batches(model: Path) -> Plan:
    """Return a plan of two arms with four cells each, of several batches."""
    return Plan.model_validate(
        {
            "name": "tiny",
            "models": [
                {"name": "llama", "pretrained": str(model), "args": {"max_batch_tokens": 2048}}
            ],
            "precisions": ["bf16", "int8"],
            "tasks": ["lamp3u", "lamp5u"],
            "k": [0, 1],
            "limit": 6,
            "chat_template": True,
        }
    )


def contents(root: Path) -> dict[str, Any]:
    """Return what must not depend on how a grid was made: scores, and samples to the byte."""
    made: dict[str, Any] = {}
    for path in sorted((root / "cells").rglob("*")):
        cell = str(path.parent.relative_to(root))
        if path.name.startswith("results_"):
            made[f"{cell} scores"] = json.loads(path.read_bytes())["results"]
        elif path.name.startswith("samples_"):
            made[f"{cell} samples"] = path.read_bytes()
    return made
