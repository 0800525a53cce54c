"""Values of choices that were renamed: what earlier versions wrote into results and plans."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

FORMER: Mapping[str, Mapping[str, str]] = {
    choice: {"paper": "yazan2024"} for choice in ("filter", "index", "fill")
}
"""Choice of a run -> what a value of it was called -> what it is called now."""


def as_now(choices: Mapping[str, Any]) -> dict[str, Any]:
    """Return choices as an earlier version wrote them down, in today's words."""
    return {choice: now_called(choice, value) for choice, value in choices.items()}


def now_called(choice: str, value: Any) -> Any:
    """Return what a value of a choice is called now; the value itself where that is the same."""
    return FORMER.get(choice, {}).get(value, value) if isinstance(value, str) else value
