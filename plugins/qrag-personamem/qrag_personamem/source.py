"""PersonaMem's files as the source of its tasks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from qrag_tasks.tasks.base import DataSet, Task

from qrag_personamem.settings import Setting


@dataclass(frozen=True)
class PersonaMemSource:
    """The files of one size of the benchmark; see :class:`qrag_tasks.tasks.base.Source`.

    What reads them is imported when it is asked to read: listing tasks needs none of it.

    :ivar size: ``32k``, ``128k`` or ``1M``: the tokens of a history.
    """

    size: str
    setting: Setting
    public: bool = True

    def find(self, data: str | None, split: str) -> tuple[Path, Path | None]:
        """Return the file of the questions, which has the golds too: it is both."""
        from qrag_personamem.places import find_files

        files = find_files(self.size, data, split)
        return files.questions, files.questions

    def load(self, task: Task, data: str | None, split: str) -> DataSet:
        """Read and check the samples; see :class:`qrag_tasks.tasks.base.Source`."""
        from qrag_personamem.samples import load

        return load(task, self.size, self.setting, data, split)
