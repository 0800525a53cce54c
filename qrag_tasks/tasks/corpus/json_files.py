"""Reading JSON files, plain or ``.gz``, that may be large, cut, or not JSON at all."""

from __future__ import annotations

import codecs
import gzip
import json
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from qrag_tasks.errors import DataError
from qrag_tasks.text_files import NotUTF8Error, refuse_wide

_BLOCK = 1 << 22
_AFTER_VALUE = tuple(", ]\t\n\r")
_SPACE = re.compile(r"[ \t\n\r]*")


def read_json(path: Path, digest: Any) -> Any:
    """Return the value that the file holds.

    :param digest: a :mod:`hashlib` object, fed with the file's bytes, unpacked.
    :raises DataError: when the file cannot be read or is not valid JSON.
    """
    text = "".join(_text(path, digest))
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise _invalid(path, error.msg, error.lineno, error.colno) from None
    except (RecursionError, ValueError) as error:
        raise _invalid(path, _too_much(error), 1, 1) from None


def json_items(path: Path, digest: Any) -> Iterator[Any]:
    """Yield the items of the one list that the file holds, reading a few megabytes at a time.

    :param digest: a :mod:`hashlib` object, fed with the file's bytes, unpacked; complete at the
        end only.
    :raises DataError: when the file cannot be read, is not valid JSON, or does not hold a list.
    """
    window = _Window(path, digest)
    opening = window.next_character()
    if opening != "[":
        value = window.next_value()
        raise DataError(f"{path}: expected a JSON list of questions, got {kind(value)}")
    window.position += 1
    closed = window.next_character() == "]"
    while not closed:
        yield window.next_value()
        delimiter = window.next_character()
        if delimiter not in (",", "]"):
            raise window.invalid("Expecting ',' delimiter", window.position)
        closed = delimiter == "]"
        window.position += not closed
        if not closed:
            window.next_character()
    window.position += 1
    if window.next_character():
        raise window.invalid("Extra data", window.position)


class _Window:
    """The part of a file that is being parsed.

    :ivar position: where parsing goes on, in the text that is held.
    """

    def __init__(self, path: Path, digest: Any) -> None:
        self._path = path
        self._blocks = _text(path, digest)
        self._held = ""
        self.position = 0
        # Of what is held no longer: for naming the place of an error.
        self._lines = 0
        self._columns = 0

    def next_character(self) -> str:
        """Go on to the next character that is no white space, and return it; empty at the end."""
        while True:
            self.position = _SPACE.match(self._held, self.position).end()  # type: ignore[union-attr]
            if self.position < len(self._held):
                return self._held[self.position]
            if not self._read_more():
                return ""

    def next_value(self) -> Any:
        """Parse the value that starts at the position, and go past it."""
        while True:
            try:
                value, end = json.JSONDecoder().raw_decode(self._held, self.position)
            except json.JSONDecodeError as error:
                # Wrong, or only cut by the end of what is held? A string is told by its start.
                at_end = error.pos >= len(self._held) - len("-Infinity")
                if not (at_end or error.msg.startswith("Unterminated")) or not self._read_more():
                    raise self.invalid(error.msg, error.pos) from None
            except (RecursionError, ValueError) as error:
                raise self.invalid(_too_much(error), self.position) from None
            else:
                # Only what follows a number shows that it does not go on in the next block.
                if self._held[end : end + 1] in _AFTER_VALUE or not self._read_more():
                    self.position = end
                    return value

    def invalid(self, message: str, position: int) -> DataError:
        """Return the error for what stands at ``position`` of the text that is held."""
        before = self._held[:position]
        line = self._lines + before.count("\n") + 1
        newline = before.rfind("\n")
        column = position - newline if newline >= 0 else self._columns + position + 1
        return _invalid(self._path, message, line, column)

    def _read_more(self) -> bool:
        # At least as much again as is held: a value that spans many blocks is not parsed again for
        # every one of them.
        kept = len(self._held) - self.position
        blocks: list[str] = []
        read = 0
        while read < max(kept, 1) and (block := next(self._blocks, None)) is not None:
            blocks.append(block)
            read += len(block)
        if not read:
            return False
        done = self._held[: self.position]
        self._lines += done.count("\n")
        newline = done.rfind("\n")
        self._columns = len(done) - newline - 1 if newline >= 0 else self._columns + len(done)
        self._held = "".join((self._held[self.position :], *blocks))
        self.position = 0
        return True


def _opened(path: Path) -> BinaryIO | gzip.GzipFile:
    return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")


def _text(path: Path, digest: Any) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8")()
    before = pending = 0
    try:
        with _opened(path) as file:
            # The first four bytes tell what the text is written in.
            while raw := file.read(_BLOCK if before else 4):
                digest.update(raw)
                pending = len(decoder.getstate()[0])
                text = decoder.decode(raw if before else refuse_wide(raw))
                yield text if before else text.removeprefix("\ufeff")
                before += len(raw)
            pending = len(decoder.getstate()[0])
            decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        at = before - pending + error.start
        raise DataError(f"{path}: not UTF-8 text at byte {at}: not a LaMP file") from None
    except NotUTF8Error as error:
        raise DataError(f"{path}: {error}.") from None
    except EOFError:
        raise DataError(
            f"{path}: cut after {before:,} bytes of text: its gzip stream has no end. Get it again."
        ) from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise DataError(
            f"{path}: no gzip file, or a damaged one, after {before:,} bytes of text ({error}). "
            f"Get it again; a file that is not packed must not be called .gz."
        ) from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error


def _too_much(error: Exception) -> str:
    """Say what :mod:`json` refuses to read, though it may be JSON."""
    if isinstance(error, RecursionError):
        return "lists or objects inside each other without end"
    return "a number of thousands of digits"


def _invalid(path: Path, message: str, line: int, column: int) -> DataError:
    with _opened(path) as file:
        start = file.read(40).decode("utf-8-sig", "replace")
    return DataError(
        f"{path}: not valid JSON at line {line}, column {column} ({message}); "
        f"{path.stat().st_size:,} bytes, starting with {start!r}. Cut while downloading? "
        f"Get it again."
    )


def kind(value: Any) -> str:
    """Return what a JSON value is, in words."""
    if value is None:
        return "nothing"
    names = {dict: "an object", list: "a list", str: "text", bool: "true/false"}
    name = names.get(type(value), type(value).__name__)
    return f"an empty {name.split()[-1]}" if value in ({}, [], "") else name
