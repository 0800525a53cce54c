"""The page's table of cells: what matters first, the rest where somebody asks for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from qrag_tasks.experiment.comparison.rows import CellRow, Comparison
from qrag_tasks.experiment.comparison.tables import texts
from qrag_tasks.experiment.comparison.tables.fidelity_texts import KL, NEEDED, SAME_TOP
from qrag_tasks.experiment.report.answer import headline_row, loss
from qrag_tasks.experiment.report.states import STATES, UNSCORED, State, state_of

_FIRST = ("Task", "k", "Retriever", "Order", "Difference")
"""Columns that are shown; the interval follows."""
_FURTHER = (
    *("Base score", "Other score", "p (Holm)", "McNemar p", "Recovery", "Same answers"),
    *("Better / worse", KL, SAME_TOP, NEEDED, "Noise", "n"),
)
"""Columns that are shown where somebody asks for them."""


@dataclass(frozen=True)
class Row:
    """One cell.

    :ivar number: of the cell, in the comparison.
    :ivar verdict: in words, of which there may be two; the state is by what matters of them.
    :ivar link: to the view of the page that shows this cell alone.
    """

    number: int
    arm: str
    state: State
    verdict: str
    first: Sequence[str]
    further: Sequence[str]
    link: str


@dataclass(frozen=True)
class CellTable:
    """All cells, what matters most first."""

    first: Sequence[str]
    further: Sequence[str]
    rows: Sequence[Row]


def cell_table(comparison: Comparison) -> CellTable:
    """Return the table: by verdict in the order of :data:`STATES`, then by loss."""
    interval = texts.interval_heading(comparison.level)
    records = [
        texts.record(cell, headline_row(cell), comparison.level) for cell in comparison.cells
    ]
    several = len({cell.other.model for cell in comparison.cells}) > 1
    first = [name for name in (*_FIRST, interval, "Metric") if any(one[name] for one in records)]
    if len({one["Order"] for one in records if one["Order"]}) < 2 and "Order" in first:
        first.remove("Order")
    further = [name for name in _FURTHER if any(one.get(name) for one in records)]
    order = {state.name: place for place, state in enumerate((*STATES.values(), UNSCORED))}
    rows = [
        Row(
            number,
            cell.other.label if several or not cell.other.arm else cell.other.arm,
            state_of(headline_row(cell)),
            record["Verdict"] or UNSCORED.word,
            [record[name] for name in first],
            [record[name] for name in further],
            link_to(cell),
        )
        for number, (cell, record) in enumerate(zip(comparison.cells, records, strict=True))
    ]
    rows.sort(key=lambda row: (order[row.state.name], -_weight(comparison.cells[row.number])))
    return CellTable(first, further, rows)


def link_to(cell: CellRow) -> str:
    """Return the fragment of the page's address that shows one cell."""
    chosen = {
        "model": cell.other.model,
        "arm": cell.other.arm or cell.other.label,
        "task": cell.lamp_task or cell.task,
        "k": cell.k,
        "retriever": cell.retriever,
        "order": cell.order,
        "filter": None if cell.filter == "none" else cell.filter,
    }
    return urlencode({name: value for name, value in chosen.items() if value})


def _weight(cell: CellRow) -> float:
    """Return a cell's loss in margins, or as a share of the base's score where none was stated."""
    row = headline_row(cell)
    return 0.0 if row is None else loss(row) / (row.margin or abs(row.base) or 1.0)
