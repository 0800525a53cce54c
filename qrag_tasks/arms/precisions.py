"""The precisions an arm can have: rows that formats bring."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from qrag_tasks.arms.formats.base import Format
from qrag_tasks.arms.formats.facts import PLAIN, Precision
from qrag_tasks.errors import SettingsError, did_you_mean
from qrag_tasks.registry import FORMATS, Supplied, listed, not_loaded

_DIGITS = re.compile(r"\d+").findall


def formats() -> dict[str, Format]:
    """Return all formats by name; what is built in comes first.

    :raises PluginError: when two plugins bring the same format or precision.
    """
    return {name: supplied.value for name, supplied in FORMATS.all().items()}


def special_first() -> list[Format]:
    """Return all formats in the order in which they are asked what a layer is.

    The plain one comes last: what looks like its weight may be a part of another's.
    """
    return sorted(formats().values(), key=lambda one: one.name == PLAIN)


def format_of(row: Precision) -> Format:
    """Return the format that brings a precision."""
    return FORMATS.get(row.method).value


def packages(*, repacking: bool = False) -> frozenset[str]:
    """Return the packages whose layers hold weights in forms of their own.

    :param repacking: whether to return those alone that pack them again at the first pass.
    """
    asked = (one for one in formats().values() if one.repacks or not repacking)
    return frozenset(name for one in asked for name in one.packages)


def precisions() -> Mapping[str, Precision]:
    """Return all precisions by name; what is built in comes first.

    :raises PluginError: when two plugins bring the same format or precision.
    """
    return {name: supplied.value for name, supplied in _rows().items()}


def precision(name: str) -> Precision:
    """Return the precision of that name.

    :raises SettingsError: when there is none, listing those there are.
    """
    rows = _rows()
    if name not in rows:
        text = str(name).lower()
        known = [supplied.value for supplied in rows.values()]
        # Other bits are another meaning, however alike the names.
        alike = [row.name for row in known if _DIGITS(row.name) == _DIGITS(text)]
        advice = _advice([row for row in known if text in row.aliases])
        raise SettingsError(
            f"unknown precision {name!r} (known: {listed(rows)})."
            f"{advice or did_you_mean(text, alike)}{not_loaded()}"
        )
    return rows[name].value


def _rows() -> dict[str, Supplied[Precision]]:
    return {
        row.name: Supplied(row.name, supplied.origin, row)
        for supplied in FORMATS.all().values()
        for row in supplied.value.precisions
    }


def _advice(rows: list[Precision]) -> str:
    """Advise the precisions that a word may stand for."""
    if len(rows) < 2:
        return "".join(f" Did you mean {row.name!r}?" for row in rows)
    made = _either(row.name for row in rows if row.made_on_loading)
    read = _either(row.name for row in rows if not row.made_on_loading)
    ways = [made and f"{made}, made on loading", read and f"{read}, from a checkpoint"]
    return f" For {rows[0].bits} bits take {', or '.join(filter(None, ways))}."


def _either(names: Iterable[str]) -> str:
    return " or ".join(names)
