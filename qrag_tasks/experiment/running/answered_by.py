"""Which arms answered the cells of a grid."""

from __future__ import annotations

from collections.abc import Iterator

from qrag_tasks.errors import QragError
from qrag_tasks.experiment.arm_identities import mixed_arms
from qrag_tasks.experiment.running.grid_folder import GridFolder
from qrag_tasks.logs.runs import read_runs
from qrag_tasks.logs.schema import LoggedArm


def mixed_arms_of(grid: GridFolder) -> list[str]:
    """Return a sentence for every arm of a grid whose cells were answered by different arms.

    As where weights or packages have changed between a run and the next. Cells that are not
    complete do not count: one that was begun goes on with its own arm alone.
    """
    return list(mixed_arms(_arms(grid)))


def _arms(grid: GridFolder) -> Iterator[tuple[str, LoggedArm]]:
    for cell in grid.plan.cells():
        folder = grid.cell(cell)
        try:
            runs = read_runs(folder.path) if folder.complete else []
        except QragError:
            continue  # `qrag compare` says what is wrong with it
        yield from ((cell.arm.name, run.logged) for run in runs)
