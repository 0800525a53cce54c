"""Tables on a terminal: cells fold at words, and none is ever cut."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterable, Sequence

from rich.box import Box
from rich.cells import cell_len
from rich.table import Table as Drawn
from rich.text import Text

from qrag_tasks.cli.group import console

_GAP = 2
"""Columns of the terminal between two of a table's."""
_LONGEST = 32
"""Characters of a word that is kept in one piece where room is short: longer ones are paths."""
# A rule below the headings, in pieces, and no other line.
_RULED = Box("    \n    \n ─  \n    \n    \n    \n    \n    \n")


class Table:
    """Rows of texts under headings, and perhaps a title."""

    def __init__(self, *headings: str, title: str = "") -> None:
        self.headings = headings
        self.title = title
        self.rows: list[list[Text]] = []
        self.breaks: set[int] = set()

    def add_row(self, *cells: str | Text) -> None:
        """Add a row; a text is shown to the letter, as it may hold what rich takes for markup."""
        self.rows.append([Text(cell) if isinstance(cell, str) else cell for cell in cells])

    def add_break(self) -> None:
        """Leave a line empty between the rows before and those after."""
        self.breaks.add(len(self.rows))


def print_tables(*tables: Table, fold: bool = True, wide: bool = False) -> None:
    """Print tables in the terminal's width where that can be done, else in the width they need.

    Those with the same headings have columns of the same widths.

    :param fold: whether a cell may take several lines.
    :param wide: take the room that all cells and headings want in one line.
    """
    room = console().width
    widths = {}
    for headings in {table.headings for table in tables}:
        alike = [table for table in tables if table.headings == headings]
        widths[headings] = _widths(headings, alike, sys.maxsize if wide else room, fold)
    for number, table in enumerate(tables):
        if number:
            console().print()
        if table.title:
            title = textwrap.fill(table.title, room, break_long_words=False, break_on_hyphens=False)
            console().print(Text(title.replace("\N{NO-BREAK SPACE}", " "), "bold"), soft_wrap=True)
        given = widths[table.headings]
        console(width=max(room, sum(given) + _between(len(given)))).print(_drawn(table, given))


def fits(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> bool:
    """Whether a table fits the terminal without folding a cell."""
    columns = zip(headings, *rows, strict=True)
    whole = [max(_longest(heading.split()), _longest(cells)) for heading, *cells in columns]
    return sum(whole) + _between(len(whole)) <= console().width


def _drawn(table: Table, widths: Sequence[int]) -> Drawn:
    drawn = Drawn(box=_RULED, show_edge=False, pad_edge=False, padding=(0, _GAP - 1, 0, 0))
    for heading, width in zip(table.headings, widths, strict=True):
        drawn.add_column(Text(heading), width=width, overflow="fold")
    for number, row in enumerate(table.rows, start=1):
        drawn.add_row(*row, end_section=number in table.breaks)
    return drawn


def _widths(headings: Sequence[str], tables: Iterable[Table], room: int, fold: bool) -> list[int]:
    """Share the room: what all columns want, less what the widest of them can do without."""
    rows = [[cell.plain for cell in row] for table in tables for row in table.rows]
    columns = list(zip(headings, *rows, strict=True))
    least = [_least(heading, cells, fold) for heading, *cells in columns]
    widths = [_longest(line for cell in column for line in cell.split("\n")) for column in columns]
    while sum(widths) + _between(len(widths)) > room:
        foldable = [i for i, width in enumerate(widths) if width > least[i]]
        if not foldable:
            break
        widths[max(foldable, key=lambda i: widths[i])] -= 1
    return widths


def _least(heading: str, cells: Sequence[str], fold: bool) -> int:
    """Return the width below which a column would lose something, or split a word."""
    if not fold:
        return max(_longest(heading.split()), _longest(cells))
    words = [word for cell in (heading, *cells) for word in cell.split()]
    return min(_longest(words), _LONGEST)


def _between(columns: int) -> int:
    """Return the width of the gaps; rich pads the last column, too."""
    return _GAP * columns - 1


def _longest(texts: Iterable[str]) -> int:
    return max(map(cell_len, texts), default=0)
