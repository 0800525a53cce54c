"""The kits: for each kind of thing that plugins supply, its checks and what they examine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from qrag_tasks.registry import FORMATS, RETRIEVERS, TASKS, Registry
from qrag_tasks.testing.check import Check, registered
from qrag_tasks.testing.checks import CHECKS, formats, tasks
from qrag_tasks.testing.format_subject import FormatSubject
from qrag_tasks.testing.subject import Subject
from qrag_tasks.testing.task_subject import TaskSubject

FORMAT_CHECKS: tuple[Check, ...] = tuple(registered(formats.__name__))
"""Every check of a format, each name once."""
TASK_CHECKS: tuple[Check, ...] = tuple(registered(tasks.__name__))
"""Every check of a task, each name once."""


@dataclass(frozen=True)
class Kit:
    """The checks of one kind.

    :ivar registry: where that kind is found by name.
    :ivar subject: builds what the checks examine, from what users write.
    """

    registry: Registry[Any]
    checks: tuple[Check, ...]
    subject: Callable[[str], Any]


RETRIEVER_KIT = Kit(RETRIEVERS, CHECKS, Subject)
FORMAT_KIT = Kit(FORMATS, FORMAT_CHECKS, FormatSubject)
TASK_KIT = Kit(TASKS, TASK_CHECKS, TaskSubject)
KITS = (RETRIEVER_KIT, FORMAT_KIT, TASK_KIT)


def kit_for(spec: str) -> Kit:
    """Return the kit of the kind that has this name; the retrievers' where none has."""
    name = spec.partition(":")[0]
    return next((kit for kit in KITS if name in kit.registry.all()), RETRIEVER_KIT)
