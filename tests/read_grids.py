"""Small grids, read in the test's own process, which has imported torch already."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qrag_tasks.experiment.fidelity import reading
from qrag_tasks.experiment.fidelity.places import Reads, reads_of, unread
from qrag_tasks.experiment.plan import Arm, Cell, Plan
from qrag_tasks.experiment.plan.planned_fidelity import OWN
from qrag_tasks.experiment.running.arm import load
from qrag_tasks.experiment.running.grid_folder import GridFolder

TOP = 127


def tiny_plan(model: Path, **fields: Any) -> Plan:
    """Return a plan of two arms with four cells each."""
    body = {
        "name": "tiny",
        "models": [{"name": "llama", "pretrained": str(model)}],
        "precisions": ["fp32", "bf16"],
        "tasks": ["lamp3u", "lamp5u"],
        "k": [0, 1],
        "limit": 6,
        "answer_tokens": 5,
    }
    return Plan.model_validate({**body, **fields})


def read_here(grid: GridFolder, arm: Arm, cells: list[Cell], top: int | None) -> None:
    """Have an arm read cells, without a process of its own."""
    reading.read_cells(load(arm), [r for r in reads_of(grid, top) if r.cell in cells])


def reads(root: Path, precision: str, kind: str = OWN) -> list[Reads]:
    """Return what the arm of a precision is to read."""
    return [
        each
        for each in reads_of(GridFolder.at(root), TOP)
        if each.cell.arm.precision == precision and each.kind == kind
    ]


def left(root: Path) -> set[str]:
    """Return the precisions of the arms that have something left to read."""
    return {each.cell.arm.precision for each in unread(GridFolder.at(root), TOP)}
