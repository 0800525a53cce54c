"""What messages say of results and logs that are damaged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qrag_tasks.tasks.corpus.json_files import kind

RUN_AGAIN = "Copy the file again; if that is how the run left it, run it again."
"""What to do about such a file."""

_NAMES: Mapping[type, str] = {
    dict: "an object",
    list: "a list",
    str: "text",
    int: "a number",
    bool: "true/false",
}


def wrong_field(record: Mapping[str, Any], name: str, expected: type) -> str | None:
    """Say what is wrong with a field of a JSON object; ``None`` where it is as expected."""
    value = record.get(name)
    if isinstance(value, expected):
        return None
    return f"field {name!r}: expected {_NAMES[expected]}, got {kind(value)}"
