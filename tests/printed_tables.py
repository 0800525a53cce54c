"""The tables that a command printed, read back."""

from __future__ import annotations

import re


def rows_of(output: str) -> list[list[str]]:
    """The cells below every rule; a row that was folded is several."""
    rows = []
    spans: list[tuple[int, int]] = []
    for line in output.splitlines():
        if re.fullmatch(r"[─ ]*─[─ ]*", line):
            spans = [found.span() for found in re.finditer("─+", line)]
        elif not line.strip():
            spans = spans if line else []
        elif spans:
            rows.append([line[start:end].strip() for start, end in spans])
    return rows


def row_of(output: str, first: str) -> list[str]:
    """The other cells of the one row that begins so."""
    (found,) = [row for row in rows_of(output) if row[0] == first]
    return found[1:]
