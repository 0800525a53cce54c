"""LaMP's files as the source of its tasks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from qrag_tasks.tasks.base import DataSet, Task
from qrag_tasks.tasks.lamp.layout import LampFiles


@dataclass(frozen=True)
class LampSource(LampFiles):
    """The files of one LaMP task, found and read; see :class:`~qrag_tasks.tasks.base.Source`.

    What reads them is imported when it is asked to read: listing tasks needs none of it.
    """

    def find(self, data: str | None, split: str) -> tuple[Path, Path | None]:
        """Return the questions file and the outputs file; see :class:`Source`."""
        from qrag_tasks.tasks.lamp.data_roots import data_root, find_files

        return find_files(self, data_root(data), split)

    def load(self, task: Task, data: str | None, split: str) -> DataSet:
        """Read and check the samples; see :class:`Source`."""
        from qrag_tasks.tasks.lamp.data import load

        return load(task, data, split)
