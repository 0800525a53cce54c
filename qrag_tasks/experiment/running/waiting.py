"""Waits for cells that other runs of a grid are answering."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

from qrag_tasks.experiment.plan import Cell
from qrag_tasks.experiment.running.grid_folder import GridFolder
from qrag_tasks.experiment.running.shards import Shard
from qrag_tasks.wording import counted

_POLL_SECONDS = 0.5


def wait_for_others(
    grid: GridFolder,
    lacking: Callable[[], Collection[Cell]],
    tell: Callable[[str], None] | None = None,
) -> None:
    """Wait as long as other runs answer cells that are needed.

    It ends, too, where such a run ends without them, however that comes about; two runs never wait
    for each other, as each waits only once it has answered its own cells.

    :param lacking: tells which cells are needed and not there yet.
    :param tell: is told, when that changes, what is waited for.
    """
    told = ""
    while True:
        needed = set(lacking())
        parts = [
            part for part in _answering(grid) if needed.intersection(part.of(grid.plan.cells()))
        ]
        if not parts:
            return
        doing = (
            f"waiting for {_named(parts)} of `qrag run` to answer {counted(len(needed), 'cell')}, "
            f"such as {min(cell.folder for cell in needed)}"
        )
        if tell is not None and doing != told:
            tell(doing)
        told = doing
        time.sleep(_POLL_SECONDS)


def _answering(grid: GridFolder) -> list[Shard]:
    shards = ((name, Shard.named(name)) for name in grid.shards())
    return [shard for name, shard in shards if shard is not None and grid.is_answering(name)]


def _named(parts: Collection[Shard]) -> str:
    return " and ".join(f"part {part.text}" for part in parts)
