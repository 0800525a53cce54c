"""LaMP's files as the source of its tasks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from qrag_tasks.tasks.base import DataSet, Task

LICENSE = "CC BY-NC-SA 4.0"
"""Of LaMP's data."""


@dataclass(frozen=True)
class LampFiles:
    """The files of one LaMP task; see :class:`~qrag_tasks.tasks.base.Source`.

    What reads them is imported when it is asked to read: listing tasks needs none of it.

    :ivar name: of the task, and of its folder in the flat layout.
    :ivar path: its folder below a data root in LaMP's layout, and below LaMP's URL.
    :ivar dated: whether it is of the time-based split: profile items have dates.
    :ivar public: whether LaMP gives the texts away; those of LaMP-6 belong to the LDC.
    :ivar repair: (question id, input) -> the input without a known flaw of the data, or ``None``.
    """

    name: str
    path: str
    dated: bool = False
    public: bool = True
    repair: Callable[[str, str], str | None] | None = None

    def of_time_split(self, name: str) -> LampFiles:
        """Return the files of the same task in the time-based split."""
        return replace(self, name=name, path=f"time/{self.path}", dated=True)

    def find(self, data: str | None, split: str) -> tuple[Path, Path | None]:
        """Return the questions file and the outputs file; see :class:`Source`."""
        from qrag_tasks.tasks.lamp.data_roots import data_root, find_files

        return find_files(self, data_root(data), split)

    def load(self, task: Task, data: str | None, split: str) -> DataSet:
        """Read and check the samples; see :class:`Source`."""
        from qrag_tasks.tasks.lamp.data import load

        return load(task, data, split)


def files_of(task: Task) -> LampFiles:
    """Return the files of a LaMP task."""
    if not isinstance(task.source, LampFiles):
        raise TypeError(f"{task.name} is not of LaMP")
    return task.source
