"""The names under which lm_eval knows our tasks: the task table times the values of k."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from glob import glob
from pathlib import Path
from typing import Any

from qrag_tasks.errors import SettingsError, did_you_mean
from qrag_tasks.locations import task_yamls
from qrag_tasks.tasks.base import DEPTHS, Depth, Index, Task
from qrag_tasks.tasks.lamp.table import LAMP_TASKS
from qrag_tasks.tasks.own.table import OWN_TASKS

FAMILIES = (LAMP_TASKS, OWN_TASKS)
"""The tables of tasks: a family more is one more of these."""
TASKS: Mapping[str, Task] = {name: task for family in FAMILIES for name, task in family.items()}
GROUP_TASKS: Mapping[str, tuple[str, ...]] = {
    group: tuple(name for name, task in TASKS.items() if group in task.groups)
    for group in sorted({group for task in TASKS.values() for group in task.groups})
}
"""Name of a group, without its k -> names of its tasks."""
TAGS = tuple(dict.fromkeys(task.tag for task in TASKS.values() if task.tag))
"""lm_eval's tags, one a family, for the tasks whose data are public."""


@dataclass(frozen=True)
class CatalogEntry:
    """One lm_eval task: a task at one depth."""

    name: str
    task: Task
    depth: Depth


CATALOG: Mapping[str, CatalogEntry] = {
    f"{task.name}_rag_k{depth}": CatalogEntry(f"{task.name}_rag_k{depth}", task, depth)
    for task in TASKS.values()
    for depth in DEPTHS
}
GROUPS: Mapping[str, tuple[str, ...]] = {
    f"{group}_k{depth}": tuple(f"{name}_rag_k{depth}" for name in names)
    for group, names in GROUP_TASKS.items()
    for depth in DEPTHS
}


def task_named(name: str, index: Index = "lamp") -> Task:
    """Return the row called ``name``, with the texts to be indexed that ``index`` names.

    :raises SettingsError: when there is none.
    """
    try:
        return replace(TASKS[name], index=index)
    except KeyError:
        raise SettingsError(
            f"unknown task {name!r} (known: {', '.join(TASKS)}).{did_you_mean(name, TASKS)}"
        ) from None


def as_row(given: Any) -> Task:
    """Return the row that a task file means: one of ours by its name, or one of its own.

    :raises SettingsError: for an unknown name, for what is no row, and for a row of another's that
        has the name of one of ours.
    """
    if isinstance(given, str):
        return task_named(given)
    if not isinstance(given, Task):
        raise SettingsError(f"{given!r} is neither a task's name nor a row (qrag_tasks.Task)")
    if TASKS.get(given.name, given) != given:
        raise SettingsError(f"task {given.name!r}: one of ours has that name; take another")
    return given


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
        several = " Name one task." if "," in name else _what_it_may_mean(name)
        raise SettingsError(
            f"unknown task {name!r} (known: {_pattern(CATALOG)}).{several}"
        ) from None


def explain_unknown(names: Iterable[str], reason: str) -> None:
    """Where a name that is not there was probably meant to be ours, say what ours are.

    :param names: what was asked for.
    :param reason: lm_eval's message, which lists after a colon those that it does not find.
    :raises SettingsError: for all of those that begin as ours do.
    """
    missing = reason.partition(": ")[2].split(", ")
    begins = tuple(
        begin for task in TASKS.values() for begin in (task.family.lower(), f"{task.name}_rag")
    )
    ours = [name for name in names if name in missing and name.strip().lower().startswith(begins)]
    if not ours:
        return
    message = f"{'unknown task' if len(ours) == 1 else 'unknown tasks'} " + ", ".join(
        map(repr, ours)
    )
    if others := [name for name in missing if name not in ours]:
        message += f"; lm_eval does not know {', '.join(map(repr, others))} either"
    hints = "".join(dict.fromkeys(map(_what_it_may_mean, ours)))
    raise SettingsError(
        f"{message} (known: {_pattern(CATALOG)}; groups {_pattern(GROUPS)}; "
        f"tag {', '.join(TAGS)}).{hints}"
    )


def _what_it_may_mean(name: str) -> str:
    """Return a sentence on what an unknown name may mean; never another k than was asked for."""
    given = name.strip().lower()
    if given in (*CATALOG, *GROUPS, *TAGS):
        return f" Did you mean {given!r}?"
    stem, _, ending = given.rpartition("_k")
    stems = dict.fromkeys(known.rpartition("_k")[0] for known in (*CATALOG, *GROUPS))
    if stem in stems:
        return f" {stem!r} has no k of {ending!r}: it is one of {', '.join(map(str, DEPTHS))}."
    k = ending if ending in map(str, DEPTHS) else None
    if match := re.match(r"lamp[-_ ]?(\d+)[-_ ]?([ut](?![a-z]))?", given):
        rows = {f"lamp{match[1]}{split}" for split in ("u", "t") if match[2] in (None, split)}
        names = " or ".join(
            f"{name}_rag_k{k or 5} ({task.setting})"
            for name, task in LAMP_TASKS.items()
            if name in rows
        )
        return (
            names and f" {'Did you mean' if k else 'Write for example'} {names}{'?' if k else '.'}"
        )
    return did_you_mean(given, [f"{stem}_k{k}" for stem in stems] if k else TAGS)


def _pattern(names: Iterable[str]) -> str:
    """Return the names, shortened: what stands before ``_k``, and every k."""
    stems = dict.fromkeys(name.rpartition("_k")[0] for name in names)
    return f"{', '.join(stems)}, each with _k{{{','.join(map(str, DEPTHS))}}}"


def members(name: str) -> frozenset[str]:
    """Return the tasks of ours that a name stands for: itself, a group's, the tag's; or none."""
    if name in CATALOG:
        return frozenset({name})
    if name in TAGS:
        return frozenset(each.name for each in CATALOG.values() if each.task.tag == name)
    return frozenset(GROUPS.get(name, ()))


def holds_all(names: Iterable[Any]) -> bool:
    """Tell whether every name is one of a task or group of ours, or the tag; no pattern is."""
    return all(isinstance(name, str) and members(name) for name in names)


def requested(patterns: Iterable[str]) -> list[CatalogEntry]:
    """Return our tasks among what lm_eval's ``--tasks`` asks for, in the catalog's order.

    :param patterns: names of tasks, groups or the tag, globs of these, or paths of task files
        and globs of these. What is not ours is passed over.
    """
    known = (*CATALOG, *GROUPS, *TAGS)
    names: set[str] = set()
    for pattern in patterns:
        if pattern.endswith(".yaml"):
            files = map(Path, glob(pattern))  # noqa: PTH207 - a pattern may begin at the root
            matching = [file.stem for file in files if _is_ours(file)]
        else:
            matching = [name for name in known if fnmatchcase(name, pattern)]
        names.update(*map(members, matching))
    return [matching for name, matching in CATALOG.items() if name in names]


def _is_ours(file: Path) -> bool:
    return file.resolve().is_relative_to(task_yamls().resolve())


def without_overlap(names: Iterable[Any]) -> tuple[list[Any], dict[str, str]]:
    """Leave out the names whose tasks another one holds: lm_eval takes no task twice.

    :param names: of tasks, groups or tags; what is not ours, or is no name, is kept as it is.
    :return: what is left, in its order; and each name left out with the one that holds it.
    """
    given = list(names)
    ours = {name: members(name) for name in given if isinstance(name, str) and members(name)}
    held: dict[str, str] = {}
    largest: list[str] = []
    for name in sorted(ours, key=lambda name: -len(ours[name])):
        holder = next((other for other in largest if ours[name] <= ours[other]), None)
        if holder is None:
            largest.append(name)
        else:
            held[name] = holder
    return [name for name in given if not (isinstance(name, str) and name in held)], held
