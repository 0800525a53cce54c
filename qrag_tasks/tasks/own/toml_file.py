"""A file of TOML, and the lines on which its fields are."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qrag_tasks.errors import DataError
from qrag_tasks.text_files import NotUTF8Error, decoded

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Place = tuple[str | int, ...]
"""A field, as a path of names and positions: ``("answer", "scale", 0)``."""

_TABLE = re.compile(r"\s*\[\s*([^\[\]]+?)\s*\]\s*(?:#.*)?$")
_KEY = re.compile(r"\s*((?:[\w-]+|\"[^\"]*\"|'[^']*')(?:\s*\.\s*(?:[\w-]+|\"[^\"]*\"))*)\s*=(.*)$")
_LONG_QUOTES = ('"""', "'''")
_WHERE = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")


class NotTomlError(DataError):
    """A file is not TOML.

    :ivar line: on which; ``None`` where that is not known.
    """

    def __init__(self, text: str, line: int | None) -> None:
        super().__init__(text)
        self.text = text
        self.line = line


@dataclass
class Toml:
    """What a file holds, and where.

    :ivar lines: field -> its line, from 1; that of its first text, of a text of several lines.
    """

    body: dict[str, Any]
    lines: dict[Place, int] = field(default_factory=dict)
    texts: dict[Place, int] = field(default_factory=dict)

    def line(self, place: Sequence[str | int]) -> int:
        """Return the line of a field; of a missing one, where its table begins, or 1."""
        place = tuple(place)
        while place not in self.lines and place:
            place = place[:-1]
        return self.lines.get(place, 1)

    def line_within(self, place: Place, line: int | None) -> int:
        """Return the line of the file on which a line of a text of several lines is.

        :param line: of the text, from 1; ``None`` for the field itself.
        """
        if line is None or place not in self.texts:
            return self.line(place)
        return self.texts[place] + line - 1


def read_toml(path: Path) -> Toml:
    """Return what a file of TOML holds.

    :raises NotTomlError: when it cannot be read, or is not TOML.
    """
    try:
        text = decoded(path.read_bytes())
    except OSError as error:
        raise NotTomlError(f"cannot be read: {error.strerror}", None) from error
    except NotUTF8Error as error:
        raise NotTomlError(f"{error}.", None) from None
    text = text.replace("\r\n", "\n")
    try:
        body = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        where = _WHERE.search(str(error))
        last = text.count("\n") + 1
        line = None if where is None else int(where[1] or last)
        raise NotTomlError(f"not valid TOML: {_WHERE.sub('', str(error))}", line) from None
    except RecursionError:
        raise NotTomlError("not valid TOML: tables within tables without end", None) from None
    toml = Toml(body)
    _note_lines(toml, text)
    return toml


def _note_lines(toml: Toml, text: str) -> None:
    """Note where tables and keys are; tomllib has checked that the text is TOML."""
    table: Place = ()
    open_quotes: str | None = None
    for number, line in enumerate(text.split("\n"), 1):
        if open_quotes is not None:
            if open_quotes in line:
                open_quotes = None
        elif heading := _TABLE.match(line):
            table = _parts(heading[1])
            toml.lines.setdefault(table, number)
        elif key := _KEY.match(line):
            place = (*table, *_parts(key[1]))
            toml.lines.setdefault(place, number)
            value = key[2].strip()
            for quotes in _LONG_QUOTES:
                if value.startswith(quotes):
                    first = value.removeprefix(quotes)
                    # A line break right after the quotes is no part of the text.
                    toml.texts[place] = number if first else number + 1
                    open_quotes = None if quotes in first else quotes


def _parts(written: str) -> Place:
    return tuple(part.strip().strip("\"'") for part in written.split("."))
