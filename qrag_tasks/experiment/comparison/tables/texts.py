"""Everything a comparison says as rows of texts, one column a figure."""

from __future__ import annotations

from collections.abc import Sequence

from qrag_tasks.experiment.comparison.rows import CellRow, Comparison, MetricRow, TrendRow
from qrag_tasks.experiment.comparison.verdicts import (
    HEADLINES,
    headline,
    interval_text,
    trend_verdict,
    verdict,
)

HEADINGS = (
    *("Task", "k", "Retriever", "Model", "Base", "Other", "Metric", "n"),
    *("Base score", "Other score", "Difference", "95 % interval", "p (Holm)", "Verdict"),
    *("Recovery", "Same answers", "Better / worse"),
)


def rows_of(comparison: Comparison, metrics: Sequence[str] = ()) -> list[tuple[str, ...]]:
    """Return :func:`records` as rows under :data:`HEADINGS`."""
    return [tuple(record[name] for name in HEADINGS) for record in records(comparison, metrics)]


def records(comparison: Comparison, metrics: Sequence[str] = ()) -> list[dict[str, str]]:
    """Return a record of texts for every cell and metric: :data:`HEADINGS` and ``Order``.

    :param metrics: those to show; by default each cell's :func:`headline`. A cell without golds
        has a record all the same.
    """
    found = []
    for cell in comparison.cells:
        wanted = metrics or (headline([row.metric for row in cell.metrics]),)
        chosen = [row for row in cell.metrics if row.metric in wanted]
        found += [_record(cell, row) for row in chosen] or [_record(cell, None)]
    return found


def _record(cell: CellRow, row: MetricRow | None) -> dict[str, str]:
    facts = cell.facts
    record = {
        **dict.fromkeys(HEADINGS, ""),
        "Task": str(facts.get("lamp_task") or cell.task) + _filter(cell),
        "k": str(facts.get("k", "")),
        "Retriever": "" if facts.get("k") == "0" else str(facts.get("retriever", "")),
        "Order": "" if facts.get("k") in ("0", "1") else str(facts.get("order", "")),
        "Model": cell.other.model,
        "Base": cell.base.precision if cell.base.model == cell.other.model else cell.base.label,
        "Other": cell.other.precision,
        "n": str(cell.samples),
        "Same answers": f"{cell.agreement.same_answer:.1%}",
    }
    if row is None:
        return record
    flips = row.flips
    return record | {
        "Metric": row.metric + _arrow(row),
        "Base score": f"{row.base:.4f}",
        "Other score": f"{row.other:.4f}",
        "Difference": f"{row.difference:+.4f}",
        "95 % interval": interval_text(row),
        "p (Holm)": "" if row.p_holm is None else f"{row.p_holm:.3f}",
        "Verdict": verdict(row),
        "Recovery": "" if row.recovery is None else f"{row.recovery:.1%}",
        "Better / worse": "" if flips is None else f"{flips.better} / {flips.worse}",
    }


def _arrow(row: MetricRow | TrendRow) -> str:
    return {True: " ↑", False: " ↓", None: ""}[row.higher_is_better]


def _filter(cell: CellRow) -> str:
    return "" if cell.filter == "none" else f", {cell.filter}"


SLOPE = "Slope of the difference per document"
TREND_HEADINGS = (
    *("Task", "Retriever", "Order", "Model", "Base", "Other", "Metric", "k", "n"),
    *(SLOPE, "95 % interval", "p (Holm)", "Verdict"),
)


def trend_rows(comparison: Comparison, metrics: Sequence[str] = ()) -> list[tuple[str, ...]]:
    """Return :func:`trend_records` as rows under :data:`TREND_HEADINGS`."""
    return [
        tuple(record[name] for name in TREND_HEADINGS)
        for record in trend_records(comparison, metrics)
    ]


def trend_records(comparison: Comparison, metrics: Sequence[str] = ()) -> list[dict[str, str]]:
    """Return a record of texts for every trend.

    :param metrics: those to show; by default those of :data:`HEADLINES`.
    """
    wanted = metrics or HEADLINES
    return [_trend_record(row) for row in comparison.trends if row.metric in wanted]


def _trend_record(row: TrendRow) -> dict[str, str]:
    return {
        "Task": row.lamp_task,
        "Retriever": row.retriever,
        "Order": row.order,
        "Model": row.model,
        "Base": row.base_precision,
        "Other": row.precision,
        "Metric": row.metric + _arrow(row),
        "k": ", ".join(row.k),
        "n": str(row.samples),
        SLOPE: f"{row.slope:+.5f}",
        "95 % interval": interval_text(row, digits=5),
        "p (Holm)": "" if row.p_holm is None else f"{row.p_holm:.3f}",
        "Verdict": trend_verdict(row),
    }
