"""A question, its options and a history as one text: a sample has one input."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable
from typing import NamedTuple

SEPARATOR = "\x1e"
"""Between the parts of an input; U+001E is ASCII's record separator, which no text may hold."""
LETTERS = ("(a)", "(b)", "(c)", "(d)")
"""What options begin with, and what the golds are."""
_SPEAKER = re.compile(r"[A-Z][a-z]+: ")


class Message(NamedTuple):
    """One message of a history."""

    role: str
    content: str


class Asked(NamedTuple):
    """What a sample's input holds.

    :ivar options: as the data write them: a list of Python's as text.
    :ivar history: empty where documents are retrieved in its place.
    """

    question: str
    options: str
    history: str = ""

    def joined(self) -> str:
        """Return it as an input."""
        return SEPARATOR.join(self)

    @classmethod
    def of(cls, text: str) -> Asked:
        """Read an input.

        :raises ValueError: when it is not one.
        """
        parts = text.split(SEPARATOR)
        if len(parts) != len(cls._fields):
            raise ValueError(f"not an input of PersonaMem: {text[:80]!r}")
        return cls(*parts)


def question_of(text: str) -> str:
    """Return what an input asks, which is what the history is searched with."""
    return Asked.of(text).question.strip()


def shown(message: Message) -> str:
    """Return a message as prompts show it: with the name of who speaks, which most begin with."""
    if message.role == "system":
        return f"[System]: {message.content}"
    if _SPEAKER.match(message.content):
        return message.content
    return f"{'User' if message.role == 'user' else 'Assistant'}: {message.content}"


def history_of(messages: Iterable[Message]) -> str:
    """Return a history as one text, a message after the other."""
    return "\n".join(map(shown, messages))


def options_of(written: str) -> list[str]:
    """Return the options that the data write as a list of Python's, or as JSON.

    :raises ValueError: when they are not four texts that begin with their letters.
    """
    options: object = None
    for read in (ast.literal_eval, json.loads):
        try:
            options = read(written)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        break
    if not isinstance(options, list) or not all(isinstance(one, str) for one in options):
        raise ValueError(f"expected a list of four texts, got {written[:60]!r}")
    begun = [option.lstrip()[:3].lower() for option in options]
    if begun != list(LETTERS):
        raise ValueError(
            f"expected four options that begin with {', '.join(LETTERS)}, got {len(options)} that "
            f"begin with {', '.join(map(repr, begun)) or 'nothing'}"
        )
    return [str(option) for option in options]
