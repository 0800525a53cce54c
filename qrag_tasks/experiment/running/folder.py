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
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from pydantic import ValidationError

from qrag_tasks.errors import PlanError, StoreError
from qrag_tasks.experiment.plan import Arm, Cell, Plan
from qrag_tasks.experiment.plan.wording import message
from qrag_tasks.experiment.plan.yaml_marks import dotted
from qrag_tasks.tasks.former_names import as_now

_PLAN = "plan.json"
_MADE_AGAIN = "remove it to have its cell made again"


@dataclass(frozen=True)
class CellFolder:
    """Where one cell lies.

    :ivar path: made when the cell is begun.
    :ivar settings: what the cell's answers depend on, see :func:`cell_settings`.
    """

    path: Path
    settings: Mapping[str, Any]

    @property
    def key(self) -> str:
        """The sha256 of the settings."""
        return _key(self.settings)

    @property
    def journal(self) -> Path:
        """The answers so far."""
        return self.path / "answers.jsonl"

    @property
    def complete(self) -> bool:
        """Whether the cell is whole: its marker is there, and the files that it names.

        :raises PlanError: when it was made with other settings.
        """
        marker = read_json(self.path / "complete.json", "key", "files", mend=_MADE_AGAIN)
        if marker is None:
            return False
        before = _settings_now(marker.get("settings"))
        if self.key not in (marker["key"], _key(before)):
            raise PlanError(
                f"{self.path} was made with other settings than the plan has now"
                f"{_differences(before, self.settings)}. Run into another folder, or remove that "
                f"one to have it made again."
            )
        return all(_size(self.path / name) == size for name, size in marker["files"].items())

    @property
    def failure(self) -> str | None:
        """Why the last attempt failed, in one line or several; ``None`` where it did not."""
        failed = read_json(self.path / "failed.json", "error", mend=_MADE_AGAIN)
        return None if failed is None else str(failed["error"])

    def begin(self) -> None:
        """Make the folder, without what an earlier attempt left but the answers.

        :raises StoreError: when that is not possible.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            for name in ("complete.json", "failed.json"):
                (self.path / name).unlink(missing_ok=True)
            for path in [*self.path.glob("results_*.json"), *self.path.glob("samples_*.jsonl")]:
                path.unlink()
        except OSError as error:
            raise StoreError(f"{self.path}: cannot be written: {error.strerror}") from error

    def fail(self, error: str, trace: str | None = None) -> None:
        """Note why the cell could not be made; where even that cannot be written, let it be."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            write_atomically(self.path / "failed.json", {"error": error, "traceback": trace})
        except (OSError, StoreError):
            return

    def forget_failure(self) -> None:
        """Forget why the last attempt failed.

        :raises StoreError: when that is not possible.
        """
        try:
            (self.path / "failed.json").unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(f"{self.path}: cannot be written: {error.strerror}") from error

    def finish(self) -> None:
        """Mark the cell as whole, with everything in it on disk.

        :raises StoreError: when it cannot be written.
        """
        files = [*self.path.glob("results_*.json"), *self.path.glob("samples_*.jsonl")]
        for path in files:
            _to_disk(path)
        sizes = {path.name: path.stat().st_size for path in sorted(files)}
        marker = {"key": self.key, "settings": self.settings, "files": sizes}
        write_atomically(self.path / "complete.json", marker)

    @contextmanager
    def alone(self, patience: float = 30.0) -> Iterator[None]:
        """Keep other processes out of the cell.

        :param patience: seconds to wait for another to leave: one that lost its parent does so
            at once.
        :raises StoreError: when it does not, or the folder cannot be written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.path / ".lock", timeout=patience)
            lock.acquire()
        except Timeout:
            raise StoreError(f"{self.path}: another process is at work there") from None
        except OSError as error:
            raise StoreError(f"{self.path}: cannot be written: {error.strerror}") from error
        try:
            yield
        finally:
            lock.release()


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
        lock = self._lock(shard)
        if not lock.exists():
            return False
        try:
            with FileLock(lock, timeout=0):
                return False
        except Timeout:
            return True
        except OSError:
            return None

    def _lock(self, shard: str) -> Path:
        return self.root / f".run-{shard}.lock"

    @contextmanager
    def alone(self, shard: str) -> Iterator[None]:
        """Keep a second run of the same shard out.

        :raises PlanError: when one is at work.
        """
        # With some patience, as who asks whether a run is at work holds the lock for a moment.
        lock = FileLock(self._lock(shard), timeout=1)
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


def cell_settings(plan: Plan, cell: Cell) -> dict[str, Any]:
    """Return what a cell's answers depend on, as far as the plan says it."""
    return {
        "arm": dict(cell.arm.arguments),
        "task": cell.task_name,
        "metadata": dict(plan.metadata_of(cell)),
        "limit": plan.limit,
        "chat_template": plan.chat_template,
        "system_instruction": plan.system_instruction,
        "seed": plan.seed,
        **plan.generation(),
    }


def _key(settings: Any) -> str:
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def _settings_now(made_with: Any) -> Any:
    """Return what an earlier version wrote down as a cell's settings, in today's words."""
    if not isinstance(made_with, dict) or not isinstance(made_with.get("metadata"), dict):
        return made_with
    return {**made_with, "metadata": as_now(made_with["metadata"])}


def _differences(before: Any, now: Mapping[str, Any]) -> str:
    """Tell in what settings differ; nothing where it was not written down what they were."""
    if not isinstance(before, dict):
        return ""
    was, is_now = _flat(before), _flat(now)
    changes = [
        f"{name} was {was.get(name, 'not given')} and is {is_now.get(name, 'not given')}"
        for name in dict.fromkeys((*was, *is_now))
        if was.get(name) != is_now.get(name)
    ]
    return f" ({', '.join(changes)})"


def _flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    flat = {name: value for name, value in settings.items() if value is not None}
    return {**flat.pop("arm", {}), **flat.pop("metadata", {}), **flat}


def write_atomically(path: Path, body: Mapping[str, Any]) -> None:
    """Write JSON so that the file is there whole or not at all, and stays.

    :raises StoreError: when it cannot be written.
    """
    half = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        try:
            with half.open("w", encoding="utf-8") as file:
                json.dump(body, file, indent=2)
                file.write("\n")
                file.flush()
                os.fsync(file.fileno())
            half.replace(path)
        except OSError:
            half.unlink(missing_ok=True)
            raise
        _to_disk(path.parent)
    except OSError as error:
        raise StoreError(f"{path}: cannot be written: {error.strerror}") from error


def _is_foreign(path: Path) -> bool:
    """Tell whether a file is none that a run leaves when it is killed at its very start."""
    return not path.name.startswith((".run-", f".{_PLAN}."))


def _to_disk(path: Path) -> None:
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def read_json(path: Path, *names: str, mend: str) -> dict[str, Any] | None:
    """Return the JSON object in a file; ``None`` where there is none.

    :param names: keys that it must have.
    :param mend: what to do where the file is damaged.
    :raises StoreError: when it is, or cannot be read.
    """
    try:
        body = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError:
        body = None
    if not isinstance(body, dict) or not body.keys() >= set(names):
        raise StoreError(f"{path}: damaged; {mend}")
    return body
