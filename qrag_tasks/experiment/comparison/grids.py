"""Compares the arms of a grid: every cell with the same cell of the base arm."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from qrag_tasks.errors import ComparisonError, PlanError
from qrag_tasks.experiment.comparison.compare import compare_matched
from qrag_tasks.experiment.comparison.matching import Matched, Side, in_table_order
from qrag_tasks.experiment.comparison.notes import folded
from qrag_tasks.experiment.comparison.options import Options
from qrag_tasks.experiment.comparison.rows import Comparison
from qrag_tasks.experiment.plan import Cell
from qrag_tasks.experiment.running.grid_folder import GridFolder
from qrag_tasks.logs.runs import holds_runs, read_runs


def compare_grid(root: Path, options: Options | None = None) -> Comparison:
    """Compare the complete cells of a grid, by the margins of its plan.

    :raises PlanError: when there is no grid.
    :raises ComparisonError: as :func:`match_grid`, and when two were given different prompts.
    """
    return compare_matched(match_grid(root), with_margins(root, options or Options()))


def with_margins(root: Path, options: Options) -> Options:
    """Add the margins of a grid's plan to those that are given, which take precedence."""
    return replace(options, margins={**_grid(root).plan.margins, **options.margins})


def match_grid(root: Path) -> Matched:
    """Find every complete cell's own of the base arm.

    :param root: folder of ``qrag run``.
    :raises PlanError: when there is no grid.
    :raises ComparisonError: when no two cells can be compared.
    """
    plan = _grid(root).plan
    bases = {model.name: plan.base_arm(model) for model in plan.models}
    sides, notes = complete_cells(root)
    matched = []
    for cell, side in sides.items():
        base = bases[cell.arm.model]
        if cell.arm != base:
            base_side = sides.get(replace(cell, arm=base))
            if base_side is not None:
                matched.append((base_side, side))
    if not matched:
        raise ComparisonError(
            f"{root}: no cell is complete both in a base precision and in another: run `qrag run` "
            f"again, or plan more than one precision, or more than one kv_cache"
        )
    return Matched(in_table_order(matched), notes)


def complete_cells(root: Path) -> tuple[dict[Cell, Side], list[str]]:
    """Return the complete cells of a grid, in the plan's order, and a note on the others.

    :param root: folder of ``qrag run``.
    :raises PlanError: when there is no grid.
    """
    grid = _grid(root)
    sides: dict[Cell, Side] = {}
    unfinished = []
    for cell in grid.plan.cells():
        folder = grid.cell(cell)
        if folder.complete:
            sides[cell] = _side(folder.path, cell)
        else:
            unfinished.append(cell.folder)
    return sides, folded(unfinished, "is not complete", "cells are not complete")


def _grid(root: Path) -> GridFolder:
    """Return the grid in a folder.

    :raises PlanError: when there is none; it tells what is missing where there are runs instead.
    """
    try:
        return GridFolder.at(root)
    except PlanError:
        if not (root / "plan.json").exists() and holds_runs(root):
            raise PlanError(
                f"{root} holds runs of lm_eval, and no plan.json as a folder of `qrag run` does: "
                f"name a second folder, or more, to compare it with"
            ) from None
        raise


def _side(folder: Path, cell: Cell) -> Side:
    (run,) = read_runs(folder)
    # As the plan names it, not by its checkpoint's folder: GPTQ's is another.
    return Side(
        replace(run, name=cell.arm.model, called=cell.arm.called), run.tasks[cell.task_name]
    )
