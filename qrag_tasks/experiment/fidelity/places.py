"""What is to be read in a grid, where it lies, and whether it is there."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from qrag_tasks.engines.readings import TOP
from qrag_tasks.errors import PlanError
from qrag_tasks.experiment.fidelity import store
from qrag_tasks.experiment.fidelity.answers import documents_in
from qrag_tasks.experiment.plan import Arm, Cell
from qrag_tasks.experiment.plan.planned_fidelity import KINDS
from qrag_tasks.experiment.running.cell_folder import CellFolder
from qrag_tasks.experiment.running.grid_folder import GridFolder
from qrag_tasks.logs.results import Results, digest_of, results_in


@dataclass(frozen=True)
class Reads:
    """The answers of one cell, as one arm is to read them.

    :ivar cell: of the arm that reads.
    :ivar base: the arm whose answers they are.
    :ivar kind: whose answer it is: ``own``, the base arm's, or ``gold``.
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
    def of_base(self) -> Reads:
        """The same answers, as the base arm itself reads them."""
        return replace(self, cell=replace(self.cell, arm=self.base), folder=self.base_folder)

    @property
    def file(self) -> Path:
        """Where the readings are to lie."""
        return readings_file(self.folder.path, self.kind)

    @property
    def base_file(self) -> Path:
        """Where those of the base arm lie."""
        return readings_file(self.base_folder.path, self.kind)

    @property
    def source(self) -> str:
        """The digest of what is to be read: :attr:`Origin.source`."""
        return source_of(self._log, self.kind, self.top)

    @property
    def documents(self) -> float | None:
        """How many documents the prompts have in the mean; ``None`` where nobody counted them."""
        return documents_in(self._log, self._log.stat().st_mtime_ns)

    @property
    def _log(self) -> Path:
        (log,) = self.base_folder.path.glob("samples_*.jsonl")
        return log

    @property
    def answered_by(self) -> str | None:
        """The digest of the arm that answered the cell."""
        (results,) = results_in(self.folder.path)
        return _identity(results, results.stat().st_mtime_ns)

    @property
    def answered(self) -> bool:
        """Whether the cell is complete, and the base arm's cell of the same prompts."""
        return self.folder.complete and self.base_folder.complete

    @property
    def done(self) -> bool:
        """Whether its readings are there, of these answers, by the arm that answered the cell.

        No model is needed to tell.

        :raises StoreError: when they are damaged.
        """
        origin = store.origin(self.file)
        if origin is None or not self.answered:
            return False
        if (origin.source, origin.answered_by) != (self.source, self.answered_by):
            return False
        if self.is_base:
            return True
        base = store.origin(self.base_file)
        return base is not None and origin.base == base.kept and self.of_base.done


def reads_of(grid: GridFolder, top: int | None = None) -> list[Reads]:
    """Return what is to be read in a grid: the base arm of each model first.

    :param top: tokens of each distribution that are kept; as the plan says, else 64, by default.
    :raises PlanError: where its answers are chosen by likelihood.
    """
    plan = grid.plan
    if plan.answer == "likelihood":
        raise PlanError(
            f"{grid.root}: its answers were chosen by their likelihoods (answer: likelihood); "
            f"fidelity is of answers that are generated"
        )
    kept = top or (plan.fidelity.top if plan.fidelity else TOP)
    kinds = plan.fidelity.answers if plan.fidelity else KINDS
    return list(_reads(grid, kept, kinds))


def unread(grid: GridFolder, top: int | None = None) -> list[Reads]:
    """Return what is not read of the cells that are complete."""
    return [each for each in reads_of(grid, top) if each.folder.complete and not each.done]


def readable(grid: GridFolder, top: int | None = None) -> list[Reads]:
    """Return what is not read and can be: the base arm's own, and what the base arm has read."""
    return [
        each for each in unread(grid, top) if each.answered and (each.is_base or each.of_base.done)
    ]


def _reads(grid: GridFolder, top: int, kinds: tuple[str, ...]) -> Iterator[Reads]:
    plan = grid.plan
    for model in plan.models:
        base = plan.base_arm(model)
        cells = [cell for cell in plan.cells() if cell.arm.model == model.name]
        for cell in sorted(cells, key=lambda each: each.arm.name != base.name):
            folder, base_folder = grid.cell(cell), grid.cell(replace(cell, arm=base))
            for kind in kinds:
                yield Reads(cell, base, kind, top, folder, base_folder)


def readings_file(cell: Path, kind: str) -> Path:
    """Return where readings lie in the folder of a cell."""
    return cell / f"readings_{kind}.parquet"


def source_of(log: Path, kind: str, top: int) -> str:
    """Return the digest of answers that are to be read: :attr:`Origin.source`.

    :param log: the base arm's sample log.
    """
    seen = log.stat()
    parts = [_digest(log, seen.st_size, seen.st_mtime_ns), kind, top]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


# Every arm asks for the same few.
@lru_cache(maxsize=4096)
def _digest(path: Path, _size: int, _time: int) -> str:
    return digest_of(path)


@lru_cache(maxsize=4096)
def _identity(results: Path, _time: int) -> str | None:
    return Results.at(results).arm.identity
