"""Runs a plan: rankings first and once, then a process an arm, cell by cell."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from qrag_tasks.errors import StoreError
from qrag_tasks.experiment.plan import Arm, Cell, Plan
from qrag_tasks.experiment.running.folder import CellFolder, GridFolder
from qrag_tasks.experiment.running.shards import Shard, whole_grid

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


def run_plan(
    plan: Plan,
    root: Path,
    shard: Shard | None = None,
    tell: Callable[[Progress], None] | None = None,
) -> Progress:
    """Run a plan into a folder; on from where an earlier run into it ended.

    :param root: made where it is not there.
    :param shard: the part of the cells that this run makes; all of them where none is given.
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
        for arm in plan.arms():
            of_arm = [cell for cell in left if cell.arm == arm and cell not in progress.failed]
            if of_arm:
                _run_arm(grid, arm, of_arm, progress, tell)
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
            settings = Settings.from_metadata(cell.metadata(plan), ())
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
            *("--metadata", json.dumps(dict(asking[0].metadata(grid.plan)))),
        ]
        with _log(grid.log(None)) as log:
            done = subprocess.run(  # noqa: S603 - our own command
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, check=False
            )
        if done.returncode != 0:
            for cell in asking:
                _failed(grid.cell(cell), cell, progress, _last_words(grid.log(None)))


# ---------------------------------------------------------------------- arms
def _run_arm(
    grid: GridFolder,
    arm: Arm,
    cells: Sequence[Cell],
    progress: Progress,
    tell: Callable[[Progress], None],
) -> None:
    """Answer an arm's cells; in a new process where one died over a cell."""
    left = list(cells)
    while left:
        progress.doing = f"{arm.name}: loading"
        tell(progress)
        for cell in left:
            # What an earlier run says of it holds no more.
            (grid.cell(cell).path / "failed.json").unlink(missing_ok=True)
        code = _process(grid, arm, left, progress, tell)
        _note(grid, left, progress)
        left = [cell for cell in left if cell not in (*progress.complete, *progress.failed)]
        if left:
            culprit = left.pop(0)
            words = _last_words(grid.log(arm))
            _failed(
                grid.cell(culprit),
                culprit,
                progress,
                f"its process ended with {_ending(code)}: {words} (see {grid.log(arm)})",
            )
        tell(progress)


def _process(
    grid: GridFolder,
    arm: Arm,
    cells: Sequence[Cell],
    progress: Progress,
    tell: Callable[[Progress], None],
) -> int:
    numbers = {cell: number for number, cell in enumerate(grid.plan.cells())}
    command = [
        *(sys.executable, "-m", "qrag_tasks.experiment.running.arm", str(grid.root)),
        *("--arm", arm.name, "--cells", ",".join(str(numbers[cell]) for cell in cells)),
    ]
    with (
        _log(grid.log(arm)) as log,
        # Its standard input ends when this process does, however it ends.
        subprocess.Popen(  # noqa: S603 - our own module
            command, stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT
        ) as process,
    ):
        try:
            while process.poll() is None:
                time.sleep(_POLL_SECONDS)
                _note(grid, cells, progress)
                tell(progress)
        except BaseException:
            process.terminate()
            raise
        return process.returncode


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
            if progress.answered[cell]:
                progress.doing = cell.folder
            if progress.answered[cell] < progress.samples[cell]:
                return


def _failed(folder: CellFolder, cell: Cell, progress: Progress, why: str) -> None:
    folder.fail(why)
    progress.failed[cell] = why


@contextmanager
def _log(path: Path) -> Iterator[int]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            yield file.fileno()
    except OSError as error:
        raise StoreError(f"{path}: cannot be written: {error.strerror}") from error


def _last_words(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").replace("\r", "\n").splitlines()
    return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")


def _ending(code: int) -> str:
    if code == -9:
        return "signal 9 (killed: was memory short?)"
    return f"signal {-code}" if code < 0 else f"exit code {code}"
