"""The names under which lm_eval knows our tasks: the task table times the values of k."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import PurePath

from qrag_tasks.benchmark.tasks import LAMP_TASKS, LampTask
from qrag_tasks.errors import SettingsError, did_you_mean

K_VALUES = (0, 1, 3, 5, 10)
PAPER_TASKS = ("lamp3u", "lamp5u")
"""The two tasks of arXiv 2406.10251, which the groups ``lamp_rag_k*`` hold."""
TAG = "lamp_rag"
"""lm_eval's tag for all of them."""


@dataclass(frozen=True)
class CatalogEntry:
    """One lm_eval task: a LaMP task at one k."""

    name: str
    task: LampTask
    k: int


CATALOG: Mapping[str, CatalogEntry] = {
    f"{task.name}_rag_k{k}": CatalogEntry(f"{task.name}_rag_k{k}", task, k)
    for task in LAMP_TASKS.values()
    for k in K_VALUES
}
GROUPS: Mapping[str, tuple[str, ...]] = {
    f"lamp_rag_k{k}": tuple(f"{name}_rag_k{k}" for name in PAPER_TASKS) for k in K_VALUES
}


def entry(name: str) -> CatalogEntry:
    """Return the entry called ``name``.

    :raises SettingsError: when there is none.
    """
    try:
        return CATALOG[name]
    except KeyError:
        if name in GROUPS:
            members = " or ".join(GROUPS[name])
            raise SettingsError(f"{name!r} is a group; name one task: {members}") from None
        raise SettingsError(
            f"unknown task {name!r} (known: {', '.join(CATALOG)}).{did_you_mean(name, CATALOG)}"
        ) from None


def explain_unknown(names: Iterable[str], reason: str) -> None:
    """Where a name that is not there was probably meant to be ours, say what ours are.

    :raises SettingsError: for the first such name among those that ``reason`` mentions.
    """
    known = [*CATALOG, *GROUPS, TAG]
    for name in names:
        if name in reason and name.startswith("lamp") and "_rag" in name:
            raise SettingsError(
                f"unknown task {name!r} (known: {', '.join(known)}).{did_you_mean(name, known)}"
            )


def requested(patterns: Iterable[str]) -> list[CatalogEntry]:
    """Return our tasks among what lm_eval's ``--tasks`` asks for, in the catalog's order.

    :param patterns: names of tasks, groups or the tag, globs of these, or paths of task files.
        What is not ours is passed over.
    """
    names: set[str] = set()
    for pattern in patterns:
        if pattern.endswith(".yaml"):
            pattern = PurePath(pattern).stem
        names.update(name for name in CATALOG if fnmatchcase(name, pattern))
        for group, members in GROUPS.items():
            if fnmatchcase(group, pattern):
                names.update(members)
        if fnmatchcase(TAG, pattern):
            names.update(CATALOG)
    return [found for name, found in CATALOG.items() if name in names]
