"""Where lm_eval's sample logs lie: ``samples_TASK_TIME.jsonl``, beside ``results_TIME.json``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from qrag_tasks.errors import DataError
from qrag_tasks.logs.results import Results
from qrag_tasks.logs.samples import Sample, iter_samples

_NAME = re.compile(
    r"samples_(?P<task>.+)_(?P<time>\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d(?:\.\d+)?)\.jsonl"
)


@dataclass(frozen=True)
class SampleLog:
    """A sample log, read line by line whenever it is iterated over.

    :ivar task: lm_eval's name of the task.
    :ivar time: when the run ended, as its files' names have it.
    """

    path: Path
    task: str
    time: str

    @classmethod
    def at(cls, path: Path) -> SampleLog:
        """Return the log at ``path``, which is not opened.

        :raises DataError: when its name is not one that lm_eval gives.
        """
        name = _NAME.fullmatch(path.name)
        if name is None:
            raise DataError(
                f"{path}: not named as lm_eval names its sample logs, samples_TASK_TIME.jsonl, "
                f"which tells whose answers they are. Give it its name back."
            )
        return cls(path, name["task"], name["time"])

    @classmethod
    def beside(cls, results: Path, task: str, time: str) -> SampleLog:
        """Return the log of a task of the run whose results these are, be it there or not."""
        return cls(results.parent / f"samples_{task}_{time}.jsonl", task, time)

    def __iter__(self) -> Iterator[Sample]:
        """Yield the samples in the order of the lines.

        :raises DataError: as :func:`~qrag_tasks.logs.samples.iter_samples`.
        """
        return iter_samples(self.path)

    def results(self) -> Results | None:
        """Return the run's results, which say how it was made; ``None`` where they are gone.

        :raises DataError: when the file cannot be read, or is damaged.
        """
        return Results.beside(self.path, self.time)


def find_logs(place: Path) -> list[SampleLog]:
    """Return the log at ``place``, or all logs in the folder that it is, at any depth.

    :raises DataError: where there is none.
    """
    if not place.is_dir():
        if not place.exists():
            raise DataError(f"{place}: no such file or folder")
        return [SampleLog.at(place)]
    logs = [
        SampleLog.at(path)
        for path in sorted(place.rglob("samples_*.jsonl"))
        if _NAME.fullmatch(path.name)
    ]
    if not logs:
        raise DataError(
            f"{place}: no sample log in this folder (samples_TASK_TIME.jsonl). lm_eval writes "
            f"them with --log_samples --output_path {place}"
        )
    return logs
