"""What is to be read in a grid, and where it lies."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from qrag_tasks.errors import PlanError
from qrag_tasks.experiment.fidelity.answers import KINDS
from qrag_tasks.experiment.plan import Arm, Cell
from qrag_tasks.experiment.running.cell_folder import CellFolder
from qrag_tasks.experiment.running.grid_folder import GridFolder


@dataclass(frozen=True)
class Reads:
    """The answers of one cell, as one arm is to read them.

    :ivar cell: of the arm that reads.
    :ivar base: the arm whose answers they are.
    :ivar kind: whose answer it is; one of :data:`~qrag_tasks.experiment.fidelity.answers.KINDS`.
    :ivar top: tokens of each distribution that are kept.
    """

    cell: Cell
    base: Arm
    kind: str
    top: int
    folder: CellFolder
    base_folder: CellFolder

    @property
    def is_base(self) -> bool:
        """Whether the arm reads its own answers."""
        return self.cell.arm.name == self.base.name

    @property
    def file(self) -> Path:
        """Where the readings are to lie."""
        return _file(self.folder, self.kind)

    @property
    def base_file(self) -> Path:
        """Where those of the base arm lie."""
        return _file(self.base_folder, self.kind)


def reads_of(grid: GridFolder, top: int) -> Iterator[Reads]:
    """Yield what is to be read: the base arm of each model first.

    Tasks whose answers are chosen by likelihood are left out.

    :raises PlanError: where a cell that is needed is not complete.
    """
    plan = grid.plan
    if plan.answer == "likelihood":
        raise PlanError(
            f"{grid.root}: its answers were chosen by their likelihoods (answer: likelihood); "
            f"fidelity is of answers that are generated"
        )
    for model in plan.models:
        base = plan.base_arm(model)
        cells = [cell for cell in plan.cells() if cell.arm.model == model.name]
        for cell in sorted(cells, key=lambda each: each.arm.name != base.name):
            folder, base_folder = grid.cell(cell), grid.cell(replace(cell, arm=base))
            for needed in (folder, base_folder):
                if not needed.complete:
                    raise PlanError(
                        f"{needed.path} is not complete: run the plan first, `qrag run PLAN --out "
                        f"{grid.root}`"
                    )
            for kind in KINDS:
                yield Reads(cell, base, kind, top, folder, base_folder)


def _file(folder: CellFolder, kind: str) -> Path:
    return folder.path / f"readings_{kind}.parquet"
