"""Arms over all of their cells, as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from qrag_tasks.experiment.comparison.rows import ALL, Comparison, PooledRow
from qrag_tasks.experiment.comparison.tables.sections import Fits, Section
from qrag_tasks.experiment.comparison.tables.texts import (
    Table,
    interval_heading,
    noise_text,
    p_text,
    percent_text,
)
from qrag_tasks.experiment.comparison.verdicts import interval_text

_ALWAYS = ("Model", "Other", "Base", "Retriever", "Cells", "Samples", "Users")
_LOSS = "Loss in margins"
_BETWEEN = "Recovery interval"
_NEEDED = "Samples to settle"


def pooled_table(comparison: Comparison) -> Table:
    """Return every row over all cells, in all columns; no row where every arm has one cell."""
    rows = [_record(row, comparison.level) for row in _telling(comparison)]
    names = [name for name in _headings(comparison.level) if any(row[name] for row in rows)]
    return Table(tuple(names), [tuple(row[name] for name in names) for row in rows])


def pooled_sections(comparison: Comparison, fits: Fits) -> list[Section]:
    """Return a table for each model and base, of the columns for which there is room.

    Nothing where every arm has one cell, whose own row says it.
    """
    groups: dict[tuple[str, str], list[PooledRow]] = {}
    for row in _telling(comparison):
        groups.setdefault((row.model, row.base_arm), []).append(row)
    level = comparison.level
    return [section for members in groups.values() for section in _sections(members, level, fits)]


def _sections(members: Sequence[PooledRow], level: float, fits: Fits) -> list[Section]:
    """Return one table, or one for each retriever where there is no room for their names."""
    retrievers = list(dict.fromkeys(row.retriever for row in members))
    figures = ["Verdict", _LOSS, interval_heading(level), "Recovery"]
    rows = [_record(row, level) for row in members]
    model, base = members[0].model, members[0].base_arm or "its base"
    title = f"All cells of an arm as one: {model} against {base}"
    if len(retrievers) == 1:
        return [_section(title, rows, ["Other", *figures], fits)]
    named = ["Other", "Retriever", *figures]
    if fits(named, [[row[name] for name in named] for row in rows]):
        return [_section(title, rows, named, fits)]
    return [
        _section(
            f"{title} ({'all retrievers' if retriever == ALL else retriever})",
            [row for row in rows if row["Retriever"] == retriever],
            ["Other", *figures],
            fits,
        )
        for retriever in retrievers
    ]


def _section(
    title: str, rows: Sequence[Mapping[str, str]], shown: Sequence[str], fits: Fits
) -> Section:
    """Return a table of these columns, and of the further ones for which there is room."""
    for name in (_NEEDED, "p (Holm)", _BETWEEN, "Cells", "Samples", "Noise"):
        wider = [*shown, name]
        texts = [[row[column] for column in wider] for row in rows]
        if any(row[name] for row in rows) and fits(wider, texts):
            shown = wider
    return Section(title, shown, [[row[name] for name in shown] for row in rows])


def _telling(comparison: Comparison) -> Sequence[PooledRow]:
    return comparison.pooled if any(row.cells > 1 for row in comparison.pooled) else ()


def _headings(level: float) -> tuple[str, ...]:
    return (
        *(*_ALWAYS, "Metrics", "Verdict", _LOSS, interval_heading(level), "p (Holm)"),
        *("Recovery", _BETWEEN, "Smallest loss shown", _NEEDED, "Noise"),
    )


def _record(row: PooledRow, level: float) -> dict[str, str]:
    return {
        "Model": row.model,
        "Other": row.arm,
        "Base": row.base_arm,
        "Retriever": row.retriever,
        "Cells": str(row.cells),
        "Samples": f"{row.samples:,}",
        "Users": "" if row.users is None else f"{row.users:,}",
        "Metrics": ", ".join(row.metrics),
        "Verdict": row.verdict,
        _LOSS: f"{row.effect:+.2f}",
        interval_heading(level): interval_text(row, digits=2),
        "p (Holm)": p_text(row),
        "Recovery": percent_text(row.recovery),
        _BETWEEN: _between(row),
        "Smallest loss shown": "" if row.smallest_effect is None else f"{row.smallest_effect:.2f}",
        _NEEDED: "" if row.samples_needed is None else f"{row.samples_needed:,}",
        "Noise": noise_text(row.noise, row.noise_floor, digits=2),
    }


def _between(row: PooledRow) -> str:
    between = row.recovery_interval
    return f"{100 * between.low:.1f} to {100 * between.high:.1f}%" if between else ""
