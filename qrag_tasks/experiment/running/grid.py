"""Runs a plan: rankings first and once, then a process an arm, cell by cell."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from qrag_tasks.experiment.fidelity.places import readable, reads_of, unread
from qrag_tasks.experiment.fidelity.reading import JOURNAL
from qrag_tasks.experiment.fidelity.run import read_all
from qrag_tasks.experiment.plan import Arm, Cell, Plan
from qrag_tasks.experiment.running.answered_by import mixed_arms_of, refuse_other_data
from qrag_tasks.experiment.running.cell_folder import CellFolder, cell_settings
from qrag_tasks.experiment.running.grid_folder import GridFolder
from qrag_tasks.experiment.running.launchers import Here, Launcher, Ray
from qrag_tasks.experiment.running.processes import last_words, open_log
from qrag_tasks.experiment.running.progress import Progress
from qrag_tasks.experiment.running.run_notes import RunNotes
from qrag_tasks.experiment.running.shards import Shard, whole_grid
from qrag_tasks.experiment.running.waiting import wait_for_others
from qrag_tasks.tasks.base import DataSet

_POLL_SECONDS = 0.5


def run_plan(
    plan: Plan,
    root: Path,
    shard: Shard | None = None,
    launcher: Launcher | None = None,
    tell: Callable[[Progress], None] | None = None,
    *,
    file: Path | None = None,
    options: Sequence[str] = (),
) -> Progress:
    """Run a plan into a folder; on from where an earlier run into it ended.

    :param root: made where it is not there.
    :param shard: the part of the cells that this run makes; all of them where none is given.
    :param launcher: where the arms' processes run; here by default.
    :param tell: is called again and again with how far the run has come.
    :param file: the plan's, for ``qrag status``.
    :param options: of the command, for ``qrag status``; see
        :class:`~qrag_tasks.experiment.running.run_notes.RunNote`.
    :returns: how far it came in the end: what failed is named, and everything else is whole.
    :raises PlanError: when the folder holds something else, another run is at work in it, or it
        holds cells that were made with other settings, or of other data.
    :raises QragError: when the data cannot be had, or the folder cannot be written.
    """
    grid = GridFolder(root, plan)
    shard = shard or whole_grid()
    with grid.alone(shard.name), ExitStack() as answering:
        answering.enter_context(grid.answering(shard.name))
        cells = shard.of(plan.cells())
        data = _data(plan, cells)
        progress = Progress(_samples(plan, cells, data))
        progress.begin(grid)
        refuse_other_data(grid, progress.complete, data)
        progress.notes = mixed_arms_of(grid)
        grid.check_others(shard.name)
        grid.write_plan()
        notes = RunNotes(grid, shard, file, options)

        def note(now: Progress) -> None:
            notes.note(now)
            if tell is not None:
                tell(now)

        try:
            left = [cell for cell in cells if cell not in progress.complete]
            _rank(grid, left, progress, note)
            left = [cell for cell in left if cell not in progress.failed]
            if left:
                _answer(grid, launcher or Here(), left, progress, note)
                _name_the_rest(grid, left, progress)
            answering.close()
            if plan.fidelity is not None:
                if not isinstance(launcher, Ray):
                    _read_the_rest(grid, shard, progress, note)
                progress.unread = list(dict.fromkeys(each.cell for each in unread(grid)))
            progress.doing = ""
        finally:
            notes.note(progress, now=True)
    if tell is not None:
        tell(progress)
    return progress


def arms_left(plan: Plan, root: Path, shard: Shard | None = None) -> set[Arm]:
    """Return the arms of a plan that a run into a folder would still need.

    :raises PlanError: when the folder holds cells that were made with other settings.
    """
    cells = (shard or whole_grid()).of(plan.cells())
    return {
        cell.arm
        for cell in cells
        if not CellFolder(root / "cells" / cell.folder, cell_settings(plan, cell)).complete
    }


def _data(plan: Plan, cells: Sequence[Cell]) -> dict[str, DataSet]:
    """Return the data of every task."""
    from qrag_tasks.prompting.prompt_source import chosen_data
    from qrag_tasks.prompting.settings import Settings
    from qrag_tasks.tasks.catalog import task_named

    by_task: dict[str, DataSet] = {}
    for cell in cells:
        if cell.task not in by_task:
            settings = Settings.from_metadata(plan.metadata_of(cell), ())
            task = task_named(cell.task, settings.protocol.index)
            by_task[cell.task] = chosen_data(task, settings)
    return by_task


def _samples(plan: Plan, cells: Sequence[Cell], data: Mapping[str, DataSet]) -> dict[Cell, int]:
    """Return how many samples every cell has."""
    sizes = {task: min(len(each.ids), plan.limit or len(each.ids)) for task, each in data.items()}
    return {cell: sizes[cell.task] for cell in cells}


# ---------------------------------------------------------------------- rankings
def _rank(
    grid: GridFolder, cells: Sequence[Cell], progress: Progress, tell: Callable[[Progress], None]
) -> None:
    """Have everything ranked that the cells ask for; note those that cannot be."""
    by_ranking: dict[tuple[str, str], list[Cell]] = {}
    for cell in cells:
        if cell.retriever is not None:
            by_ranking.setdefault((cell.task, cell.retriever), []).append(cell)
    for (task, retriever), asking in by_ranking.items():
        progress.doing = f"ranking {task} by {retriever}"
        tell(progress)
        # In a process of its own, so that an encoder's memory is free again for the model.
        command = [
            *(sys.executable, "-m", "qrag_tasks.cli", "rank", task),
            *("--metadata", json.dumps(dict(grid.plan.metadata_of(asking[0])))),
        ]
        with open_log(grid.log(None)) as log:
            done = subprocess.run(  # noqa: S603 - our own command
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, check=False
            )
        if done.returncode != 0:
            for cell in asking:
                _failed(grid.cell(cell), cell, progress, last_words(grid.log(None)))


# ---------------------------------------------------------------------- arms
def _answer(
    grid: GridFolder,
    launcher: Launcher,
    cells: Sequence[Cell],
    progress: Progress,
    tell: Callable[[Progress], None],
) -> None:
    """Have the cells answered, and tell how far it has come."""
    for cell in cells:
        grid.cell(cell).forget_failure()
    by_arm: dict[Arm, list[Cell]] = {}
    for cell in _in_running_order(grid.plan, cells):
        by_arm.setdefault(cell.arm, []).append(cell)
    progress.tell_of_arms(by_arm)
    tell(progress)
    seen: set[Arm] = set()
    with launcher.started(grid, list(by_arm.items())) as handle:
        done = False
        while not done:
            time.sleep(_POLL_SECONDS)
            done = handle.done()
            for members in by_arm.values():
                progress.look(grid, members)
            # An arm's first cell shows whether it is still what answered the earlier ones.
            if (begun := {cell.arm for cell in cells if cell in progress.complete}) != seen:
                seen, progress.notes = begun, mixed_arms_of(grid)
            progress.tell_of_arms(by_arm)
            if reading := _reading_now(grid, cells):
                progress.doing = f"{reading.name} reads answers"
            tell(progress)


def _in_running_order(plan: Plan, cells: Sequence[Cell]) -> list[Cell]:
    """Return cells in the order in which they are answered.

    Where answers are to be read, a model's base arm comes before the arms that read its answers.
    """
    if plan.fidelity is None:
        return list(cells)
    bases = {model.name: plan.base_arm(model) for model in plan.models}
    models = list(bases)
    return sorted(cells, key=lambda c: (models.index(c.arm.model), c.arm != bases[c.arm.model]))


def _reading_now(grid: GridFolder, cells: Sequence[Cell]) -> Arm | None:
    """Return the arm that reads answers now, if one does."""
    if grid.plan.fidelity is None:
        return None
    return next((c.arm for c in cells if (grid.cell(c).path / JOURNAL).exists()), None)


def _read_the_rest(
    grid: GridFolder, shard: Shard, progress: Progress, tell: Callable[[Progress], None]
) -> None:
    """Have read what the arms did not read while they were loaded, as where one was killed.

    A part waits for the answers of base arms that other parts are making.
    """

    def say(doing: str) -> None:
        progress.doing = doing
        tell(progress)

    mine = [each for each in reads_of(grid) if each.cell in progress.complete]
    bases = {each.of_base.cell for each in mine}
    wait_for_others(
        grid,
        lambda: {each.of_base.cell for each in mine if not each.of_base.done},
        say,
    )
    wanted = {*progress.complete, *bases}
    # Once a base arm has read, more can be read than before it.
    before: list[Cell] = []
    while True:
        left = [each for each in readable(grid) if each.cell in wanted]
        if not left or (cells := [each.cell for each in left]) == before:
            return
        before = cells
        progress.notes += read_all(grid, left, shard=shard, tell=say)


def _name_the_rest(grid: GridFolder, cells: Sequence[Cell], progress: Progress) -> None:
    """Count as failed what left no word of itself, as where its folder cannot be written."""
    for cell in cells:
        if cell not in progress.complete and cell not in progress.failed:
            log = grid.log(cell.arm)
            words = last_words(log) if log.exists() else "its process was not started"
            progress.failed[cell] = f"not made: {words} (see {log})"


def _failed(folder: CellFolder, cell: Cell, progress: Progress, why: str) -> None:
    folder.fail(why)
    progress.failed[cell] = why
