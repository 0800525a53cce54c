"""lm_eval's results files: what a run was, and what it scored."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from qrag_tasks.errors import DataError
from qrag_tasks.logs.damage import RUN_AGAIN, wrong_field
from qrag_tasks.logs.schema import LoggedArm, LoggedPrompts, read

_NAME = re.compile(r".+_(?P<time>\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d(?:\.\d+)?)\.json")
_NEEDED = ("results", "configs")
_OBJECTS = (*_NEEDED, "config", "n-samples", "higher_is_better")


@dataclass(frozen=True)
class Results:
    """A results file.

    :ivar time: when the run ended, as its files' names have it.
    :ivar body: all of it.
    """

    path: Path
    time: str
    body: Mapping[str, Any]

    @classmethod
    def at(cls, path: Path) -> Results:
        """Read a results file.

        :raises DataError: when it cannot be read, or is not as lm_eval writes it.
        """
        name = _NAME.fullmatch(path.name)
        if name is None:
            raise DataError(
                f"{path}: not named as a results file of lm_eval is, results_TIME.json. Give such "
                f"a file, which has its samples beside it, or the folder that holds both"
            )
        body = _json(path)
        if not _are_results(body):
            raise DataError(
                f"{path}: not a results file of lm_eval: no 'results' and 'configs' in it"
            )
        return cls._checked(path, name["time"], body)

    @classmethod
    def beside(cls, log: Path, time: str) -> Results | None:
        """Return the results of the run that wrote a sample log; ``None`` where they are gone.

        :raises DataError: when a file of its time cannot be read, or is damaged.
        """
        # Where --output_path named a file, the results are called after it.
        for path in sorted(log.parent.glob(f"*_{time}.json")):
            if _are_results(body := _json(path)):
                return cls._checked(path, time, body)
        return None

    @classmethod
    def _checked(cls, path: Path, time: str, body: Mapping[str, Any]) -> Results:
        for field in _OBJECTS:
            if body.get(field) and (wrong := wrong_field(body, field, dict)) is not None:
                raise DataError(f"{path}: {wrong}. {RUN_AGAIN}")
        return cls(path, time, body)

    @property
    def config(self) -> Mapping[str, Any]:
        """What the run was: model, arguments, settings."""
        return self.body.get("config") or {}

    @cached_property
    def arm(self) -> LoggedArm:
        """What is known of the arm; nothing where ``--model qrag`` did not run it.

        :raises DataError: when a later release wrote it, or it is damaged.
        """
        return read(LoggedArm, self.config, f"{self.path}, config") or LoggedArm()

    @property
    def tasks(self) -> list[str]:
        """The tasks that were scored, without their groups."""
        return [task for task in self.body["configs"] or {} if task in (self.body["results"] or {})]

    def task_config(self, task: str) -> Mapping[str, Any]:
        """Return what the results say of a task; nothing of one that they do not know.

        :raises DataError: when it is damaged.
        """
        configs = self.body["configs"] or {}
        if task not in configs:
            return {}
        if (wrong := wrong_field(configs, task, dict)) is not None:
            raise DataError(f"{self.path}, configs: {wrong}. {RUN_AGAIN}")
        return dict(configs[task])

    def prompts(self, task: str) -> LoggedPrompts | None:
        """Return how a task's prompts came about; ``None`` where the task is not ours.

        :raises DataError: when a later release wrote it, or it is damaged.
        """
        metadata = self.task_config(task).get("metadata")
        return read(LoggedPrompts, metadata, f"{self.path}, metadata of {task}")

    def questions(self, task: str) -> int | None:
        """Return how many questions the data of a task had; ``None`` where that is not known."""
        counts = (self.body.get("n-samples") or {}).get(task)
        total = counts.get("original") if isinstance(counts, dict) else None
        return total if isinstance(total, int) else None


def results_in(folder: Path) -> list[Path]:
    """Return the results files in a folder, at any depth."""
    return [path for path in sorted(folder.rglob("*.json")) if _NAME.fullmatch(path.name)]


def digest_of(path: Path) -> str:
    """Return the sha256 of a file.

    :raises DataError: when it cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    return digest.hexdigest()


def _are_results(body: Any) -> bool:
    return isinstance(body, dict) and body.keys() >= set(_NEEDED)


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not valid JSON: {error}. {RUN_AGAIN}") from None
