"""LongLaMP's files as the source of its tasks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from qrag_tasks.tasks.base import DataSet, Task

from qrag_longlamp.configuration import Configuration


@dataclass(frozen=True)
class LongLampSource(Configuration):
    """The files of a configuration as a source; see :class:`qrag_tasks.tasks.base.Source`.

    What reads them is imported when it is asked to read: listing tasks needs none of it.
    """

    def find(self, data: str | None, split: str) -> tuple[Path, Path | None]:
        """Return the file of the questions, which has the golds too, or that of each."""
        from qrag_longlamp.places import find_files

        return find_files(self, data, split).questions_and_golds

    def load(self, task: Task, data: str | None, split: str) -> DataSet:
        """Read and check the samples; see :class:`qrag_tasks.tasks.base.Source`."""
        from qrag_longlamp.reading import load

        return load(task, self, data, split)
