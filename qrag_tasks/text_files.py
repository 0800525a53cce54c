"""Text files as editors and shells write them: UTF-8, with a byte order mark or without."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from pathlib import Path

_WIDE_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class NotUTF8Error(ValueError):
    """Says what the bytes are instead, and what to do: ``not UTF-8 text ...``."""


def refuse_wide(start: bytes) -> bytes:
    """Return the first bytes of a file, at least four if it has them, as they are.

    :raises NotUTF8Error: where they are UTF-16 or UTF-32, with a byte order mark or without.
    """
    # None of the formats that we read has a zero byte, and the wide encodings of any of them do.
    if start.startswith(_WIDE_MARKS) or b"\0" in start[:4]:
        raise NotUTF8Error("not UTF-8 text but UTF-16 or UTF-32. Save it as UTF-8")
    return start


def decoded(content: bytes) -> str:
    """Return the text of a whole file, without a byte order mark.

    :raises NotUTF8Error: where it is not UTF-8.
    """
    try:
        return refuse_wide(content).decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise NotUTF8Error(f"not UTF-8 text at byte {error.start}. Save it as UTF-8") from None


def raw_lines(path: Path) -> Iterator[bytes]:
    """Yield the lines of a file, as bytes, the first without a byte order mark.

    :raises NotUTF8Error: where it is UTF-16 or UTF-32.
    :raises OSError: where it cannot be read.
    """
    with path.open("rb") as file:
        for number, line in enumerate(file):
            if number == 0:
                line = refuse_wide(line).removeprefix(codecs.BOM_UTF8)
            if line:
                yield line
