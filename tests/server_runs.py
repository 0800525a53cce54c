"""Runs of our tasks through lm_eval's models for servers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lm_eval import simple_evaluate
from lm_eval.tasks import TaskManager

from qrag_tasks.locations import task_yamls

Server = tuple[str, list[dict[str, Any]]]
"""Address of a server, and the requests that it got."""


def docs_asked(
    model: str,
    server: Server,
    arguments: dict[str, Any],
    data: Path,
    task: str,
    metadata: Any = None,
    **choices: Any,
) -> list[dict[str, Any]]:
    """Run one task and return the docs of its samples."""
    known = {"base_url": server[0], "max_retries": 1, **arguments}
    given = {**known, "data": str(data), **(metadata or {})}
    manager = TaskManager(include_path=str(task_yamls()), include_defaults=False, metadata=given)
    results = simple_evaluate(
        model=model,
        model_args=known,
        tasks=[task],
        task_manager=manager,
        bootstrap_iters=0,
        **choices,
    )
    assert results is not None
    return [sample["doc"] for sample in results["samples"][task]]
