"""What is wrong with what plugins register, as far as that can be told without any library.

Each function takes a name and what is registered under it, and returns what is wrong with it, as
the end of a sentence; an empty text where nothing is.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from qrag_tasks.locations import RAG

if TYPE_CHECKING:
    from qrag_tasks.tasks.base import Task


def uncallable(_name: str, value: Any) -> str:
    """Tell that a thing cannot be called, where it cannot."""
    return "" if callable(value) else f"cannot be called: {value!r}"


def unfit_format(name: str, value: Any) -> str:
    """Tell what is wrong with a format, so far as no library is needed for that."""
    if isinstance(value, type):
        return f"is a class: register an object, {value.__name__}()"
    if getattr(value, "name", None) != name:
        return f"calls itself {getattr(value, 'name', None)!r}"
    rows = getattr(value, "precisions", ())
    if strangers := [row.name for row in rows if row.method != name]:
        return f"has precisions of another method: {', '.join(strangers)}"
    kinds = [(row.bits, row.quant_type, row.dtype) for row in rows]
    if len(set(kinds)) < len(kinds):
        return "has two precisions of the same bits and quant_type: nothing would tell them apart"
    return ""


def no_engine(_name: str, value: Any) -> str:
    """Tell what is missing for an engine."""
    missing = [part for part in ("abilities", "load", "check") if not hasattr(value, part)]
    return f"is not an EngineFactory, as it has no {missing[0]}: {value!r}" if missing else ""


_OWN = "own-"
"""What the names of own data begin with, whose rows are made of ``corpus.toml``."""


def unfit_task(name: str, value: Any) -> str:
    """Tell what is wrong with a row of a task."""
    if isinstance(value, type):
        return f"is a class: register a row, {value.__name__}(...)"
    parts = ("prompt", "answer", "source", "groups", "item_fields")
    if missing := [part for part in parts if not hasattr(value, part)]:
        return f"is not a row of a task (qrag_tasks.Task), as it has no {missing[0]}: {value!r}"
    if value.name != name:
        return f"calls itself {value.name!r}"
    if name.startswith(_OWN):
        return f"begins with {_OWN!r}, as the rows of own data do"
    for group in value.groups:
        if RAG not in group or group == f"{name}{RAG}":
            return f"is in the group {group!r}: expected a name with {RAG!r}, and not {name}{RAG}"
    return ""


def names_in_lm_eval(row: Task) -> Iterable[tuple[str, str]]:
    """Return the names that a row takes in lm_eval, without their k."""
    yield "name in lm_eval", f"{row.name}{RAG}"
    yield from (("name in lm_eval", group) for group in row.groups)
    if row.tag is not None:
        yield "tag in lm_eval", row.tag
