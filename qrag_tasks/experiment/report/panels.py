"""What a panel of a figure shows: the lines of one model and task by one retriever, along k."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from qrag_tasks.experiment.comparison.k_series import lines
from qrag_tasks.experiment.comparison.rows import CellRow, Comparison, MetricRow
from qrag_tasks.experiment.report.answer import headline_row


@dataclass(frozen=True)
class Line:
    """One arm's cells that differ in k alone, each with the row of its headline metric."""

    arm: str
    cells: Sequence[tuple[CellRow, MetricRow]]

    @property
    def k(self) -> list[str]:
        """What stands at :attr:`places`."""
        return [cell.k or "" for cell, _ in self.cells]

    @property
    def rows(self) -> list[MetricRow]:
        """The rows alone."""
        return [row for _, row in self.cells]

    @property
    def places(self) -> list[float]:
        """Square roots of the mean numbers of documents: as they are, small k would be crowded."""
        return [math.sqrt(cell.kept or 0.0) for cell, _ in self.cells]


@dataclass(frozen=True)
class Panel:
    """One model and task by one retriever: a line for each arm."""

    model: str
    task: str
    retriever: str
    order: str
    base: str
    lines: Sequence[Line]

    @property
    def longest(self) -> Line:
        """The line that tells the most of the base: others may lack cells."""
        return max(self.lines, key=lambda line: len(line.cells))

    @property
    def metric(self) -> MetricRow:
        """A row that says which metric it is: all have the same."""
        return self.lines[0].cells[0][1]

    @property
    def title(self) -> str:
        """What it shows, in a line or two."""
        order = "" if self.order in ("", "best-first") else f", {self.order}"
        return wrapped(f"{self.model}, {self.task}, {short_name(self.retriever)}{order}")


def short_name(retriever: str) -> str:
    """Leave of long options their end: two titles stand side by side."""
    name, _, options = retriever.partition(":")
    return f"{name}:…{options[-12:]}" if len(retriever) > 22 and options else retriever


def wrapped(title: str) -> str:
    """Break a title so that two stand side by side."""
    return textwrap.fill(title, 44)


def panels_of(comparison: Comparison) -> Iterator[Panel]:
    """Yield a panel for every model, task, retriever and order with more than one k."""
    cells = comparison.cells
    by_panel: dict[tuple[str, ...], list[Line]] = {}
    for (model, other, base, task, retriever, order), members in lines(cells).items():
        shown = [(cells[i], row) for i in members if (row := headline_row(cells[i])) is not None]
        if len(shown) > 1:
            key = (model, task, retriever, order, base)
            by_panel.setdefault(key, []).append(Line(other, shown))
    for (model, task, retriever, order, base), its_lines in by_panel.items():
        yield Panel(model, task, retriever, order, base, its_lines)
