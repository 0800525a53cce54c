"""What is left of the base's scores, as model cards show it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from qrag_tasks.experiment.comparison.notes import percent
from qrag_tasks.experiment.comparison.rows import ALL, CellRow, Comparison, MetricRow
from qrag_tasks.experiment.comparison.tables.markdown import markdown
from qrag_tasks.experiment.comparison.tables.texts import Table, arrow, chosen, percent_text

_AVERAGE = "**Average**"
Rows = Mapping[str, Mapping[str, MetricRow]]
"""Task -> arm -> what is known of it."""


def recovery_tables(comparison: Comparison, metrics: Sequence[str] = ()) -> list[Table]:
    """Return a table for each model and base: scores and recovery of every arm, and averages.

    The average is that of the recoveries: scores of different metrics have no mean that would say
    anything. Where all cells of an arm are in it, its interval is beside it.

    :param metrics: as for :func:`~qrag_tasks.experiment.comparison.tables.texts.records`.
    """
    groups: dict[tuple[str, str], dict[str, dict[str, MetricRow]]] = {}
    for cell, row in chosen(comparison, metrics):
        if row is not None:
            base = cell.base.arm if cell.base.model == cell.other.model else cell.base.label
            tasks = groups.setdefault((cell.other.model, base), {})
            tasks.setdefault(_task(cell, row), {})[cell.other.arm or cell.other.label] = row
    return [_table(comparison, *names, tasks) for names, tasks in groups.items()]


def recovery_markdown(comparison: Comparison, metrics: Sequence[str] = ()) -> str:
    """Return :func:`recovery_tables` in Markdown; empty where no cell has a score."""
    tables = recovery_tables(comparison, metrics)
    return "\n".join(markdown(*table) for table in tables)


def _table(comparison: Comparison, model: str, base: str, tasks: Rows) -> Table:
    arms = list(dict.fromkeys(arm for rows in tasks.values() for arm in rows))
    headings = ["Task", f"{model} {base}".strip()]
    for arm in arms:
        headings += [arm, "Recovery"]
    rows = [(task, *_scores(by_arm, arms)) for task, by_arm in tasks.items()]
    average = [_AVERAGE, ""]
    for arm in arms:
        recoveries = [rows[arm].recovery for rows in tasks.values() if arm in rows]
        average += ["", _mean(comparison, (model, arm, base), recoveries)]
    return Table(tuple(headings), [*rows, tuple(average)])


def _scores(by_arm: Mapping[str, MetricRow], arms: Sequence[str]) -> list[str]:
    texts = [f"{next(iter(by_arm.values())).base:.4f}"]
    for arm in arms:
        row = by_arm.get(arm)
        texts += [f"{row.other:.4f}", percent_text(row.recovery)] if row else ["", ""]
    return texts


def _mean(
    comparison: Comparison, names: tuple[str, str, str], recoveries: Sequence[float | None]
) -> str:
    known = [recovery for recovery in recoveries if recovery is not None]
    if len(known) < len(recoveries):
        return ""
    mean = float(np.mean(known))
    text = f"**{percent_text(mean)}**"
    for row in comparison.pooled:
        if (row.model, row.arm, row.base_arm, row.retriever) == (*names, ALL):
            same = row.recovery is not None and abs(row.recovery - mean) < 1e-9
            if same and row.cells == len(known) and (limits := row.recovery_interval):
                level = percent(limits.level)
                text += f" ({level} interval {100 * limits.low:.1f} to {100 * limits.high:.1f})"
    return text


def _task(cell: CellRow, row: MetricRow) -> str:
    parts = [cell.lamp_task or cell.task, *([] if cell.filter == "none" else [cell.filter])]
    parts += [f"k = {cell.k}"] if cell.k else []
    parts += [str(cell.retriever)] if cell.retriever not in (None, "none") else []
    parts += [cell.order] if cell.order not in (None, "best-first") else []
    return f"{', '.join(parts)}: {row.metric}{arrow(row)}"
