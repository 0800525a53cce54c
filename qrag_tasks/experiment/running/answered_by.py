"""Which arms answered the cells of a grid, and what their prompts were made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from qrag_tasks.errors import PlanError, QragError
from qrag_tasks.experiment.arm_identities import mixed_arms
from qrag_tasks.experiment.mixed_prompts import mixed_prompts
from qrag_tasks.experiment.plan import Cell
from qrag_tasks.experiment.running.grid_folder import GridFolder
from qrag_tasks.logs.runs import Run, read_runs
from qrag_tasks.tasks.base import DataSet


def mixed_arms_of(grid: GridFolder) -> list[str]:
    """Return a sentence for every arm of a grid whose cells were answered by different arms.

    As where weights or packages have changed between a run and the next; and one for data and
    retrievers that have. Cells that are not complete do not count: one that was begun goes on with
    its own arm alone.
    """
    arms, prompts = [], []
    for cell in grid.plan.cells():
        for run in _runs(grid, cell):
            arms.append((cell.arm.name, run.logged))
            tasks = run.tasks.values()
            prompts += [(str(task.lamp_task), task.prompts) for task in tasks if task.prompts]
    return [*mixed_arms(arms), *mixed_prompts(prompts)]


def refuse_other_data(grid: GridFolder, cells: Iterable[Cell], data: Mapping[str, DataSet]) -> None:
    """Refuse to go on with a grid where data were edited since a cell was made of them.

    :param cells: those that are complete.
    :param data: of each task, as they are now.
    :raises PlanError: when they were.
    """
    for cell in cells:
        now = data[cell.task]
        for task in (task for run in _runs(grid, cell) for task in run.tasks.values()):
            before = task.prompts and task.prompts.data_sha256
            if before and before != now.fingerprint:
                raise PlanError(
                    f"{grid.cell(cell).path} was made of other data than {now.questions} and what "
                    f"belongs to it hold now: they have changed since. Run into another folder, "
                    f"put the data back as they were, or remove that folder to have it made again."
                )


def _runs(grid: GridFolder, cell: Cell) -> Sequence[Run]:
    folder = grid.cell(cell)
    try:
        return read_runs(folder.path) if folder.complete else []
    except QragError:
        return []  # `qrag compare` says what is wrong with it
