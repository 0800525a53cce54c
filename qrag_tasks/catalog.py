"""The names under which lm_eval knows our tasks: the task table times the values of k."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import PurePath

from qrag_tasks.benchmark.tasks import LAMP_TASKS, LampTask
from qrag_tasks.errors import SettingsError, did_you_mean

K_VALUES: tuple[int | str, ...] = (0, 1, 3, 5, 10, "max4k", "max8k")
WINDOWS: Mapping[str, int] = {"max4k": 4096, "max8k": 8192}
"""The k that is no number of documents, but a window, in tokens, to be filled with them."""
PAPER_TASKS = ("lamp3u", "lamp5u")
"""The two tasks of arXiv 2406.10251, which the groups ``lamp_rag_k*`` hold."""
TAG = "lamp_rag"
"""lm_eval's tag for every task whose data are public."""


@dataclass(frozen=True)
class CatalogEntry:
    """One lm_eval task: a LaMP task at one k, a number or a name of :data:`WINDOWS`."""

    name: str
    task: LampTask
    k: int | str

    @property
    def documents(self) -> int | None:
        """How many documents are asked for; ``None`` for as many as fit :attr:`window`."""
        return self.k if isinstance(self.k, int) else None

    @property
    def window(self) -> int | None:
        """The tokens for prompt and answer together that the name fixes, if it does."""
        return None if isinstance(self.k, int) else WINDOWS[self.k]

    @property
    def asks_for(self) -> str:
        """What is asked for, in words."""
        return str(self.k) if self.window is None else f"as many as fit {self.window:,} tokens"


CATALOG: Mapping[str, CatalogEntry] = {
    f"{task.name}_rag_k{k}": CatalogEntry(f"{task.name}_rag_k{k}", task, k)
    for task in LAMP_TASKS.values()
    for k in K_VALUES
}


def _groups() -> dict[str, tuple[str, ...]]:
    public = [task for task in LAMP_TASKS.values() if task.public]
    members = {
        "lamp_rag": PAPER_TASKS,
        "lamp_rag_all": [task.name for task in public if not task.time],
        "lamp_rag_time": [task.name for task in public if task.time],
    }
    return {
        f"{group}_k{k}": tuple(f"{name}_rag_k{k}" for name in names)
        for group, names in members.items()
        for k in K_VALUES
    }


GROUPS: Mapping[str, tuple[str, ...]] = _groups()


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
            f"unknown task {name!r} (known: {_pattern(CATALOG)}).{did_you_mean(name, CATALOG)}"
        ) from None


def explain_unknown(names: Iterable[str], reason: str) -> None:
    """Where a name that is not there was probably meant to be ours, say what ours are.

    :raises SettingsError: for the first such name among those that ``reason`` mentions.
    """
    known = [*CATALOG, *GROUPS, TAG]
    for name in names:
        if name in reason and name.startswith("lamp") and "_rag" in name:
            raise SettingsError(
                f"unknown task {name!r} (known: {_pattern(CATALOG)}; groups "
                f"{_pattern(GROUPS)}; tag {TAG}).{did_you_mean(name, known)}"
            )


def _pattern(names: Iterable[str]) -> str:
    """Return the names, shortened: what stands before ``_k``, and every k."""
    stems = dict.fromkeys(name.rpartition("_k")[0] for name in names)
    return f"{', '.join(stems)}, each with _k{{{','.join(map(str, K_VALUES))}}}"


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
            names.update(name for name, found in CATALOG.items() if found.task.public)
    return [found for name, found in CATALOG.items() if name in names]
