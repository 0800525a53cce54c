"""Everything a comparison says as rows of texts, one column a figure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qrag_tasks.experiment.comparison.rows import CellRow, Comparison, MetricRow, TrendRow
from qrag_tasks.experiment.comparison.verdicts import HEADLINES, headline, verdict

HEADINGS = (
    *("Task", "k", "Retriever", "Model", "Base", "Other", "Metric", "n"),
    *("Base score", "Other score", "Difference", "95 % interval", "p (Holm)", "Verdict"),
    *("Recovery", "Same answers", "Better / worse"),
)


def rows_of(comparison: Comparison, metrics: Sequence[str] = ()) -> list[tuple[str, ...]]:
    """Return the table's rows as texts, under :data:`HEADINGS`.

    :param metrics: those to show; by default each cell's :func:`headline`. A cell without golds
        has a row all the same.
    """
    rows = []
    for cell in comparison.cells:
        wanted = metrics or (headline([row.metric for row in cell.metrics]),)
        chosen = [row for row in cell.metrics if row.metric in wanted]
        rows += [_texts(cell, row) for row in chosen] or [_texts(cell, None)]
    return rows


def _texts(cell: CellRow, row: MetricRow | None) -> tuple[str, ...]:
    facts = cell.facts
    about = (
        str(facts.get("lamp_task") or cell.task) + _filter(cell),
        str(facts.get("k", "")),
        "" if facts.get("k") == "0" else str(facts.get("retriever", "")),
        cell.other.model,
        cell.base.precision,
        cell.other.precision,
    )
    alike = f"{cell.agreement.same_answer:.1%}"
    if row is None:
        return (*about, "", str(cell.samples), *[""] * 7, alike, "")
    flips = row.flips
    return (
        *about,
        row.metric + {True: " ↑", False: " ↓", None: ""}[row.higher_is_better],
        str(cell.samples),
        f"{row.base:.4f}",
        f"{row.other:.4f}",
        f"{row.difference:+.4f}",
        _interval(row.interval),
        "" if row.p_holm is None else f"{row.p_holm:.3f}",
        verdict(row),
        "" if row.recovery is None else f"{row.recovery:.1%}",
        alike,
        "" if flips is None else f"{flips.better} / {flips.worse}",
    )


def _filter(cell: CellRow) -> str:
    return "" if cell.filter == "none" else f", {cell.filter}"


def _interval(interval: Any) -> str:
    return "" if interval is None else f"[{interval.low:+.4f}, {interval.high:+.4f}]"


def trend_rows(comparison: Comparison, metrics: Sequence[str] = ()) -> list[tuple[str, ...]]:
    """Return the trends as texts, under :data:`TREND_HEADINGS`.

    :param metrics: those to show; by default those of :data:`HEADLINES`.
    """
    return [_trend_texts(row) for row in comparison.trends if row.metric in (metrics or HEADLINES)]


TREND_HEADINGS = (
    *("Task", "Retriever", "Order", "Model", "Base", "Other", "Metric", "k", "n"),
    *("Slope of the difference per document", "95 % interval", "p (Holm)"),
)


def _trend_texts(row: TrendRow) -> tuple[str, ...]:
    return (
        *(row.lamp_task, row.retriever, row.order, row.model, row.base_precision, row.precision),
        row.metric + {True: " ↑", False: " ↓", None: ""}[row.higher_is_better],
        ", ".join(row.k),
        str(row.samples),
        f"{row.slope:+.5f}",
        "" if row.interval is None else f"[{row.interval.low:+.5f}, {row.interval.high:+.5f}]",
        "" if row.p_holm is None else f"{row.p_holm:.3f}",
    )
