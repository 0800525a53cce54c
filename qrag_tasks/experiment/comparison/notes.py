"""Notes on what is left out of a comparison, one line a reason."""

from __future__ import annotations

from collections.abc import Iterable

_FIRST = 3
"""How many are named."""


def percent(share: float) -> str:
    """Return a share, 0 to 1, as ``95 %`` or ``99.9 %``."""
    return f"{100 * share:g} %"


def folded(things: Iterable[str], one: str, many: str) -> list[str]:
    """Return the note on things that share a reason; none without a thing.

    :param one: what is said after the name of the one thing that there is.
    :param many: what is said after the number of several, before the first of their names.
    """
    names = list(dict.fromkeys(things))
    if len(names) < 2:
        return [f"{thing} {one}" for thing in names]
    more = ", ..." if len(names) > _FIRST else ""
    return [f"{len(names):,} {many}: {', '.join(names[:_FIRST])}{more}"]
