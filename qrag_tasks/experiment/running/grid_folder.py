"""The folder of a grid: what lies where, and which cells are whole.

::

    plan.json                              the plan, as it was last run
    runs/PART.json                         how far the runs were (run_notes)
    rankings.log, arms/MODEL/PRECISION.log what the processes printed
    cells/MODEL/PRECISION/RETRIEVER/TASK/
        answers.jsonl                      answers so far (qrag_tasks.engines.journal)
        results_TIME.json, samples_TASK_TIME.jsonl   as lm_eval writes them
        complete.json                      written last: the cell is whole
        failed.json                        why the last attempt failed
        readings_own.parquet, readings_gold.parquet   what was read of answers, token by token
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import ValidationError

from qrag_tasks.errors import PlanError, StoreError
from qrag_tasks.experiment.plan import Arm, Cell, Plan
from qrag_tasks.experiment.plan.wording import message
from qrag_tasks.experiment.plan.yaml_marks import dotted
from qrag_tasks.experiment.running.cell_folder import CellFolder, cell_settings
from qrag_tasks.experiment.running.durable_files import read_json, write_atomically
from qrag_tasks.tasks.former_names import as_now

_PLAN = "plan.json"


class GridFolder:
    """A folder into which a plan is run.

    :param root: made where it is not there.
    :raises PlanError: when it holds something else.
    :raises StoreError: when it cannot be written.
    """

    def __init__(self, root: Path, plan: Plan) -> None:
        self.root = root
        self.plan = plan
        if root.is_dir() and not (root / _PLAN).exists() and any(map(_is_foreign, root.iterdir())):
            raise PlanError(
                f"{root} holds something, and no grid: name another folder, or an empty one"
            )
        try:
            root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"{root}: cannot be made: {error.strerror}") from error

    @classmethod
    def at(cls, root: Path) -> GridFolder:
        """Return the grid in a folder.

        :raises PlanError: when there is none.
        """
        body = read_json(root / _PLAN, mend="run its plan again to have it written")
        if body is None:
            raise PlanError(f"{root} holds no grid: there is no {_PLAN}; `qrag run` makes one")
        try:
            return cls(root, Plan.model_validate(as_now(body)))
        except ValidationError as error:
            first = error.errors()[0]
            raise PlanError(
                f"{root / _PLAN} is not a plan that this release reads: "
                f"{dotted(first['loc'])}: {message(first)}"
            ) from None

    def check_others(self, shard: str) -> None:
        """Check that no other shard of another plan is run here now.

        The processes of its arms read ``plan.json``, each at its own start.

        :raises PlanError: when there is one.
        """
        try:
            others = GridFolder.at(self.root).plan
        except (PlanError, StoreError):  # none yet, or a damaged one, which is written again
            return
        if others.fingerprint() != self.plan.fingerprint() and any(
            self.is_at_work(name) for name in self.shards() if name != shard
        ):
            raise PlanError(
                f"another `qrag run` is at work in {self.root} with another plan, or this one "
                f"before it was edited: wait for it, `qrag status` tells how far it is"
            )

    def write_plan(self) -> None:
        """Write the plan down, for the processes of its arms.

        :raises StoreError: when it cannot be written.
        """
        write_atomically(self.root / _PLAN, self.plan.model_dump(mode="json"))

    def cell(self, cell: Cell) -> CellFolder:
        """Return where a cell lies."""
        return CellFolder(self.root / "cells" / cell.folder, cell_settings(self.plan, cell))

    def log(self, arm: Arm | None) -> Path:
        """Return where the process of an arm prints to; without one, that which ranks."""
        if arm is None:
            return self.root / "rankings.log"
        return self.root / "arms" / f"{arm.name}.log"

    def note(self, shard: str) -> Path:
        """Return where the run of a shard notes how far it is."""
        return self.root / "runs" / f"{shard}.json"

    def shards(self) -> list[str]:
        """Return the names of the shards that are run here, or were."""
        locks = {path.stem.removeprefix(".run-") for path in self.root.glob(".run-*.lock")}
        return sorted(locks | {path.stem for path in (self.root / "runs").glob("*.json")})

    def is_at_work(self, shard: str) -> bool | None:
        """Tell whether a run of a shard is at work; ``None`` where the folder is read-only."""
        return _is_held(self._lock(shard))

    def is_answering(self, shard: str) -> bool | None:
        """Tell whether a run of a shard answers cells now; ``None`` as in :meth:`is_at_work`."""
        return _is_held(self._answering_lock(shard))

    def _lock(self, shard: str) -> Path:
        return self.root / f".run-{shard}.lock"

    def _answering_lock(self, shard: str) -> Path:
        return self.root / f".answering-{shard}.lock"

    @contextmanager
    def answering(self, shard: str) -> Iterator[None]:
        """Let others see that the run of a shard, which is :meth:`alone`, answers its cells.

        :raises StoreError: when the folder cannot be written.
        """
        # Only who asks for it may hold it now, for a moment.
        with self._held(self._answering_lock(shard), patience=-1):
            yield

    @contextmanager
    def alone(self, shard: str) -> Iterator[None]:
        """Keep a second run of the same shard out.

        :raises PlanError: when one is at work.
        """
        # With some patience, as who asks whether a run is at work holds the lock for a moment.
        with self._held(self._lock(shard), patience=1):
            yield

    @contextmanager
    def _held(self, path: Path, patience: float) -> Iterator[None]:
        """Hold a lock.

        :param patience: seconds to wait for it; -1 for as long as it takes.
        """
        lock = FileLock(path, timeout=patience)
        try:
            lock.acquire()
        except Timeout:
            raise PlanError(
                f"another `qrag run` is at work in {self.root}: wait for it, `qrag status` tells "
                f"how far it is. To share the work, every run must name its part by --shard."
            ) from None
        except OSError as error:
            raise StoreError(f"{self.root}: cannot be written: {error.strerror}") from error
        try:
            yield
        finally:
            lock.release()


def _is_held(path: Path) -> bool | None:
    """Tell whether a process holds a lock; ``None`` where this user may not ask."""
    if not path.exists():
        return False
    try:
        with FileLock(path, timeout=0):
            return False
    except Timeout:
        return True
    except OSError:
        return None


def _is_foreign(path: Path) -> bool:
    """Tell whether a file is none that a run leaves when it is killed at its very start."""
    return not path.name.startswith((".run-", ".answering-", f".{_PLAN}."))
