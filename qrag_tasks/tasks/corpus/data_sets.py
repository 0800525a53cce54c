"""The data of a task out of columns that a process has opened."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Protocol

from qrag_tasks.tasks.base import DataSet, Task
from qrag_tasks.tasks.corpus.columns import Columns


class Opens(Protocol):
    """A function that opens columns, and keeps them: one with :func:`functools.lru_cache`."""

    def __call__(self, *arguments: Hashable) -> Columns:
        """Return what it has kept, or opens now."""

    def cache_clear(self) -> None:
        """Keep nothing any more."""


def undamaged(opened: Opens, *arguments: Hashable) -> Columns:
    """Return what a function opens and keeps; opened again where a damaged part was met since."""
    columns = opened(*arguments)
    if columns.samples.damaged:
        opened.cache_clear()
        columns = opened(*arguments)
    return columns


def data_set(
    task: Task,
    questions: Path,
    outputs: Path | None,
    columns: Columns,
    split: str,
    notes: Sequence[str] | None = None,
) -> DataSet:
    """Return all samples of a task.

    :param questions: the file that stands for all, in notes, too.
    :param notes: the columns' own, worded for people; as they are by default.
    """
    told = list(columns.notes if notes is None else notes)
    if columns.more_notes:
        told.append(f"{questions}: {columns.more_notes} more such notes")
    return DataSet(
        task,
        questions,
        outputs,
        columns.samples,
        columns.samples.ids,
        columns.fingerprint,
        tuple(told),
        split,
    )
