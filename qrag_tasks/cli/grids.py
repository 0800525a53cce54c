"""How the commands that run grids, and look at them, say things."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qrag_tasks.experiment.plan import Cell


def command(*words: object) -> str:
    """Return a command of ``qrag``'s as a shell takes it."""
    return shlex.join(["qrag", *map(str, words)])


def duration(seconds: float) -> str:
    """Return a duration as ``H:MM:SS``."""
    return str(timedelta(seconds=round(seconds)))


def failures(failed: Mapping[Cell, str]) -> list[str]:
    """Return a line for each reason why cells failed: all cells of an arm may have the same."""
    cells: dict[str, list[Cell]] = {}
    for cell, why in failed.items():
        cells.setdefault(why, []).append(cell)
    return [f"failed: {some(alike)}: {why}" for why, alike in cells.items()]


def some(cells: Sequence[Cell]) -> str:
    """Return the first of some cells, and how many more there are."""
    others = len(cells) - 1
    return cells[0].folder + (f" and {others:,} more" if others else "")
