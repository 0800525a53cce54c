"""How far a run has come, and at what pace."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from qrag_tasks.engines.journal import Answered, answered
from qrag_tasks.errors import StoreError
from qrag_tasks.experiment.plan import Arm, Cell
from qrag_tasks.experiment.running.grid_folder import GridFolder
from qrag_tasks.experiment.running.shards import work_of


@dataclass
class Progress:
    """How far a run has come.

    :ivar samples: of every cell of this run, in the plan's order.
    :ivar answered: of every cell that has been begun.
    :ivar complete: cells that are whole, in the order in which that was seen; those that were so
        before are among them.
    :ivar failed: cell -> why it could not be made.
    :ivar notes: a sentence for every arm whose cells were answered by different arms.
    :ivar doing: what is being done, in words.
    :ivar unread: cells whose answers the plan wants read, token by token, and are not.
    """

    samples: Mapping[Cell, int]
    answered: dict[Cell, int] = field(default_factory=dict)
    complete: dict[Cell, None] = field(default_factory=dict)
    failed: dict[Cell, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    doing: str = ""
    unread: Sequence[Cell] = ()
    _journals: dict[Cell, Answered] = field(default_factory=dict)
    _before: dict[Cell, int] = field(default_factory=dict)
    _begun: float = field(default_factory=lambda: time.monotonic())

    def begin(self, grid: GridFolder) -> None:
        """Look what earlier runs left, which does not count for the pace of this one."""
        for cell in self.samples:
            if grid.cell(cell).complete:
                self._completed(cell)
            else:
                self._read_journal(grid, cell)
        self._before = dict(self.answered)

    def look(self, grid: GridFolder, cells: Iterable[Cell]) -> None:
        """Look how far the process of an arm has come.

        :param cells: the arm's, in the order in which they are answered.
        """
        for cell in cells:
            if cell in self.complete or cell in self.failed:
                continue
            folder = grid.cell(cell)
            if folder.complete:
                self._read_journal(grid, cell)
                self._completed(cell)
            elif (failure := folder.failure) is not None:
                self.failed[cell] = failure
            else:
                self._read_journal(grid, cell)
                if self.answered.get(cell, 0) < self.samples[cell]:
                    return

    def tell_of_arms(self, by_arm: Mapping[Arm, Sequence[Cell]]) -> None:
        """Say in :attr:`doing` which arm is at work, how fast, and on what."""
        self.doing = ""
        for number, (arm, cells) in enumerate(by_arm.items(), 1):
            left = [c for c in cells if c not in self.complete and c not in self.failed]
            if left:
                moved = [cell for cell in cells if self._answered_here(cell)]
                cell = next((cell for cell in moved if cell in left), left[0])
                loading = not moved and len(left) == len(cells)
                rate = self.tokens_per_second(moved)
                speed = "" if rate is None else f", {rate:,.0f} tokens/s"
                what = f"loading {arm.name}" if loading else cell.folder
                self.doing = f"arm {number}/{len(by_arm)}{speed}: {what}"
                return

    def work(self) -> tuple[int, int]:
        """Return what is done and what is left, by documents: k = 10 takes longer than k = 1."""
        done = left = 0
        for cell, samples in self.samples.items():
            answered = self.answered.get(cell, 0)
            done += work_of(cell) * answered
            if cell not in self.failed:
                left += work_of(cell) * (samples - answered)
        return done, left

    def tokens_per_second(self, cells: Iterable[Cell]) -> float | None:
        """Return the tokens of prompts and answers a second of answering them.

        ``None`` before any of the cells' batches is answered.
        """
        journals = [self._journals[cell] for cell in cells if cell in self._journals]
        seconds = sum(each.seconds for each in journals)
        return sum(each.tokens for each in journals) / seconds if seconds else None

    @property
    def seconds(self) -> float:
        """How long this run has taken."""
        return time.monotonic() - self._begun

    @property
    def seconds_left(self) -> float | None:
        """How long the rest will take at the pace of this run; ``None`` if not known."""
        _, left = self.work()
        done = sum(work_of(cell) * self._answered_here(cell) for cell in self.answered)
        return self.seconds * left / done if done and left else None

    def _answered_here(self, cell: Cell) -> int:
        return self.answered.get(cell, 0) - self._before.get(cell, 0)

    def _completed(self, cell: Cell) -> None:
        self.complete[cell] = None
        self.answered[cell] = self.samples[cell]

    def _read_journal(self, grid: GridFolder, cell: Cell) -> None:
        try:
            journal = answered(grid.cell(cell).journal)
        except StoreError:
            return  # its own process says so
        if journal.answers:
            self._journals[cell] = journal
            self.answered[cell] = min(journal.answers, self.samples[cell])
