"""Compares the arms of a grid: every cell with the same cell in the base precision."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from qrag_tasks.errors import ComparisonError
from qrag_tasks.experiment.comparison.compare import Options, Side, compare_sides
from qrag_tasks.experiment.comparison.rows import Comparison
from qrag_tasks.experiment.plan import Cell
from qrag_tasks.experiment.running.folder import GridFolder
from qrag_tasks.experiment.runs import read_runs


def compare_grid(root: Path, options: Options | None = None) -> Comparison:
    """Compare the complete cells of a grid.

    :param root: folder of ``qrag run``.
    :raises PlanError: when there is no grid.
    :raises ComparisonError: when no two cells can be compared, or two were given different prompts.
    """
    options = options or Options()
    grid = GridFolder.at(root)
    plan = grid.plan
    options = replace(options, margins={**plan.margins, **options.margins})
    bases = {model.name: plan.base_of(model) for model in plan.models}
    sides = {}
    notes = []
    for cell in plan.cells():
        folder = grid.cell(cell)
        if folder.complete:
            sides[cell] = _side(folder.path, cell)
        else:
            notes.append(f"{cell.folder} is not complete")
    matched = []
    for cell, side in sides.items():
        base = bases[cell.arm.model]
        if cell.arm.precision != base:
            found = next((other for at, other in sides.items() if _same(at, cell, base)), None)
            if found is not None:
                matched.append((found, side))
    if not matched:
        raise ComparisonError(
            f"{root}: no cell is complete both in a base precision and in another: run `qrag run` "
            f"again, or plan more than one precision"
        )
    return compare_sides(matched, options, notes)


def _side(folder: Path, cell: Cell) -> Side:
    (run,) = read_runs(folder)
    # As the plan names it, not by its checkpoint's folder: GPTQ's is another.
    return Side(replace(run, name=cell.arm.model), run.tasks[cell.task_name])


def _same(at: Cell, cell: Cell, base: str) -> bool:
    return at.arm.precision == base and replace(at, arm=cell.arm) == cell
