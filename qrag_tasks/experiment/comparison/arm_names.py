"""What arms are called in tables: as somebody named them, else by what tells them apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from qrag_tasks.errors import SettingsError
from qrag_tasks.logs.runs import Run, read_runs


def read_arm(given: Path) -> list[Run]:
    """Return the runs of an arm.

    :param given: a folder or a results file, perhaps with a name before it: ``int4=results/int4``.
        Where the whole of it is a path that exists, it is not a name.
    :raises QragError: as :func:`read_runs`.
    """
    name, place = split(given)
    return [replace(run, called=name) for run in read_runs(place)]


def split(given: Path) -> tuple[str | None, Path]:
    """Return an arm's name, if it was given one, and its place."""
    name, equals, place = str(given).partition("=")
    if given.exists() or not (name and equals and place):
        return None, given
    return name, Path(place).expanduser()


def told_apart(arms: Sequence[Sequence[Run]]) -> list[list[Run]]:
    """Return arms with a name each: those of one model and precision by their folders.

    :param arms: the base's runs, and those of each other arm.
    :raises SettingsError: when two were given the same name.
    """
    given = Counter(name for runs in arms for name in _given(runs))
    for name, count in given.items():
        if count > 1:
            raise SettingsError(f"two arms are called {name}: give each a name of its own")
    labels = Counter(label for runs in arms for label in {run.label for run in runs})
    models = Counter(name for runs in arms for name in {run.name for run in runs})

    def is_told_apart(run: Run) -> bool:
        return labels[run.label] == 1 and (bool(run.arm) or models[run.name] == 1)

    places = _tails([_folder(runs) for runs in arms])
    return [
        [run if is_told_apart(run) else replace(run, called=_called(run, place)) for run in runs]
        for runs, place in zip(arms, places, strict=True)
    ]


def _given(runs: Sequence[Run]) -> set[str]:
    return {run.called for run in runs if run.called}


def _called(run: Run, place: str) -> str:
    return f"{run.of_precisions} ({place})" if run.precision else place


def _folder(runs: Sequence[Run]) -> Path:
    """Return the folder that holds all runs of an arm."""
    folders = [run.path.resolve().parent for run in runs]
    return next(
        place
        for place in (folders[0], *folders[0].parents)
        if all(folder.is_relative_to(place) for folder in folders)
    )


def _tails(folders: Sequence[Path]) -> list[str]:
    """Return what tells folders apart: their paths without the beginning and end that all share."""
    parts = [folder.parts for folder in folders]
    shortest = min(map(len, parts))

    def shared(place: int) -> bool:
        return len({path[place] for path in parts}) == 1

    start = next((i for i in range(shortest) if not shared(i)), shortest)
    end = next((i for i in range(shortest - start) if not shared(-1 - i)), shortest - start)
    tails = ["/".join(path[start : len(path) - end]) for path in parts]
    return [tail or str(folder) for tail, folder in zip(tails, folders, strict=True)]
