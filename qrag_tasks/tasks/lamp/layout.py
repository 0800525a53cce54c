"""Which files a LaMP task lies in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from qrag_tasks.tasks.base import Task

LICENSE = "CC BY-NC-SA 4.0"
"""Of LaMP's data."""


@dataclass(frozen=True)
class LampFiles:
    """The files of one LaMP task.

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


def files_of(task: Task) -> LampFiles:
    """Return the files of a LaMP task."""
    if not isinstance(task.source, LampFiles):
        raise TypeError(f"{task.name} is not of LaMP")
    return task.source
