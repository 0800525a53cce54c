"""The folder of one cell: its answers, its results, and whether it is whole."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from qrag_tasks.errors import PlanError, StoreError
from qrag_tasks.experiment.plan import Cell, Plan
from qrag_tasks.experiment.running.durable_files import flush_to_disk, read_json, write_atomically
from qrag_tasks.tasks.former_names import as_now

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
            flush_to_disk(path)
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


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None
