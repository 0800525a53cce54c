"""A comparison as tables: for the terminal, Markdown, LaTeX, CSV and Parquet."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from qrag_tasks.errors import StoreError
from qrag_tasks.experiment.comparison.rows import CellRow, Comparison, MetricRow, TrendRow

HEADINGS = (
    *("Task", "k", "Retriever", "Model", "Base", "Other", "Metric", "n"),
    *("Base score", "Other score", "Difference", "95 % interval", "p (Holm)", "Verdict"),
    *("Recovery", "Same answers", "Better / worse"),
)


def verdict(row: MetricRow, alpha: float = 0.05) -> str:
    """Say in a word what a row shows.

    ``worse`` or ``better`` where the corrected p is below ``alpha``; ``equivalent`` where two
    one-sided tests place the difference within the margin; both where both hold, as a difference
    can be real and too small to matter; else ``undecided``.
    """
    found = []
    if row.p_holm is not None and row.p_holm < alpha and row.difference:
        if row.higher_is_better is None:
            found.append("different")
        else:
            found.append("better" if (row.difference > 0) == row.higher_is_better else "worse")
    if row.equivalence_p is not None and row.equivalence_p < alpha:
        found.append("equivalent")
    if not found:
        return "" if row.p is None else "undecided"
    return ", ".join(found)


HEADLINES = ("mae", "rougeL", "accuracy", "acc", "exact_match")
"""Metrics by which a cell is shown, where one of them is there: the first of them."""


def headline(metrics: Sequence[str]) -> str | None:
    """Return the metric by which a cell is shown; ``None`` where there is none."""
    return next((name for name in HEADLINES if name in metrics), next(iter(metrics), None))


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


def terminal_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """Return a table for the terminal, without the columns that are empty throughout."""
    shown = [i for i in range(len(headings)) if any(row[i] for row in rows)]
    table = Table(*[headings[i] for i in shown])
    for row in rows:
        # As text: a model's name may hold brackets.
        table.add_row(*[Text(row[i]) for i in shown])
    return table


def markdown(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown."""

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"

    return line(headings) + line(["---"] * len(headings)) + "".join(map(line, rows))


_LATEX = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "\\": "\\textbackslash{}",
    "~": "\\textasciitilde{}",
    "^": "\\textasciicircum{}",
    "↑": "$\\uparrow$",
    "↓": "$\\downarrow$",
}


def latex(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in LaTeX, for the package booktabs."""

    def line(cells: Sequence[str]) -> str:
        escaped = ["".join(_LATEX.get(c, c) for c in cell) for cell in cells]
        return " & ".join(escaped) + " \\\\\n"

    return (
        f"\\begin{{tabular}}{{{'l' * len(headings)}}}\n\\toprule\n"
        + line(headings)
        + "\\midrule\n"
        + "".join(map(line, rows))
        + "\\bottomrule\n\\end{tabular}\n"
    )


def flat(comparison: Comparison) -> list[dict[str, Any]]:
    """Return a flat record a cell and metric, with numbers as numbers, for CSV and Parquet."""
    records = []
    for cell in comparison.cells:
        rows: Sequence[MetricRow | None] = cell.metrics or [None]
        records += [_record(cell, row) for row in rows]
    return records


def _record(cell: CellRow, row: MetricRow | None) -> dict[str, Any]:
    facts = cell.facts
    record: dict[str, Any] = {
        "task": cell.task,
        "filter": cell.filter,
        **{name: facts.get(name) for name in ("lamp_task", "k", "retriever", "order", "protocol")},
        "kept": cell.kept,
        "model": cell.other.model,
        "base_model": cell.base.model,
        "base_precision": cell.base.precision,
        "precision": cell.other.precision,
        "samples": cell.samples,
        "users": cell.users,
        "same_text": cell.agreement.same_text,
        "same_answer": cell.agreement.same_answer,
        "overlap": cell.agreement.overlap,
        "divergence": cell.agreement.divergence,
        "base_valid_rate": cell.base.valid_rate,
        "valid_rate": cell.other.valid_rate,
        "base_runaway_rate": cell.base.runaway_rate,
        "runaway_rate": cell.other.runaway_rate,
        **{f"{name}_ratio": cell.cost.get(name) for name in _COSTS},
        **dict.fromkeys(_METRIC_FIELDS),
        **dict.fromkeys(("low", "high", "verdict", "better", "worse")),
    }
    if row is not None:
        record |= {name: getattr(row, name) for name in _METRIC_FIELDS}
        record["verdict"] = verdict(row)
        if row.interval is not None:
            record |= {"low": row.interval.low, "high": row.interval.high}
        if row.flips is not None:
            record |= {"better": row.flips.better, "worse": row.flips.worse}
    return record


_COSTS = (
    *("weight_bytes", "peak_device_bytes", "peak_rss_bytes", "run_seconds"),
    *("prefill_tokens_per_second", "decode_tokens_per_second", "energy_joules"),
)
_METRIC_FIELDS = (
    *("metric", "higher_is_better", "base", "other", "difference", "p", "p_holm", "margin"),
    *("equivalence_p", "smallest_effect", "recovery"),
)


def csv_text(records: Sequence[Mapping[str, Any]]) -> str:
    """Return flat records as CSV."""
    out = io.StringIO()
    writer = csv.DictWriter(out, list(records[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return out.getvalue()


def write_parquet(path: Path, records: Sequence[Mapping[str, Any]]) -> None:
    """Write flat records as Parquet.

    :raises StoreError: when the file cannot be written.
    """
    import pyarrow
    import pyarrow.parquet

    try:
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist([dict(r) for r in records]), path)
    except OSError as error:
        raise StoreError(f"{path}: cannot be written: {error}") from error
