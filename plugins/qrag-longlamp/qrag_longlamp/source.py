"""LongLaMP's files as the source of its tasks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from qrag_tasks.tasks.base import DataSet, Task


@dataclass(frozen=True)
class LongLampSource:
    """The files of one configuration of LongLaMP; see :class:`qrag_tasks.tasks.base.Source`.

    What reads them is imported when it is asked to read: listing tasks needs none of it.

    :ivar config: its name on the hub, and of its folder below a data root.
    :ivar user: the column that says who the user is.
    :ivar date: the field of a profile item that is its date, where there is one.
    :ivar public: whether LongLaMP gives the texts away; e-mails belong to the LDC.
    """

    config: str
    user: str
    date: str | None = None
    public: bool = True

    def find(self, data: str | None, split: str) -> tuple[Path, Path | None]:
        """Return the file of the questions, which has the golds too, or that of each."""
        from qrag_longlamp.places import find_files

        files = find_files(self, data, split)
        return files.rows[0], files.golds or (None if files.needs_golds else files.rows[0])

    def load(self, task: Task, data: str | None, split: str) -> DataSet:
        """Read and check the samples; see :class:`qrag_tasks.tasks.base.Source`."""
        from qrag_longlamp.reading import load

        return load(task, self, data, split)
