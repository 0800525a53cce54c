"""The names under which lm_eval knows our tasks: the rows of plugins times the values of k."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import cached_property
from glob import glob
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from qrag_tasks.errors import SettingsError, did_you_mean
from qrag_tasks.locations import RAG, plugin_task_yamls, task_yamls
from qrag_tasks.tasks.base import DEPTHS, Depth, Index, Task

T = TypeVar("T")


@dataclass(frozen=True)
class CatalogEntry:
    """One lm_eval task: a task at one depth."""

    name: str
    task: Task
    depth: Depth


@dataclass(frozen=True)
class Listing:
    """Rows, and the names that lm_eval knows of them."""

    tasks: Mapping[str, Task]

    @cached_property
    def group_tasks(self) -> Mapping[str, tuple[str, ...]]:
        """Name of a group, without its k -> names of its tasks."""
        groups = sorted({group for task in self.tasks.values() for group in task.groups})
        return {
            group: tuple(name for name, task in self.tasks.items() if group in task.groups)
            for group in groups
        }

    @cached_property
    def catalog(self) -> Mapping[str, CatalogEntry]:
        """Every task at every depth, by its name."""
        return {
            (name := f"{task.name}{RAG}_k{depth}"): CatalogEntry(name, task, depth)
            for task in self.tasks.values()
            for depth in task.depths
        }

    @cached_property
    def groups(self) -> Mapping[str, tuple[str, ...]]:
        """Every group at every depth, by its name -> names of its tasks."""
        return {
            f"{group}_k{depth}": members
            for group, names in self.group_tasks.items()
            for depth in DEPTHS
            if (
                members := tuple(
                    f"{name}{RAG}_k{depth}" for name in names if depth in self.tasks[name].depths
                )
            )
        }

    @cached_property
    def tags(self) -> Mapping[str, tuple[str, ...]]:
        """Tag -> names of its tasks."""
        tags = dict.fromkeys(task.tag for task in self.tasks.values() if task.tag)
        return {
            tag: tuple(each.name for each in self.catalog.values() if each.task.tag == tag)
            for tag in tags
        }


class _Lazy(Mapping[str, T]):
    """A mapping out of :class:`Listing`, made when it is first looked at.

    Plugins are loaded then; to import this module loads none.
    """

    _last: ClassVar[tuple[object, Listing | None]] = None, None

    def __init__(self, part: Callable[[Listing], Mapping[str, T]]) -> None:
        self._part = part

    @property
    def _now(self) -> Mapping[str, T]:
        from qrag_tasks import registry

        # Plugins are read again where somebody had them forgotten.
        known = registry.plugins()
        of, everything = _Lazy._last
        if of is not known or everything is None:
            everything = Listing({name: each.value for name, each in registry.TASKS.all().items()})
            _Lazy._last = known, everything
        return self._part(everything)

    def __getitem__(self, name: str) -> T:
        return self._now[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._now)

    def __len__(self) -> int:
        return len(self._now)


TASKS: Mapping[str, Task] = _Lazy(lambda all_: all_.tasks)
"""Name -> row, of LaMP, of own data and of plugins. Never to be looked at on importing."""
GROUP_TASKS: Mapping[str, tuple[str, ...]] = _Lazy(lambda all_: all_.group_tasks)
"""Name of a group, without its k -> names of its tasks."""
CATALOG: Mapping[str, CatalogEntry] = _Lazy(lambda all_: all_.catalog)
GROUPS: Mapping[str, tuple[str, ...]] = _Lazy(lambda all_: all_.groups)
TAGS: Mapping[str, tuple[str, ...]] = _Lazy(lambda all_: all_.tags)
"""lm_eval's tags, one a family, for the tasks whose data are public -> these."""


def rows_of_plugins(built_in: bool) -> Listing:
    """Return the rows that the core registers, or those of all other distributions."""
    from qrag_tasks import registry

    return Listing(
        {
            name: each.value
            for name, each in registry.TASKS.all().items()
            if (each.origin == registry.core_origin()) == built_in
        }
    )


def task_named(name: str, index: Index = "lamp") -> Task:
    """Return the row called ``name``, with the texts to be indexed that ``index`` names.

    :raises SettingsError: when there is none.
    """
    try:
        return replace(TASKS[name], index=index)
    except KeyError:
        raise SettingsError(
            f"unknown task {name!r} (known: {', '.join(TASKS)}).{task_meant(name)}"
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


_PACKAGES = {"longlamp": "qrag-longlamp", "personamem": "qrag-personamem"}
"""What the names of tasks that our plugins bring begin with -> the plugin's distribution."""


def task_meant(name: str) -> str:
    """Return a sentence on what an unknown row's name may mean, or nothing."""
    return _not_installed(name) or did_you_mean(name, TASKS)


def _not_installed(name: str) -> str:
    """Return a sentence on the distribution of ours that a name's task is in; or nothing."""
    from qrag_tasks import registry

    for begin, package in _PACKAGES.items():
        known = {plugin.origin.distribution for plugin in registry.plugins()}
        if name.strip().lower().startswith(begin) and package not in known:
            return (
                f" Tasks of that name are in {package}, which is not installed: "
                f"pip install ./plugins/{package}, in a clone of qrag-tasks."
            )
    return ""


def explain_unknown(names: Iterable[str], reason: str) -> None:
    """Where a name that is not there was probably meant to be ours, say what ours are.

    :param names: what was asked for.
    :param reason: lm_eval's message, which lists after a colon those that it does not find.
    :raises SettingsError: for all of those that begin as ours do or, where a plugin is not loaded,
        that are built as a plugin's are.
    """
    from qrag_tasks import registry

    lost = registry.not_loaded()
    missing = reason.partition(": ")[2].split(", ")
    begins = tuple(
        begin for task in TASKS.values() for begin in (task.family.lower(), f"{task.name}_rag")
    )
    begins += tuple(_PACKAGES)
    ours = [
        name
        for name in names
        if name in missing
        and (name.strip().lower().startswith(begins) or (lost and RAG in name.lower()))
    ]
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
        f"tag {', '.join(TAGS)}).{hints}{lost}"
    )


def _what_it_may_mean(name: str) -> str:
    """Return a sentence on what an unknown name may mean; never another k than was asked for."""
    if sentence := _not_installed(name):
        return sentence
    given = name.strip().lower()
    if given in (*CATALOG, *GROUPS, *TAGS):
        return f" Did you mean {given!r}?"
    stem, _, ending = given.rpartition("_k")
    stems = dict.fromkeys(known.rpartition("_k")[0] for known in (*CATALOG, *GROUPS))
    if stem in stems:
        have = [str(k) for k in DEPTHS if f"{stem}_k{k}" in CATALOG or f"{stem}_k{k}" in GROUPS]
        return f" {stem!r} has no k of {ending!r}: it is {'one of ' * (len(have) > 1)}" + (
            f"{', '.join(have)}."
        )
    k = ending if ending in map(str, DEPTHS) else None
    if match := re.match(r"lamp[-_ ]?(\d+)[-_ ]?([ut](?![a-z]))?", given):
        rows = {f"lamp{match[1]}{split}" for split in ("u", "t") if match[2] in (None, split)}
        names = " or ".join(
            f"{name}_rag_k{k or 5} ({task.setting})" for name, task in TASKS.items() if name in rows
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
    if RAG not in name:
        return frozenset()  # without a look at the plugins: a run of others' tasks needs none
    if name in CATALOG:
        return frozenset({name})
    return frozenset(TAGS.get(name) or GROUPS.get(name, ()))


def holds_all(names: Iterable[Any]) -> bool:
    """Tell whether every name is one of a task or group of ours, or the tag; no pattern is."""
    return all(isinstance(name, str) and members(name) for name in names)


_LETTERS = re.compile(r"[\w:+-]+")
"""A name, and neither a pattern nor a path."""


def requested(patterns: Iterable[str]) -> list[CatalogEntry]:
    """Return our tasks among what lm_eval's ``--tasks`` asks for, in the catalog's order.

    :param patterns: names of tasks, groups or the tag, globs of these, or paths of task files
        and globs of these. What is not ours is passed over.
    """
    patterns = [each for each in patterns if RAG in each or not _LETTERS.fullmatch(each)]
    if not patterns:
        return []
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
    folders = (task_yamls(), plugin_task_yamls())
    return any(file.resolve().is_relative_to(folder.resolve()) for folder in folders)


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
