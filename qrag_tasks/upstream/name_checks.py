"""Whether the names of the table are there, and what to say where one is not."""

from __future__ import annotations

import dis
import importlib
import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from operator import attrgetter
from types import FunctionType, ModuleType
from typing import Any

from qrag_tasks.errors import ModelError
from qrag_tasks.upstream.inner_names import INNER_NAMES, InnerName


@dataclass(frozen=True)
class Look:
    """What was seen of a row.

    :ivar there: whether it is, and looks as expected; ``None`` where its project, or what that
        needs, is not installed or not looked into.
    :ivar cause: why it cannot be told, or why its patch changed nothing.
    """

    row: InnerName
    there: bool | None
    cause: str = ""


def look(stepped_aside: Mapping[str, str], rows: Iterable[InnerName] = INNER_NAMES) -> list[Look]:
    """Look whether the names are there, and import their modules for it.

    Rows whose project is pinned are not looked for: the release says all, and GPT-QModel takes
    long to import.

    :param stepped_aside: :data:`~qrag_tasks.harness.autoload.STEPPED_ASIDE`.
    """
    looks = []
    for row in rows:
        try:
            version(row.distribution)
        except PackageNotFoundError:
            looks.append(Look(row, None))
            continue
        if row.guard == "pinned":
            looks.append(Look(row, None))
            continue
        try:
            there: bool | None = is_there(row.name)
            if there and row.patch in stepped_aside:
                looks.append(Look(row, False, stepped_aside[row.patch]))
            else:
                looks.append(Look(row, there))
        except Exception as error:  # whatever an import of another project may raise
            package = (getattr(error, "name", None) or "").partition(".")[0]
            wants_another = isinstance(error, ModuleNotFoundError) and package != row.distribution
            there = None if wants_another else False
            looks.append(Look(row, there, f"{type(error).__name__}: {error}"))
    return looks


def cause(patch: str, module: ModuleType, error: Exception) -> str:
    """Return why a patch changed nothing, which lm_eval's name tells better than Python's error.

    :param patch: as in :attr:`InnerName.patch`.
    :param module: what it was to adapt; it may still be being imported.
    :param error: what it raised.
    """
    inside = f"{module.__name__}."
    for row in INNER_NAMES:
        if row.patch == patch and row.use == "replaced" and row.name.startswith(inside):
            try:
                attrgetter(row.name.removeprefix(inside))(module)
            except AttributeError:
                return f"there is no {row.name}"
    return f"{module.__name__}: {type(error).__name__}: {error}"


def lost_without(patch: str) -> str:
    """Return what is lost where a patch changes nothing."""
    return next(row.lost for row in INNER_NAMES if row.patch == patch)


def require(by: str) -> None:
    """Check that a module of ours has the names that it cannot do without.

    :param by: the module, as in :attr:`InnerName.by`.
    :raises ModelError: naming the first that is not there.
    """
    for row in INNER_NAMES:
        if row.by == by and row.guard == "refuses" and not is_there(row.name):
            raise ModelError(_has_none(row))


def explained(error: ImportError) -> str | None:
    """Return what an import that failed means, where it was to import a name of the table."""
    for row in INNER_NAMES:
        place, _, name = row.name.rpartition(".")
        if str(error).startswith(f"cannot import name {name!r} from {place!r}"):
            return _has_none(row)
    return None


def _has_none(row: InnerName) -> str:
    return (
        f"{row.distribution} {version(row.distribution)} has no {row.name}, which "
        f"qrag_tasks.{row.by} needs: {row.lost}. docs/upstream.md says which releases are known "
        f"to have it"
    )


def is_there(name: str) -> bool:
    """Tell whether a name can be had.

    An attribute that instances get, or that a function sets, counts where the code sets it.

    :param name: with all that it is in.
    :raises Exception: whatever the import of its module raises, unless the module is not there.
    """
    parts = name.split(".")
    owner: Any = importlib.import_module(parts[0])
    for i, part in enumerate(parts[1:], start=1):
        if not hasattr(owner, part) and inspect.ismodule(owner):
            module = ".".join(parts[: i + 1])
            try:
                importlib.import_module(module)
            except ModuleNotFoundError as error:
                if error.name != module:
                    raise
        if hasattr(owner, part):
            owner = getattr(owner, part)
        else:
            return i == len(parts) - 1 and _is_set_in(part, owner)
    return True


def _is_set_in(attribute: str, owner: Any) -> bool:
    kinds = inspect.getmro(owner) if inspect.isclass(owner) else ()
    if any(attribute in inspect.get_annotations(kind) for kind in kinds):
        return True
    functions = [owner, *(function for kind in kinds for function in vars(kind).values())]
    codes = [inspect.unwrap(f).__code__ for f in functions if isinstance(f, FunctionType)]
    return any(
        step.opname == "STORE_ATTR" and step.argval == attribute
        for code in codes
        for step in dis.get_instructions(code)
    )
