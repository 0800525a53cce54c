"""Folders of grids as runs leave them, made without a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qrag_tasks.engines.journal import Journal
from qrag_tasks.experiment.plan import Cell, Plan
from qrag_tasks.experiment.running.grid_folder import GridFolder


def small_plan(**fields: Any) -> Plan:
    """Return a plan of two arms with two cells each."""
    body = {
        "name": "small",
        "models": [{"name": "llama", "pretrained": "somewhere"}],
        "precisions": ["bf16", "int8"],
        "tasks": ["lamp3u"],
        "k": [0, 1],
    }
    return Plan.model_validate({**body, **fields})


def grid_folder(root: Path, plan: Plan) -> GridFolder:
    """Return the folder of a plan of which nothing is run yet."""
    grid = GridFolder(root, plan)
    grid.write_plan()
    return grid


def complete(grid: GridFolder, *cells: Cell) -> None:
    """Leave cells as a run does that has ended them."""
    for cell in cells:
        grid.cell(cell).begin()
        grid.cell(cell).finish()


def answer(grid: GridFolder, cell: Cell, answers: int, tokens: int, seconds: float) -> None:
    """Append a batch to a cell's journal; the prompts take all but an answer's one token."""
    folder = grid.cell(cell)
    folder.path.mkdir(parents=True, exist_ok=True)
    journal = Journal(folder.journal, "arm")
    cost = {
        "prompt_tokens": tokens - answers,
        "generated_tokens": answers,
        "prefill_seconds": seconds / 2,
        "decode_seconds": seconds / 2,
    }
    batch = {f"{len(journal) + number}": "5" for number in range(answers)}
    journal.append(batch, cost, (None, 8192, None))
