"""How far a grid is: read from its folder, while it is run or not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from qrag_tasks.experiment.fidelity.places import unread
from qrag_tasks.experiment.plan import Arm, Cell, Plan
from qrag_tasks.experiment.running.grid_folder import GridFolder
from qrag_tasks.experiment.running.run_notes import RunNote, read_note
from qrag_tasks.experiment.running.shards import Shard


@dataclass(frozen=True)
class ArmStatus:
    """How far an arm is, in cells."""

    arm: Arm
    complete: int
    failed: int
    left: int


@dataclass(frozen=True)
class Part:
    """A part of a grid that is run, or was.

    :ivar note: the last that the run noted; ``None`` where it noted nothing.
    :ivar at_work: whether the run is at work now; ``None`` where that cannot be told, as the
        folder is read-only for this user.
    """

    shard: Shard
    note: RunNote | None
    at_work: bool | None


@dataclass(frozen=True)
class Status:
    """How far a grid is.

    :ivar complete: cells that are whole.
    :ivar failed: cell -> why the last attempt failed.
    :ivar left: the other cells; those that are begun are among them.
    :ivar parts: those that were run last, by their number; none where nothing was ever run here.
    :ivar is_merged_now: whether ``qrag merge`` is at work.
    :ivar unread: complete cells whose answers the plan wants read, token by token, and are not.
    """

    plan: Plan
    complete: Sequence[Cell]
    failed: Mapping[Cell, str]
    left: Sequence[Cell]
    parts: Sequence[Part]
    is_merged_now: bool
    unread: Sequence[Cell] = ()

    @property
    def arms(self) -> list[ArmStatus]:
        """How far every arm is."""
        complete, failed, left = (
            Counter(cell.arm.name for cell in cells)
            for cells in (self.complete, self.failed, self.left)
        )
        return [
            ArmStatus(arm, complete[arm.name], failed[arm.name], left[arm.name])
            for arm in self.plan.arms()
        ]

    def parts_to_run(self) -> list[Shard]:
        """Return the parts that nobody runs now, and that have something left to do."""
        count = self.parts[0].shard.count if self.parts else 1
        at_work = {part.shard.number for part in self.parts if part.at_work}
        undone = {*self.left, *self.failed}
        shards = [Shard(number, count) for number in range(1, count + 1)]
        return [
            shard
            for shard in shards
            if shard.number not in at_work and undone.intersection(shard.of(self.plan.cells()))
        ]


def status_of(root: Path) -> Status:
    """Look how far the grid in a folder is. Nothing is written, and no data or model is needed.

    :raises PlanError: when the folder holds no grid, or a cell that was made with other settings.
    :raises StoreError: when a file in it is damaged.
    """
    grid = GridFolder.at(root)
    complete, left = [], []
    failed: dict[Cell, str] = {}
    for cell in grid.plan.cells():
        folder = grid.cell(cell)
        if folder.complete:
            complete.append(cell)
        elif (failure := folder.failure) is not None:
            failed[cell] = failure
        else:
            left.append(cell)
    merged = bool(grid.is_at_work("merge"))
    to_read = [] if grid.plan.fidelity is None else unread(grid)
    cells = list(dict.fromkeys(each.cell for each in to_read))
    return Status(grid.plan, complete, failed, left, _parts(grid), merged, cells)


def _parts(grid: GridFolder) -> list[Part]:
    """Return the parts of the last division: there may be files of an earlier one."""
    parts = []
    for name in grid.shards():
        shard = Shard.named(name)
        if shard is not None:
            parts.append(Part(shard, read_note(grid.note(name)), grid.is_at_work(name)))

    def age(part: Part) -> tuple[bool, float]:
        return bool(part.at_work), part.note.begun.timestamp() if part.note else 0.0

    if not parts:
        return []
    count = max(parts, key=age).shard.count
    alike = [part for part in parts if part.shard.count == count]
    return sorted(alike, key=lambda part: part.shard.number)
