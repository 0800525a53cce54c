"""A comparison on the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text


def terminal_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """Return a table for the terminal, without the columns that are empty throughout."""
    shown = [i for i in range(len(headings)) if any(row[i] for row in rows)]
    table = Table(*[headings[i] for i in shown])
    for row in rows:
        # As text: a model's name may hold brackets.
        table.add_row(*[Text(row[i]) for i in shown])
    return table
