"""Scores and differences by an attribute of the questions, as people read them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from qrag_tasks.experiment.comparison.rows import AttributeRow, CellRow, Comparison
from qrag_tasks.experiment.comparison.tables import texts
from qrag_tasks.experiment.comparison.tables.sections import Fits, Section
from qrag_tasks.experiment.comparison.verdicts import (
    attribute_verdict,
    headline,
    interval_text,
    verdict,
)

CHANGE = "Change, lowest to highest"
"""The slope of the difference times the reach of the attribute: in the unit of the score."""
_WHERE = ("Task", "Retriever", "Order", "k", "Model", "Base", "Other")
_LAST = ("Users", "p (Holm)", "Base score", "Other score")
"""Columns that are left out where there is no room, the first of them first."""


_OF_BINS = (
    *("base", "other", "difference", "bound", "units", "differing", "p", "p_holm"),
    *("margin", "equivalence_p", "smallest_effect"),
)


def chosen_rows(
    comparison: Comparison, attributes: Collection[str] | None, metrics: Sequence[str] = ()
) -> list[AttributeRow]:
    """Return the rows that are to be shown.

    :param attributes: by name; ``None`` for all.
    :param metrics: those to show; by default each cell's headline.
    """
    rows = []
    for row in comparison.attributes:
        cell = comparison.cells[row.cell]
        wanted = metrics or (headline([one.metric for one in cell.metrics]),)
        if row.metric in wanted and (attributes is None or row.attribute in attributes):
            rows.append(row)
    return rows


def bin_records(row: AttributeRow, cell: CellRow, level: float) -> list[dict[str, str]]:
    """Return a record of texts for each bin."""
    return [
        {
            **_where(cell),
            "Attribute": row.attribute,
            "Metric": row.metric + texts.arrow(one.row),
            row.attribute: one.label,
            "n": str(one.samples),
            "Users": "" if one.users is None else str(one.users),
            "Base score": f"{one.row.base:.4f}",
            "Other score": f"{one.row.other:.4f}",
            "Difference": f"{one.row.difference:+.4f}",
            texts.interval_heading(level): interval_text(one.row),
            "p (Holm)": texts.p_text(one.row),
            "Verdict": verdict(one.row),
        }
        for one in row.bins
    ]


def trend_record(row: AttributeRow, cell: CellRow, level: float) -> dict[str, str]:
    """Return the trend over a number as a record of texts."""
    reach, interval = row.reach or 0.0, row.interval
    return {
        **_where(cell),
        "Attribute": row.attribute,
        "Metric": row.metric + texts.arrow(row),
        "n": str(row.samples),
        CHANGE: f"{(row.slope or 0.0) * reach:+.4f}",
        texts.interval_heading(level): (
            attribute_verdict(row)
            if interval is None
            else f"[{interval.low * reach:+.4f}, {interval.high * reach:+.4f}]"
        ),
        "p (Holm)": texts.p_text(row),
        "Verdict": attribute_verdict(row),
    }


def attribute_sections(
    comparison: Comparison,
    attributes: Collection[str] | None,
    metrics: Sequence[str],
    fits: Fits,
) -> list[Section]:
    """Return a table of bins for each cell and attribute, and one of all trends.

    :param attributes: as :func:`chosen_rows`.
    """
    rows = chosen_rows(comparison, attributes, metrics)
    level = comparison.level
    sections = []
    for row in rows:
        records = bin_records(row, comparison.cells[row.cell], level)
        if not records:
            continue
        shown = [row.attribute, "n", "Users", "Base score", "Other score", "Difference"]
        shown += [texts.interval_heading(level), "p (Holm)", "Verdict"]
        unknown = f"; not known of {row.unknown}" if row.unknown else ""
        title = f"{_title(records[0])}, by {row.attribute}{unknown}"
        sections.append(_fitting(title, records, shown, fits))
    trends = [
        trend_record(row, comparison.cells[row.cell], level)
        for row in rows
        if row.slope is not None
    ]
    if trends:
        varying = [
            name
            for name in (*_WHERE, "Attribute", "Metric")
            if name == "Attribute" or len({one[name] for one in trends}) > 1
        ]
        shown = [*varying, "n", CHANGE, texts.interval_heading(level), "p (Holm)", "Verdict"]
        title = "Does the difference grow with an attribute of the question?"
        sections.append(_fitting(title, trends, shown, fits))
    return sections


def attribute_tables(
    comparison: Comparison, attributes: Collection[str], metrics: Sequence[str] = ()
) -> list[texts.Table]:
    """Return the bins as one table and the trends as another, each with all of its columns."""
    rows = chosen_rows(comparison, attributes, metrics)
    level = comparison.level
    records = []
    for row in rows:
        cell = comparison.cells[row.cell]
        records += [{**one, "Bin": one[row.attribute]} for one in bin_records(row, cell, level)]
    interval = texts.interval_heading(level)
    bins = (*_WHERE, "Attribute", "Metric", "Bin", "n", "Users", "Base score", "Other score")
    trends = [
        trend_record(row, comparison.cells[row.cell], level)
        for row in rows
        if row.slope is not None
    ]
    return [
        _table(records, (*bins, "Difference", interval, "p (Holm)", "Verdict")),
        _table(
            trends,
            (*_WHERE, "Attribute", "Metric", "n", CHANGE, interval, "p (Holm)", "Verdict"),
        ),
    ]


def flat(comparison: Comparison) -> list[dict[str, Any]]:
    """Return a flat record for each bin, with its cell and the trend, for CSV and Parquet."""
    records = []
    for row in comparison.attributes:
        cell, interval = comparison.cells[row.cell], row.interval
        of_row = {
            **cell.names,
            "model": cell.other.model,
            "arm": cell.other.arm,
            "base_arm": cell.base.arm,
            "attribute": row.attribute,
            "metric": row.metric,
            "binned": row.binned,
            "slope": row.slope,
            "slope_p": row.p,
            "slope_p_holm": row.p_holm,
            "slope_low": None if interval is None else interval.low,
            "slope_high": None if interval is None else interval.high,
            "slope_verdict": None if row.slope is None else attribute_verdict(row),
        }
        for one in row.bins:
            reach = one.row.interval
            records.append(
                {
                    **of_row,
                    "bin": one.label,
                    "mean": one.mean,
                    "samples": one.samples,
                    "users": one.users,
                    **{name: getattr(one.row, name) for name in _OF_BINS},
                    "low": None if reach is None else reach.low,
                    "high": None if reach is None else reach.high,
                    "verdict": verdict(one.row),
                }
            )
    return records


def with_verdicts(comparison: Comparison, records: Sequence[dict[str, Any]]) -> None:
    """Add the verdicts to the rows as JSON has them."""
    for row, record in zip(comparison.attributes, records, strict=True):
        record["verdict"] = attribute_verdict(row) if row.slope is not None else None
        for one, its in zip(row.bins, record["bins"], strict=True):
            its["row"]["verdict"] = verdict(one.row)


def _where(cell: CellRow) -> dict[str, str]:
    texts_of = texts.record(cell, None, 0.95)
    return {name: texts_of[name] for name in _WHERE}


def _title(record: Mapping[str, str]) -> str:
    arms = f"{record['Model']} {record['Other']}".strip()
    asked = [record["Retriever"] if record["k"] != "0" else "", record["Order"]]
    asked.append(f"k = {record['k']}" if record["k"] else "")
    where = ", ".join(filter(None, asked))
    about = f"{record['Task']}, {record['Metric']}: {arms} against {record['Base'] or 'its base'}"
    return f"{about} ({where})" if where else about


def _table(records: Sequence[Mapping[str, str]], columns: tuple[str, ...]) -> texts.Table:
    if len({row["Order"] for row in records if row["Order"]}) < 2:
        columns = tuple(name for name in columns if name != "Order")
    return texts.Table(columns, [tuple(row[name] for name in columns) for row in records])


def _fitting(
    title: str, records: Sequence[Mapping[str, str]], wanted: Sequence[str], fits: Fits
) -> Section:
    shown = list(wanted)
    for left_out in ("", *_LAST):
        shown = [name for name in shown if name != left_out]
        rows = [[row[name] for name in shown] for row in records]
        if fits(shown, rows):
            break
    return Section(title, shown, rows)
