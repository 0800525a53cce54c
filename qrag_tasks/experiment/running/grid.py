"""Runs a plan: rankings first and once, then a process an arm, cell by cell."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from qrag_tasks.errors import StoreError
from qrag_tasks.experiment.plan import Arm, Cell, Plan
from qrag_tasks.experiment.running.engines import Engine, Here
from qrag_tasks.experiment.running.folder import CellFolder, GridFolder
from qrag_tasks.experiment.running.processes import last_words, open_log
from qrag_tasks.experiment.running.shards import Shard, whole_grid, work_of

_POLL_SECONDS = 0.5


@dataclass
class Progress:
    """How far a run has come.

    :ivar samples: of every cell of this run, in the plan's order.
    :ivar answered: of every cell that has been begun.
    :ivar complete: cells that are whole; those that were so before are among them.
    :ivar failed: cell -> why it could not be made.
    :ivar doing: what is being done, in words.
    """

    samples: Mapping[Cell, int]
    answered: dict[Cell, int] = field(default_factory=dict)
    complete: list[Cell] = field(default_factory=list)
    failed: dict[Cell, str] = field(default_factory=dict)
    doing: str = ""

    def of(self, cells: Sequence[Cell]) -> tuple[int, int]:
        """Return the answered samples of some cells, and all of them."""
        return (
            sum(self.answered.get(cell, 0) for cell in cells),
            sum(self.samples[cell] for cell in cells),
        )

    def work(self) -> tuple[int, int]:
        """Return what is done and what is left, by documents: k = 10 takes longer than k = 1."""
        done = left = 0
        for cell, samples in self.samples.items():
            answered = self.answered.get(cell, 0)
            done += work_of(cell) * answered
            if cell not in self.failed:
                left += work_of(cell) * (samples - answered)
        return done, left


def run_plan(
    plan: Plan,
    root: Path,
    shard: Shard | None = None,
    engine: Engine | None = None,
    tell: Callable[[Progress], None] | None = None,
) -> Progress:
    """Run a plan into a folder; on from where an earlier run into it ended.

    :param root: made where it is not there.
    :param shard: the part of the cells that this run makes; all of them where none is given.
    :param engine: where the arms' processes run; here by default.
    :param tell: is called again and again with how far the run has come.
    :returns: how far it came in the end: what failed is named, and everything else is whole.
    :raises PlanError: when the folder holds something else, another run is at work in it, or it
        holds cells that were made with other settings.
    :raises QragError: when the data cannot be had, or the folder cannot be written.
    """
    grid = GridFolder(root, plan)
    shard = shard or whole_grid()
    tell = tell or (lambda _: None)
    with grid.alone(shard.name):
        cells = shard.of(plan.cells())
        progress = Progress(_samples(plan, cells))
        for cell in cells:
            if grid.cell(cell).complete:
                _completed(progress, cell)
        grid.write_plan()
        left = [cell for cell in cells if cell not in progress.complete]
        _rank(grid, left, progress, tell)
        left = [cell for cell in left if cell not in progress.failed]
        if left:
            _answer(grid, engine or Here(), left, progress, tell)
            _name_the_rest(grid, left, progress)
    progress.doing = ""
    tell(progress)
    return progress


def _samples(plan: Plan, cells: Sequence[Cell]) -> dict[Cell, int]:
    """Return how many samples every cell has."""
    from qrag_tasks.benchmark.tasks import lamp_task
    from qrag_tasks.harness.settings import Settings
    from qrag_tasks.harness.setup import chosen_data

    found: dict[str, int] = {}
    for cell in cells:
        if cell.task not in found:
            settings = Settings.from_metadata(plan.metadata_of(cell), ())
            data = chosen_data(lamp_task(cell.task, settings.protocol.index), settings)
            found[cell.task] = min(len(data.ids), plan.limit or len(data.ids))
    return {cell: found[cell.task] for cell in cells}


def _completed(progress: Progress, cell: Cell) -> None:
    progress.complete.append(cell)
    progress.answered[cell] = progress.samples[cell]


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
    engine: Engine,
    cells: Sequence[Cell],
    progress: Progress,
    tell: Callable[[Progress], None],
) -> None:
    """Have the cells answered, and tell how far it has come."""
    for cell in cells:
        # What an earlier run says of it holds no more.
        (grid.cell(cell).path / "failed.json").unlink(missing_ok=True)
    by_arm: dict[Arm, list[Cell]] = {}
    for cell in cells:
        by_arm.setdefault(cell.arm, []).append(cell)
    progress.doing = _doing(by_arm, progress)
    tell(progress)
    with engine.started(grid, list(by_arm.items())) as handle:
        done = False
        while not done:
            time.sleep(_POLL_SECONDS)
            done = handle.done()
            for members in by_arm.values():
                _note(grid, members, progress)
            progress.doing = _doing(by_arm, progress)
            tell(progress)


def _doing(by_arm: Mapping[Arm, Sequence[Cell]], progress: Progress) -> str:
    """Say which arm of how many is at work, and whether it is loading or which cell it answers."""
    for number, (arm, cells) in enumerate(by_arm.items(), 1):
        open_cells = [c for c in cells if c not in progress.complete and c not in progress.failed]
        if not open_cells:
            continue
        begun = next((cell for cell in open_cells if progress.answered.get(cell)), None)
        loading = begun is None and len(open_cells) == len(cells)
        what = f"loading {arm.name}" if loading else (begun or open_cells[0]).folder
        return f"arm {number}/{len(by_arm)}: {what}"
    return ""


def _note(grid: GridFolder, cells: Sequence[Cell], progress: Progress) -> None:
    """Look how far the process of an arm has come."""
    from qrag_tasks.harness.journal import answered

    for cell in cells:
        if cell in progress.complete or cell in progress.failed:
            continue
        folder = grid.cell(cell)
        if folder.complete:
            _completed(progress, cell)
        elif (failure := folder.failure) is not None:
            progress.failed[cell] = failure
        else:
            try:
                progress.answered[cell] = min(answered(folder.journal), progress.samples[cell])
            except StoreError:
                continue  # its own process says so
            if progress.answered[cell] < progress.samples[cell]:
                return


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
