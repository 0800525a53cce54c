"""Parts of a grid, for several machines."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from qrag_tasks.errors import PlanError
from qrag_tasks.experiment.plan import Cell
from qrag_tasks.tasks.base import Depth


@dataclass(frozen=True)
class Shard:
    """The part ``number`` of ``count``, from 1."""

    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Read ``"2/4"``.

        :raises PlanError: for anything else.
        """
        match = re.fullmatch(r"(\d+)/(\d+)", text.strip(), re.ASCII)
        if match is None or not 1 <= int(match[1]) <= int(match[2]):
            raise PlanError(
                f"--shard {text!r}: give the number of this part and of all parts, as in 2/4; the "
                f"first is 1/4"
            )
        return cls(int(match[1]), int(match[2]))

    @property
    def name(self) -> str:
        """A name for files."""
        return f"{self.number}-of-{self.count}"

    @classmethod
    def named(cls, name: str) -> Shard | None:
        """Return the part of a :attr:`name`; ``None`` where it is no part's."""
        match = re.fullmatch(r"(\d+)-of-(\d+)", name, re.ASCII)
        return None if match is None else cls(int(match[1]), int(match[2]))

    @property
    def text(self) -> str:
        """As :meth:`parse` reads it."""
        return f"{self.number}/{self.count}"

    def of(self, cells: Sequence[Cell]) -> list[Cell]:
        """Return this part of the cells: a stretch of the plan's order, so that few arms are cut.

        Cells count by the documents in their prompts, about what they take.
        """
        weights = [work_of(cell) for cell in cells]
        total = sum(weights)
        chosen, before = [], 0.0
        for cell, weight in zip(cells, weights, strict=True):
            middle = (before + weight / 2) / total
            if int(middle * self.count) == self.number - 1:
                chosen.append(cell)
            before += weight
        return chosen


def whole_grid() -> Shard:
    """Return the one part that is everything."""
    return Shard(1, 1)


_FILLED = 20
"""Documents that a filled window is taken for."""


def work_of(cell: Cell) -> int:
    """Return about what a sample of the cell takes: 1 and the documents in its prompt."""
    documents = Depth.parse(cell.k).documents
    return 1 + (_FILLED if documents is None else documents)
