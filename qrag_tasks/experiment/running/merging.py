"""Puts grids together whose parts were run apart."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from qrag_tasks.errors import PlanError, StoreError
from qrag_tasks.experiment.plan import Cell
from qrag_tasks.experiment.running.grid_folder import GridFolder


@dataclass(frozen=True)
class Merged:
    """What came together.

    :ivar complete: cells that are whole.
    :ivar missing: cells of the plan that are in no part.
    """

    complete: Sequence[Cell]
    missing: Sequence[Cell]


def merge(parts: Sequence[Path], out: Path) -> Merged:
    """Copy the complete cells of several folders of one plan into one folder.

    :param parts: folders that ``qrag run --shard`` made of the same plan.
    :param out: may be there already, as one of them may: what it holds stays.
    :raises PlanError: when a part holds no grid, or one of another plan.
    :raises StoreError: when a cell cannot be read or written.
    """
    grids = [GridFolder.at(part) for part in parts]
    plan = grids[0].plan
    for grid in grids[1:]:
        if grid.plan.fingerprint() != plan.fingerprint():
            raise PlanError(
                f"{grid.root} is of another plan than {grids[0].root}: only parts of one plan make "
                f"a whole"
            )
    whole = GridFolder(out, plan)
    with whole.alone("merge"):
        whole.write_plan()
        complete = [cell for cell in plan.cells() if _have(whole, grids, cell)]
    return Merged(complete, [cell for cell in plan.cells() if cell not in complete])


def _have(whole: GridFolder, grids: Sequence[GridFolder], cell: Cell) -> bool:
    """Copy a cell from where it is complete, unless it is there; tell whether it is then."""
    target = whole.cell(cell)
    if target.complete:
        return True
    source = next((grid.cell(cell) for grid in grids if grid.cell(cell).complete), None)
    if source is None:
        return False
    try:
        with target.alone():
            target.begin()
            for file in sorted(source.path.iterdir()):
                # The marker is written again, last.
                if file.name != "complete.json" and not file.name.startswith("."):
                    shutil.copy2(file, target.path / file.name)
            target.finish()
    except OSError as error:
        raise StoreError(f"{source.path} cannot be copied to {target.path}: {error}") from error
    return True
