"""Everything a comparison says as rows of texts, one column a figure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from qrag_tasks.experiment.comparison.batch_noise import UNKNOWN
from qrag_tasks.experiment.comparison.fidelity_rows import FidelityTrendRow
from qrag_tasks.experiment.comparison.notes import percent
from qrag_tasks.experiment.comparison.rows import (
    AttributeRow,
    CellRow,
    Comparison,
    MetricRow,
    PooledRow,
    TrendRow,
)
from qrag_tasks.experiment.comparison.tables import fidelity_texts
from qrag_tasks.experiment.comparison.verdicts import (
    headline,
    interval_text,
    trend_verdict,
    verdict,
)

_SELDOM = ("Prompt tokens", "McNemar p", "Noise")
"""Columns that are left out where nothing stands in them."""
SLOPE = "Slope of the difference per document"


def interval_heading(level: float) -> str:
    """Return what a column of intervals of a level is called: ``95 % interval``."""
    return f"{percent(level)} interval"


def headings(level: float) -> tuple[str, ...]:
    """Return what the columns of :func:`records` are called, from the left.

    Those of readings, where there are any, follow: :data:`fidelity_texts.COLUMNS`.
    """
    return (
        *("Task", "k", "Retriever", "Order", "Model", "Base", "Other", "Metric", "n"),
        *("Base score", "Other score", "Difference", interval_heading(level)),
        *("p (Holm)", "Verdict", "Recovery", "Same answers", "Better / worse"),
        *_SELDOM,
    )


def trend_headings(level: float) -> tuple[str, ...]:
    """Return what the columns of :func:`trend_records` are called, from the left."""
    return (
        *("Task", "Retriever", "Order", "Model", "Base", "Other", "Metric", "k", "n"),
        *(SLOPE, interval_heading(level), "p (Holm)", "Verdict"),
    )


class Table(NamedTuple):
    """Texts in rows, under headings."""

    headings: tuple[str, ...]
    rows: list[tuple[str, ...]]


def cell_table(comparison: Comparison, metrics: Sequence[str] = ()) -> Table:
    """Return :func:`records` as a table."""
    rows = records(comparison, metrics)
    of_readings = [name for name in fidelity_texts.COLUMNS if any(row[name] for row in rows)]
    return _table(rows, (*headings(comparison.level), *of_readings))


def trend_table(comparison: Comparison, metrics: Sequence[str] = ()) -> Table:
    """Return :func:`trend_records` as a table, which may have no rows."""
    return _table(trend_records(comparison, metrics), trend_headings(comparison.level))


def _table(rows: Sequence[Mapping[str, str]], columns: tuple[str, ...]) -> Table:
    # The order of the documents is hardly ever varied.
    if len({row["Order"] for row in rows if row["Order"]}) < 2:
        columns = tuple(name for name in columns if name != "Order")
    empty = {name for name in _SELDOM if not any(row.get(name) for row in rows)}
    columns = tuple(name for name in columns if name not in empty)
    return Table(columns, [tuple(row[name] for name in columns) for row in rows])


def records(comparison: Comparison, metrics: Sequence[str] = ()) -> list[dict[str, str]]:
    """Return a record of texts, under :func:`headings`, for every cell and metric.

    :param metrics: those to show; by default each cell's :func:`headline`. A cell without golds
        has a record all the same.
    """
    return [record(cell, row, comparison.level) for cell, row in chosen(comparison, metrics)]


def chosen(
    comparison: Comparison, metrics: Sequence[str]
) -> Iterator[tuple[CellRow, MetricRow | None]]:
    """Yield every cell with each of its rows that are to be shown, as :func:`records` says."""
    for cell in comparison.cells:
        wanted = metrics or (headline([row.metric for row in cell.metrics]),)
        rows: Sequence[MetricRow | None] = [r for r in cell.metrics if r.metric in wanted] or [None]
        yield from ((cell, row) for row in rows)


def record(cell: CellRow, row: MetricRow | None, level: float) -> dict[str, str]:
    """Return one of :func:`records`."""
    texts = {
        **dict.fromkeys((*headings(level), *fidelity_texts.COLUMNS), ""),
        "Task": (cell.lamp_task or cell.task) + _filter(cell),
        "k": cell.k or "",
        "Retriever": cell.retriever or "",
        "Order": cell.order or "",
        "Model": cell.other.model,
        "Base": cell.base.arm if cell.base.model == cell.other.model else cell.base.label,
        "Other": cell.other.arm,
        "n": str(cell.samples),
        "Same answers": f"{cell.agreement.same_answer:.1%}",
        "Prompt tokens": _prompt_tokens(cell),
        **fidelity_texts.texts(cell, None if row is None else row.metric),
    }
    if row is None:
        return texts
    flips = row.flips
    return texts | {
        "Metric": row.metric + arrow(row),
        "Base score": f"{row.base:.4f}",
        "Other score": f"{row.other:.4f}",
        "Difference": f"{row.difference:+.4f}",
        interval_heading(level): interval_text(row),
        "p (Holm)": p_text(row),
        "McNemar p": _p(row.mcnemar_p),
        "Noise": noise_text(cell.batch_noise, row.noise_floor),
        "Verdict": verdict(row),
        "Recovery": percent_text(row.recovery),
        "Better / worse": "" if flips is None else f"{flips.better} / {flips.worse}",
    }


def arrow(row: MetricRow | TrendRow | AttributeRow) -> str:
    """Return which way a metric is better; nothing where that is not known."""
    return {True: " ↑", False: " ↓", None: ""}[row.higher_is_better]


def _prompt_tokens(cell: CellRow) -> str:
    """Return the mean tokens of a prompt on both sides, where the prompts are not the same."""
    base, other = cell.base.prompt_tokens, cell.other.prompt_tokens
    if not cell.by_design or base is None or other is None:
        return ""
    return f"{base:,.0f} / {other:,.0f}"


def p_text(row: MetricRow | TrendRow | PooledRow | FidelityTrendRow | AttributeRow) -> str:
    """Return the corrected p as text; empty where there is none."""
    return _p(row.p_holm)


def _p(p: float | None) -> str:
    if p is None:
        return ""
    # No p is zero.
    return f"{p:.3f}" if p >= 0.0005 else "<0.001"


def percent_text(share: float | None) -> str:
    """Return a share as ``98.1%``; empty where there is none."""
    return "" if share is None else f"{share:.1%}"


def noise_text(state: str, floor: float | None, digits: int = 4) -> str:
    """Return what is known of the noise of batches: ``±0.0123``, ``excluded``, or nothing."""
    if state == UNKNOWN:
        return ""
    return state if floor is None else f"±{floor:.{digits}f}"


def _filter(cell: CellRow) -> str:
    return "" if cell.filter == "none" else f", {cell.filter}"


def trend_records(comparison: Comparison, metrics: Sequence[str] = ()) -> list[dict[str, str]]:
    """Return a record of texts, under :func:`trend_headings`, for every trend.

    :param metrics: those to show; by default the :func:`headline` of each series, and KL.
    """
    level = comparison.level
    rows = [trend_record(row, level) for row in chosen_trends(comparison, metrics)]
    of_kl = () if metrics else comparison.fidelity_trends
    return rows + [_fidelity_trend_record(row, level) for row in of_kl]


def chosen_trends(comparison: Comparison, metrics: Sequence[str] = ()) -> list[TrendRow]:
    """Return the trends that are to be shown, as :func:`trend_records` says."""
    by_series: dict[tuple[str, ...], list[TrendRow]] = {}
    for row in comparison.trends:
        series = (row.model, row.arm, row.base_arm, row.lamp_task, row.retriever, row.order)
        by_series.setdefault(series, []).append(row)
    return [
        row
        for rows in by_series.values()
        for row in rows
        if row.metric in (metrics or (headline([one.metric for one in rows]),))
    ]


def trend_record(row: TrendRow, level: float) -> dict[str, str]:
    """Return one of :func:`trend_records`."""
    return {
        **_series_record(row, row.metric + arrow(row)),
        SLOPE: f"{row.slope:+.5f}",
        interval_heading(level): interval_text(row, digits=5),
        "p (Holm)": p_text(row),
        "Verdict": trend_verdict(row),
    }


def _series_record(row: TrendRow | FidelityTrendRow, metric: str) -> dict[str, str]:
    """Return what a series over k is called."""
    return {
        "Task": row.lamp_task,
        "Retriever": row.retriever,
        "Order": row.order,
        "Model": row.model,
        "Base": row.base_arm,
        "Other": row.arm,
        "Metric": metric,
        "k": ", ".join(row.k),
        "n": str(row.samples),
    }


def _fidelity_trend_record(row: FidelityTrendRow, level: float) -> dict[str, str]:
    interval = row.interval
    verdict_text = fidelity_texts.trend_verdict(row)
    return {
        **_series_record(row, f"KL along {fidelity_texts.ANSWERS[row.answers]}"),
        SLOPE: f"{row.slope:+.5f}",
        interval_heading(level): (
            verdict_text if interval is None else f"[{interval.low:+.5f}, {interval.high:+.5f}]"
        ),
        "p (Holm)": p_text(row),
        "Verdict": verdict_text,
    }
