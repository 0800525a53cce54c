"""Cells that differ in k alone, and whether the difference between two arms grows along them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from qrag_tasks.experiment.comparison.rows import CellRow, TrendRow
from qrag_tasks.experiment.comparison.sample_arrays import RATES, Values, one_by_one
from qrag_tasks.experiment.statistics import holm, trend

Line = tuple[str, str, str, str, str, str]
"""Model, arm, base arm, LaMP task, retriever, order."""


def trends(cells: Sequence[CellRow], values: Sequence[Values], level: float) -> Iterator[TrendRow]:
    """Yield a trend for every metric of every arm whose k go beyond one."""
    for named, members in lines(cells).items():
        if len(members) > 1:
            yield from _trend_of(
                named, [cells[i] for i in members], [values[i] for i in members], level
            )


def lines(cells: Sequence[CellRow]) -> dict[Line, list[int]]:
    """Return the cells that differ in k alone, by number.

    What has no retriever, k = 0, belongs to all of them; what has no order, k = 1, likewise.
    """
    by_line: dict[Line, list[int]] = {}
    for cell in cells:
        if cell.k not in (None, "0") and cell.kept is not None:
            by_line.setdefault(_line(cell), [])
    # One document alone makes no line of its own where there are orders.
    orders = {line[:-1] for line in by_line if line[-1]}
    by_line = {line: [] for line in by_line if line[-1] or line[:-1] not in orders}
    for number, cell in enumerate(cells):
        if cell.kept is None or cell.k is None:
            continue
        own = _line(cell)
        for line, members in by_line.items():
            reach = 4 if cell.k == "0" else 6 if own[-1] else 5
            if own[:reach] == line[:reach]:
                members.append(number)
    return by_line


def _line(cell: CellRow) -> Line:
    return (
        cell.other.model,
        cell.other.arm,
        cell.base.arm,
        cell.lamp_task or "",
        cell.retriever or "",
        cell.order or "",
    )


def _trend_of(
    named: Line,
    cells: Sequence[CellRow],
    values: Sequence[Values],
    level: float,
) -> Iterator[TrendRow]:
    places = [{key: place for place, key in enumerate(cell_values.keys)} for cell_values in values]
    shared = [key for key in values[0].keys if all(key in place for place in places)]
    if not shared:
        return
    users = values[0].users
    for metric in values[0].metrics:
        if metric.name in RATES or not one_by_one(metric):
            continue
        if any(metric.name not in {m.name for m in cell_values.metrics} for cell_values in values):
            continue
        columns = []
        for cell_values, place in zip(values, places, strict=True):
            base, other = cell_values.of(metric.name)
            columns.append((other - base)[[place[key] for key in shared]])
        documents = [cell.kept or 0.0 for cell in cells]
        if len(set(documents)) < 2:
            continue
        rows = [places[0][key] for key in shared]
        line = trend(
            documents,
            np.stack(columns, axis=1),
            clusters=None if users is None else users[rows],
            level=level,
        )
        yield TrendRow(
            *named,
            metric=metric.name,
            higher_is_better=metric.higher_is_better,
            k=[cell.k or "" for cell in cells],
            documents=documents,
            samples=len(shared),
            slope=line.slope,
            interval=line.interval,
            p=line.p,
            p_holm=None,
        )


def corrected(rows: Sequence[TrendRow]) -> list[TrendRow]:
    """Correct the p of each metric over all its trends."""
    by_metric: dict[str, list[TrendRow]] = {}
    for row in rows:
        by_metric.setdefault(row.metric, []).append(row)
    return [
        replace(row, p_holm=p)
        for members in by_metric.values()
        for row, p in zip(members, holm([row.p for row in members]), strict=True)
    ]
