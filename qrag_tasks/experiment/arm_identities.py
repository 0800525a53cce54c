"""Arms whose cells were answered by more than one: weights, packages or settings have changed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from qrag_tasks.logs.schema import LoggedArm

_NAMED = 3
"""How many differences are named."""
_LONGEST = 40
"""Characters of a value that is shown: longer ones are digests and templates."""


def mixed_arms(arms: Iterable[tuple[str, LoggedArm]]) -> Iterator[str]:
    """Yield a sentence for every arm that has more than one identity.

    :param arms: name and what the results of a cell say, of every cell.
    """
    identities: dict[str, dict[str, LoggedArm]] = {}
    for name, logged in arms:
        # Of models other than --model qrag it is not known.
        if logged.identity is not None:
            identities.setdefault(name, {}).setdefault(logged.identity, logged)
    for name, members in identities.items():
        if len(members) > 1:
            first, second, *_ = members.values()
            yield (
                f"{name}: its cells were answered by {len(members)} different arms"
                f"{_difference(first, second)}. What differs between its cells, or from another "
                f"arm's, may come of that: run all of them again with one of these"
            )


def _difference(first: LoggedArm, second: LoggedArm) -> str:
    one, two = (dict(_leaves(arm.identity_parts or {})) for arm in (first, second))
    changed = [name for name in dict.fromkeys((*one, *two)) if one.get(name) != two.get(name)]
    if not changed:
        return ""
    shown = [f"{name}{_values(one.get(name), two.get(name))}" for name in changed[:_NAMED]]
    more = ", ..." if len(changed) > _NAMED else ""
    return f", which differ in {', '.join(shown)}{more}"


def _values(one: Any, two: Any) -> str:
    texts = [str(value) for value in (one, two) if value is not None]
    if len(texts) < 2 or any(len(text) > _LONGEST for text in texts):
        return ""
    return f" ({' and '.join(texts)})"


def _leaves(parts: Mapping[str, Any], within: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in parts.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{within}{name}.")
        else:
            yield f"{within}{name}", value
