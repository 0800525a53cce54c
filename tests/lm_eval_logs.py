"""Reading what lm_eval wrote below its output folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def samples_of(folder: Path, task: str) -> list[dict[str, Any]]:
    """Read the sample log that lm_eval wrote below ``folder`` for ``task``."""
    (path,) = folder.rglob(f"samples_{task}_*.jsonl")
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def results_of(folder: Path) -> dict[str, Any]:
    """Read the results file that lm_eval wrote below ``folder``."""
    (path,) = folder.rglob("results_*.json")
    return dict(json.loads(path.read_text(encoding="utf-8")))
