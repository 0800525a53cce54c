"""The fields of a question, as one text: a sample has one input.

A question of one field is that field. Of several, they are joined by a control character that no
text of the data may hold; so chat markers stand in them as they do in the data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from qrag_tasks.tasks.own.corpus_file import LETTERS

SEPARATOR = "\x1e"
"""Between fields; U+001E is ASCII's record separator."""
OPTION = "\x1f"
"""Before each option; U+001F is ASCII's unit separator."""


def joined(values: Sequence[str], options: Sequence[str] = ()) -> str:
    """Return the input of a sample."""
    return SEPARATOR.join([*values, *(f"{OPTION}{option}" for option in options)])


def fields_of(text: str, names: Sequence[str]) -> Mapping[str, Any]:
    """Return what templates are given of a question: its fields, and its options.

    An option is a mapping of ``letter`` and ``text``.
    """
    parts = text.split(SEPARATOR)
    options = [part[1:] for part in parts if part.startswith(OPTION)]
    values = parts[: len(parts) - len(options)]
    return {
        **dict(zip(names, values, strict=True)),
        "options": [
            {"letter": letter, "text": option}
            for letter, option in zip(LETTERS, options, strict=False)
        ],
    }
